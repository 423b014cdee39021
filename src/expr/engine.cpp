// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <tuple>

#include "base/problems.h"
#include "expr/cache.h"
#include "expr/evaluation.h"
#include "expr/template.h"

namespace millrace::expr {

Answer Lookup::kv(std::string_view, bool) const { return Answer::absent(); }
Error refused(const Answer& answer) { return eval_error(answer.why()); }

Answer Lookup::task(std::optional<std::string_view>, std::optional<int64_t>) const {
  return Answer::absent();
}
Answer Lookup::task_status(std::string_view, std::optional<int64_t>) const {
  return Answer::absent();
}
Answer Lookup::current_status() const { return Answer::absent(); }
Answer Lookup::result() const { return Answer::absent(); }
Answer Lookup::item() const { return Answer::absent(); }

Template::Template(std::unique_ptr<const Program> program) : program_(std::move(program)) {}
Template::~Template() = default;
const std::string& Template::text() const { return program_->text; }
Language Template::language() const { return program_->language; }
Mode Template::mode() const { return program_->mode; }
const Reads& Template::reads() const { return program_->reads; }

Engine::Engine(size_t max_cached_bytes)
    : cache_(std::make_unique<TemplateCache>(max_cached_bytes)) {}
Engine::~Engine() = default;
Engine::Engine(Engine&&) noexcept = default;
Engine& Engine::operator=(Engine&&) noexcept = default;

Result<TemplatePtr> Engine::compile(std::string_view text, Mode mode) {
  return cache_->get(text, mode);
}

Result<Value> Engine::evaluate(const Template& compiled, const Scope& scope) {
  ASSERT_MSG(compiled.mode() == scope.mode, "a template is evaluated in the mode it was made for");
  return Evaluation(scope, *cache_).run(compiled.program());
}

Result<Value> Engine::evaluate(std::string_view text, const Scope& scope) {
  TRY(auto compiled, compile(text, scope.mode));
  return evaluate(*compiled, scope);
}

Result<Value> Engine::render(const Value& tree, const Scope& scope) {
  return Evaluation(scope, *cache_).render(tree);
}

Result<bool> Engine::test(const Value& condition, const Scope& scope) {
  if (!condition.is_string()) return truthy(condition);
  TRY(Value verdict, evaluate(condition.as_string(), scope));
  return truthy(verdict);
}

namespace {

template <typename Visit>
void visit_strings(const Value& tree, Visit visit) {
  if (tree.is_string()) {
    visit(tree.as_string());
  } else if (tree.is_list()) {
    for (const auto& item : tree.as_list()) visit_strings(item, visit);
  } else if (tree.is_map()) {
    for (const auto& entry : tree.as_map()) {
      visit(entry.name());
      visit_strings(entry.value, visit);
    }
  }
}

}  // namespace

std::vector<SyntaxProblem> Engine::check(const Value& tree, Mode mode) {
  std::vector<SyntaxProblem> problems;
  visit_strings(tree, [&](std::string_view text) { check_text(text, mode, problems); });
  return problems;
}

std::vector<VariableRead> Engine::variables(const Value& tree, Mode mode) {
  std::vector<VariableRead> out;
  visit_strings(tree, [&](std::string_view text) {
    if (mode == Mode::Orquesta) {
      auto reads = orquesta_variables(text);
      out.insert(out.end(), reads.begin(), reads.end());
      return;
    }
    auto compiled = compile(text, mode);
    if (!compiled.ok()) return;
    std::string shown = shortened(std::string(text));
    for (const auto& name : (*compiled)->reads().ctx) {
      out.push_back({(*compiled)->language(), shown, name});
    }
  });
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) {
    return std::tie(a.name, a.text, a.language) < std::tie(b.name, b.text, b.language);
  });
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

}  // namespace millrace::expr
