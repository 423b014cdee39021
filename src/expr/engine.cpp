// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <list>
#include <unordered_map>

#include "expr/eval.h"
#include "expr/template.h"

namespace millrace::expr {

Answer Lookup::kv(std::string_view, bool) const { return Answer::absent(); }
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

// Compiled templates by (mode, language, text); the least recently used go first.
class Engine::Cache {
 public:
  explicit Cache(size_t max_bytes) : max_bytes_(max_bytes) {}

  Result<TemplatePtr> get(std::string_view text, Mode mode, Language language) {
    std::string key;
    key += static_cast<char>(mode);
    key += static_cast<char>(language);
    key += text;
    if (auto found = entries_.find(key); found != entries_.end()) {
      order_.splice(order_.begin(), order_, found->second);
      return found->second->compiled;
    }
    TRY(auto program, compile_program(text, mode, language));
    auto compiled = std::make_shared<const Template>(std::move(program));
    size_t cost = cost_of(key);
    if (cost > max_bytes_ / 4) return TemplatePtr(compiled);
    order_.push_front({key, compiled});
    entries_.emplace(order_.front().key, order_.begin());
    bytes_ += cost;
    while (bytes_ > max_bytes_) {
      bytes_ -= cost_of(order_.back().key);
      entries_.erase(order_.back().key);
      order_.pop_back();
    }
    return TemplatePtr(compiled);
  }

  RegexCache regexes;

 private:
  struct Entry {
    std::string key;
    TemplatePtr compiled;
  };
  static size_t cost_of(std::string_view key) { return key.size() + 64; }

  size_t max_bytes_;
  size_t bytes_ = 0;
  std::list<Entry> order_;
  std::unordered_map<std::string_view, std::list<Entry>::iterator> entries_;
};

namespace {

// Puts the expression before the message, in the words of the reference when it is exact.
Error explain(const Error& error, const std::string& expression, const Program& program) {
  if (error.code() == kNeeded) return error;
  const std::string& message = error.message();
  if (program.mode == Mode::Native) {
    return Error(error).with_context(fmt::format("expression '{}'", expression));
  }
  bool yaql = program.language == Language::Yaql;
  std::string_view name = yaql ? "YaqlEvaluationException" : "JinjaEvaluationException";
  constexpr std::string_view kKey = "KeyError: ";
  std::string text =
      yaql && message.starts_with(kKey)
          ? fmt::format("{}: Unable to resolve key '{}' in expression '{}' from context.", name,
                        message.substr(kKey.size()), expression)
          : fmt::format("{}: Unable to evaluate expression '{}'. {}", name, expression, message);
  return Error(error.kind(), error.code(), std::move(text));
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  if (from.empty()) return;
  std::string out;
  size_t at = 0;
  for (size_t next = text.find(from); next != std::string::npos; next = text.find(from, at)) {
    out.append(text, at, next - at);
    out += to;
    at = next + from.size();
  }
  out.append(text, at);
  text = std::move(out);
}

// One evaluate or render call: everything that its texts share.
class Evaluation {
 public:
  using Compile = Result<TemplatePtr> (*)(void*, std::string_view, Mode, Language);

  Evaluation(const Scope& scope, RegexCache& regexes, void* cache, Compile compile)
      : meter_(scope.budget),
        shared_{scope, meter_, regexes, scope.random_seed},
        cache_(cache),
        compile_(compile) {}

  Result<Value> run(const Program& program) {
    meter_.frozen_input = program.language == Language::Yaql;
    switch (program.language) {
      case Language::None: return Value(program.text);
      case Language::Yaql: return program.mode == Mode::Native ? native(program) : yaql(program);
      case Language::Jinja: return program.mode == Mode::Native ? native(program) : jinja(program);
    }
    return Value();
  }

  Result<Value> render(const Value& tree) {
    if (tree.is_string()) return text(tree);
    if (!tree.is_list() && !tree.is_map()) return tree;
    TRY(meter_.enter());
    Level level(meter_);
    if (tree.is_list()) {
      ValueList out;
      bool changed = false;
      for (const auto& item : tree.as_list()) {
        TRY(Value rendered, render(item));
        changed |= !rendered.same_as(item);
        out.push_back(std::move(rendered));
      }
      return changed ? Value(std::move(out)) : tree;
    }
    Value out = Value::map();
    bool changed = false;
    for (const auto& entry : tree.as_map()) {
      TRY(Value key, render(entry.key));
      TRY(Value value, render(entry.value));
      changed |= !key.same_as(entry.key) || !value.same_as(entry.value);
      if (!key.is_string()) key = Value(to_text(key));
      out.mutable_map().set(std::move(key), std::move(value));
    }
    return changed ? out : tree;
  }

