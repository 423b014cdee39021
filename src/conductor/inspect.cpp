// SPDX-License-Identifier: Apache-2.0
#include "conductor/inspect.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "base/excerpt.h"
#include "base/json_schema.h"
#include "conductor/chain.h"
#include "conductor/inspect_checks.h"
#include "conductor/schema.h"

namespace millrace::conductor {
namespace {

// The path of a part where the document itself has it: Attune lists its tasks.
std::string as_written(std::string_view path, const YamlNode& document) {
  constexpr std::string_view kTasks = "tasks.";
  const YamlNode* tasks = document.find("tasks");
  if (!tasks || !tasks->value.is_list() || !path.starts_with(kTasks)) return std::string(path);
  std::string_view rest = path.substr(kTasks.size());
  std::string_view name = rest.substr(0, rest.find_first_of(".["));
  for (size_t i = 0; i < tasks->children.size(); ++i) {
    if (tasks->children[i].value.string_or("name", "") != name) continue;
    return fmt::format("tasks[{}]{}", i, rest.substr(name.size()));
  }
  return std::string(path);
}

Finding no_workflow(const Value& document) {
  auto found = document.is_null() ? "an empty document" : json_excerpt(document, 60);
  return {.cls = FindingClass::Syntax,
          .message = fmt::format("expected a workflow, a map with 'tasks', found {}", found),
          .path = "",
          .schema_path = "type"};
}

void check_shape(const Value& document, const Spec& spec, std::vector<Finding>& findings) {
  bool native = spec.mode == expr::Mode::Native;
  for (SchemaProblem& problem : validate(native ? native_schema() : orquesta_schema(), document)) {
    findings.push_back({.cls = FindingClass::Syntax,
                        .message = std::move(problem.message),
                        .path = std::move(problem.spec_path),
                        .schema_path = std::move(problem.schema_path),
                        .key = std::move(problem.key)});
  }
}

}  // namespace

std::string to_pointer(std::string_view path) {
  std::string pointer;
  for (char c : path) {
    if (pointer.empty() || c == '.' || c == '[') pointer += '/';
    if (c != '.' && c != '[' && c != ']') pointer += c;
  }
  return pointer;
}

Place Place::member(std::string_view name) const {
  if (path.empty()) return {std::string(name), fmt::format("properties.{}", name)};
  return {fmt::format("{}.{}", path, name), fmt::format("{}.properties.{}", schema, name)};
}

Place Place::item(size_t i) const { return {fmt::format("{}[{}]", path, i), schema + ".items"}; }

Place Place::element(size_t i) const { return {fmt::format("{}[{}]", path, i), schema}; }

Place task_place(std::string_view task) {
  return {fmt::format("tasks.{}", task), std::string(kTaskSchema)};
}

std::string_view to_string(FindingClass cls) {
  switch (cls) {
    case FindingClass::Syntax: return "syntax";
    case FindingClass::Semantics: return "semantics";
    case FindingClass::Expressions: return "expressions";
    case FindingClass::Context: return "context";
    case FindingClass::Content: return "content";
  }
  return "";
}

std::vector<Finding> inspect(const Value& document, expr::Engine& engine,
                             const InspectOptions& options) {
  if (!document.is_map()) return {no_workflow(document)};
  if (is_chain(document)) {
    auto findings = inspect_chain(document, engine);
    if (options.find_action) check_content(read_chain(document), options.find_action, findings);
    return findings;
  }
  expr::Mode mode = mode_of(document, options.default_mode);
  Value normal = normalized(document, mode);
  Spec spec = read_spec(normal, mode);
  if (too_large(spec)) {
    return {{.cls = FindingClass::Semantics,
             .message = fmt::format("more than {} tasks or {} targets of transitions", kMaxTasks,
                                    kMaxTargets),
             .path = "tasks",
             .schema_path = std::string(kTasksSchema)}};
  }
  Flow flow(spec);
  std::vector<Finding> findings;
  check_shape(normal, spec, findings);
  check_semantics(spec, flow, findings);
  check_expressions(normal, spec, engine, findings);
  check_context(normal, spec, flow, engine, options.known_variables, findings);
  if (options.find_action) check_content(spec, options.find_action, findings);
  // A task that several ways lead to is looked at once for each: what is found twice is told once.
  auto all = [](const Finding& f) {
    return std::tie(f.cls, f.schema_path, f.path, f.language, f.expression, f.message);
  };
  std::ranges::sort(findings, {}, all);
  auto repeated = std::ranges::unique(findings, {}, all);
  findings.erase(repeated.begin(), repeated.end());
  if (findings.size() > kMostProblems) findings.resize(kMostProblems);
  for (Finding& finding : findings) finding.message = shortened(std::move(finding.message));
  return findings;
}

std::vector<Finding> inspect(const YamlNode& document, expr::Engine& engine,
                             const InspectOptions& options) {
  auto findings = inspect(document.value, engine, options);
  find_lines(document, findings);
  return findings;
}

void find_lines(const YamlNode& document, std::vector<Finding>& findings) {
  for (Finding& finding : findings) {
    std::string pointer = to_pointer(as_written(finding.path, document));
    if (!finding.key.empty()) pointer = json_pointer(pointer, finding.key);
    finding.line = document.line_of(pointer);
    finding.path = shortened(std::move(finding.path));
  }
}

}  // namespace millrace::conductor