 private:
  Result<Value> text(const Value& string) {
    const Mode mode = shared_.scope.mode;
    if (detect(string.as_string(), mode) == Language::None) return string;
    TRY(auto compiled, compile_(cache_, string.as_string(), mode, Language::None));
    return run(compiled->program());
  }

  Evaluator evaluator(const Program& program) { return Evaluator(program.tree, shared_); }

  // One pass: what an expression gives is data.
  Result<Value> native(const Program& program) {
    auto eval = evaluator(program);
    if (program.body != kNone) {
      auto text = eval.run_template(program.body);
      if (!text.ok()) return explain(text.error(), program.text, program);
      return Value(*text);
    }
    std::string out;
    for (const auto& segment : program.segments) {
      if (!segment.is_expression()) {
        out += segment.text;
        continue;
      }
      auto item = eval.eval(segment.root);
      if (!item.ok()) return explain(item.error(), segment.text, program);
      if (program.segments.size() == 1) {
        auto value = to_value(eval, *item);
        if (!value.ok()) return explain(value.error(), segment.text, program);
        return value;
      }
      TRY(append(eval, *item, segment, program, out));
    }
    return Value(out);
  }

  Result<void> append(Evaluator& eval, const Item& item, const Segment& segment,
                      const Program& program, std::string& out) {
    auto final = finalize(eval, item);
    auto done = final.ok() ? append_final(*final, out) : Result<void>(final.error());
    if (!done.ok()) return explain(done.error(), segment.text, program);
    return {};
  }
  Result<void> append_final(const Item& item, std::string& out) {
    bool saved = std::exchange(meter_.frozen_input, false);
    auto done = python::append_str(meter_, out, item);
    meter_.frozen_input = saved;
    return done;
  }

  // What the text shows of an expression's result.
  Result<Item> finalize(Evaluator& eval, const Item& item) {
    return eval.is_yaql() ? finalize_yaql(eval, item) : eval.drained(item);
  }

  // Strings that come out are evaluated again, until none holds an expression.
  Result<Value> yaql(const Program& program) {
    TRY(meter_.enter());
    Level level(meter_);
    TRY(meter_.step());
    auto eval = evaluator(program);
    bool whole = program.segments.size() == 1;
    std::string out = program.text;
    for (const auto& segment : program.segments) {
      if (!segment.is_expression()) continue;
      auto value = yaql_segment(eval, segment, whole);
      if (!value.ok()) return explain(value.error(), segment.text, program);
      if (whole) return value;
      TRY(meter_.step(1 + out.size() / 64));
      replace_all(out, segment.text, value->as_string());
      if (out.size() > meter_.budget().output_bytes) return meter_.output_spent();
    }
    return Value(out);
  }

  // The value of one expression, as text unless it is the whole.
  Result<Value> yaql_segment(Evaluator& eval, const Segment& segment, bool whole) {
    if (segment.error) return Error(*segment.error);
    TRY(Item item, eval.eval(segment.root));
    if (item.is_string()) {
      if (!has_span(item.str(), "<%", "%>")) return item.value();
      TRY(meter_.step(1 + item.str().size() / 8));
      TRY(auto inner, compile_(cache_, item.str(), Mode::Orquesta, Language::Yaql));
      TRY(Value value, yaql(inner->program()));
      if (whole || value.is_string()) return value;
      item = Item(std::move(value));
    }
    if (whole) return to_value(eval, item);
    std::string text;
    TRY(Item final, finalize(eval, item));
    TRY(append_final(final, text));
    return Value(text);
  }

  Result<Value> jinja(const Program& program) {
    Item output;
    if (program.raw_blocks.empty()) {
      TRY(output, expand(program));
    } else {
      std::string text = program.text;
      for (size_t i = 0; i < program.raw_blocks.size(); ++i) {
        replace_all(text, program.raw_blocks[i], fmt::format("{{{}}}", i));
      }
      TRY(output, expand_text(Value(text)));
    }
    if (output.is_string() && has_span(output.str(), "{{", "}}")) {
      return Error(ErrorKind::Invalid, kUndefined,
                   fmt::format("JinjaEvaluationException: There are unresolved variables: {}",
                               unresolved(output.str())));
    }
    if (output.is_string() && !program.raw_blocks.empty()) {
      return put_raw_back(program, std::string(output.str()));
    }
    auto eval = evaluator(program);
    auto value = to_value(eval, output);
    if (!value.ok()) return explain(value.error(), program.text, program);
    return value;
  }

  static std::string unresolved(std::string_view text) {
    std::string names;
    for (const Span& span : find_spans(text, "{{", "}}")) {
      if (!names.empty()) names += ", ";
      names += strip_marks(span.of(text), Language::Jinja);
    }
    return names;
  }

  Result<Value> put_raw_back(const Program& program, std::string text) {
    for (size_t i = 0; i < program.raw_blocks.size(); ++i) {
      replace_all(text, fmt::format("{{{}}}", i), program.raw_blocks[i]);
    }
    Program whole;
    whole.language = Language::Jinja;
    whole.mode = Mode::Orquesta;
    auto body = parse_jinja_template(whole.tree, text, Mode::Orquesta);
    if (!body.ok()) return explain(body.error(), text, program);
    auto eval = evaluator(whole);
    auto rendered = eval.run_template(*body);
    if (!rendered.ok()) return explain(rendered.error(), text, program);
    return Value(*rendered);
  }

  Result<Item> expand_text(const Value& text) {
    if (text.as_string().find('{') == std::string_view::npos) return Item(text);
    bool some = has_span(text.as_string(), "{{", "}}") || has_span(text.as_string(), "{%", "%}");
    if (!some) return Item(text);
    TRY(meter_.step(1 + text.size() / 8));
    TRY(auto inner, compile_(cache_, text.as_string(), Mode::Orquesta, Language::Jinja));
    return expand(inner->program());
  }

  Result<Item> expand(const Program& program) {
    TRY(meter_.enter());
    Level level(meter_);
    TRY(meter_.step());
    auto eval = evaluator(program);
    if (program.error) return explain(*program.error, program.text, program);
    // Raw blocks below the top are Jinja's own business.
    if (!program.raw_blocks.empty()) return put_through(program);
    if (program.body != kNone) {
      auto text = eval.run_template(program.body);
      if (!text.ok()) return explain(text.error(), program.text, program);
      return expand_text(Value(*text));
    }
    bool whole = program.segments.size() == 1;
    std::string out = program.text;
    for (const auto& segment : program.segments) {
      if (!segment.is_expression()) continue;
      auto item = jinja_segment(eval, segment, whole);
      if (!item.ok()) return explain(item.error(), segment.text, program);
      if (item->is_undefined()) continue;  // stays in the text and is reported at the end
      if (whole) return item;
      TRY(meter_.step(1 + out.size() / 64));
      replace_all(out, segment.text, item->str());
      if (out.size() > meter_.budget().output_bytes) return meter_.output_spent();
    }
    return Item(out);
  }

  Result<Item> put_through(const Program& program) {
    TRY(Value text, put_raw_back(program, program.text));
    return expand_text(text);
  }

  Result<Item> jinja_segment(Evaluator& eval, const Segment& segment, bool whole) {
    if (segment.error) return Error(*segment.error);
    TRY(Item item, eval.eval(segment.root));
    if (item.is_undefined()) return item;
    if (item.is_string()) {
      TRY(item, expand_text(item.value()));
    }
    if (whole || item.is_undefined()) return item;
    TRY(item, eval.drained(std::move(item)));
    std::string text;
    TRY(append_final(item, text));
    return Item(text);
  }

  Meter meter_;
  Evaluator::Shared shared_;
  void* cache_;
  Compile compile_;
};

}  // namespace

Engine::Engine(size_t max_cached_bytes) : cache_(std::make_unique<Cache>(max_cached_bytes)) {}
Engine::~Engine() = default;
Engine::Engine(Engine&&) noexcept = default;
Engine& Engine::operator=(Engine&&) noexcept = default;

Result<TemplatePtr> Engine::compile(std::string_view text, Mode mode) {
  return cache_->get(text, mode, Language::None);
}

Result<Value> Engine::evaluate(const Template& compiled, const Scope& scope) {
  ASSERT_MSG(compiled.mode() == scope.mode, "a template is evaluated in the mode it was made for");
  auto compile = [](void* cache, std::string_view text, Mode mode, Language language) {
    return static_cast<Cache*>(cache)->get(text, mode, language);
  };
  return Evaluation(scope, cache_->regexes, cache_.get(), compile).run(compiled.program());
}

Result<Value> Engine::evaluate(std::string_view text, const Scope& scope) {
  TRY(auto compiled, compile(text, scope.mode));
  return evaluate(*compiled, scope);
}

Result<Value> Engine::render(const Value& tree, const Scope& scope) {
  auto compile = [](void* cache, std::string_view text, Mode mode, Language language) {
    return static_cast<Cache*>(cache)->get(text, mode, language);
  };
  return Evaluation(scope, cache_->regexes, cache_.get(), compile).render(tree);
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
    for (const auto& name : (*compiled)->reads().ctx) {
      out.push_back({(*compiled)->language(), std::string(text), name});
    }
  });
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) {
    return std::tie(a.name, a.text, a.language) < std::tie(b.name, b.text, b.language);
  });
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

}  // namespace millrace::expr
