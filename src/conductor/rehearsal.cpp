// SPDX-License-Identifier: Apache-2.0
#include "conductor/rehearsal.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/json.h"
#include "base/json_schema.h"
#include "conductor/inspect_checks.h"
#include "conductor/schema.h"

namespace millrace::conductor {
namespace {

constexpr std::string_view kCaseSchema = R"json({
  "type": "object",
  "properties": {
    "name": {"type": "string", "minLength": 1},
    "inputs": {"type": "object"},
    "context": {"type": "object"},
    "keys": {"type": "object"},
    "config": {"type": "object"},
    "results": {"type": "object"},
    "cancel_after": {"type": "string", "minLength": 1},
    "expect": {
      "type": "object",
      "properties": {
        "status": {"type": "string", "minLength": 1},
        "sequence": {
          "type": "array",
          "items": {
            "anyOf": [
              {"type": "string"}, {"type": "object", "minProperties": 1, "maxProperties": 1}
            ]
          }
        },
        "calls": {"type": "object"},
        "output": {},
        "errors": {"type": "array", "items": {"type": "string"}},
        "waiting": {"type": "array", "items": {"type": "string"}}
      },
      "minProperties": 1,
      "additionalProperties": false
    }
  },
  "required": ["expect"],
  "additionalProperties": false
})json";

constexpr std::string_view kFileSchema = R"json({
  "type": "object",
  "properties": {
    "workflow": {"type": "string", "minLength": 1},
    "language": {"enum": ["native", "orquesta"]},
    "cases": {"type": "array", "minItems": 1}
  },
  "required": ["workflow", "cases"],
  "additionalProperties": false
})json";

constexpr std::string_view kResultSchema = R"json({
  "type": "object",
  "properties": {
    "status": {"enum": ["succeeded", "failed", "timeout", "abandoned", "canceled"]},
    "result": {},
    "takes": {"type": "number", "minimum": 0},
    "answer": {},
    "resolve": {"enum": ["retry", "succeed", "fail"]},
    "items": {
      "type": "array",
      "items": {
        "type": "object",
        "properties": {
          "status": {"enum": ["succeeded", "failed", "timeout", "abandoned", "canceled"]},
          "result": {},
          "takes": {"type": "number", "minimum": 0}
        },
        "additionalProperties": false
      }
    }
  },
  "additionalProperties": false
})json";

Value schema_of(std::string_view text) {
  auto value = parse_json(text);
  ASSERT(value.ok());
  return *value;
}

class RehearsalReader {
 public:
  RehearsalReader(const YamlNode& document, std::string_view file)
      : document_(document), file_(file) {}

  Result<Rehearsal> read() {
    const Value& source = document_.value;
    Rehearsal out;
    if (source.is_map() && !source.find("cases")) {
      read_single(out);
    } else {
      check(schema_of(kFileSchema), source, "");
      const Value& cases = source["cases"];
      for (size_t i = 0; cases.is_list() && i < cases.size(); ++i) {
        read_case(out, cases.as_list()[i], fmt::format("cases[{}]", i));
      }
    }
    out.workflow = std::string(source.string_or("workflow", ""));
    out.mode = mode_of(source, expr::Mode::Native);
    if (problems_.empty()) return out;
    return Error(ErrorKind::Invalid, "CND-0012", fmt::format("'{}' is no rehearsal", file_))
        .with_problems(std::move(problems_));
  }

 private:
  // One case alone stands beside `workflow`.
  void read_single(Rehearsal& out) {
    Value head = Value::map({{"cases", Value(ValueList{Value::map()})}});
    Value rest = Value::map();
    for (const auto& entry : document_.value.as_map()) {
      bool of_head = entry.name() == "workflow" || entry.name() == "language";
      (of_head ? head : rest).set(entry.name(), entry.value);
    }
    check(schema_of(kFileSchema), head, "");
    read_case(out, rest, "");
  }

  void read_case(Rehearsal& out, const Value& source, const std::string& path) {
    static const Value schema = schema_of(kCaseSchema);
    static const Value result_schema = schema_of(kResultSchema);
    check(schema, source, path);
    const Value& results = source["results"];
    if (results.is_map()) {
      for (const auto& [task, result] : results.as_map()) {
        std::string at = join(join(path, "results"), task.as_string());
        if (!result.is_list()) {
          check(result_schema, result, at);
        } else {
          for (size_t i = 0; i < result.size(); ++i) {
            check(result_schema, result.as_list()[i], fmt::format("{}[{}]", at, i));
          }
        }
      }
    }
    out.cases.push_back({.name = std::string(source.string_or(
                             "name", fmt::format("case {}", out.cases.size() + 1))),
                         .line = document_.line_of(to_pointer(path)),
                         .inputs = source["inputs"],
                         .context = source["context"],
                         .keys = source["keys"],
                         .config = source["config"],
                         .results = results,
                         .cancel = std::string(source.string_or("cancel_after", "")),
                         .expect = source["expect"]});
  }

  static std::string join(std::string_view path, std::string_view member) {
    return path.empty() ? std::string(member) : fmt::format("{}.{}", path, member);
  }

  void check(const Value& schema, const Value& value, const std::string& path) {
    for (const SchemaProblem& problem : validate(schema, value)) {
      std::string at = path;
      if (!problem.spec_path.empty()) at = join(path, problem.spec_path);
      std::string pointer = to_pointer(at);
      if (!problem.key.empty()) pointer = json_pointer(pointer, problem.key);
      problems_.push_back({fmt::format("{}:{}", file_, document_.line_of(pointer)),
                           fmt::format("{}{}{}", at, at.empty() ? "" : ": ", problem.message)});
    }
  }

  const YamlNode& document_;
  std::string_view file_;
  std::vector<Problem> problems_;
};

std::string listed(const std::vector<std::string>& names) {
  return names.empty() ? "(none)" : fmt::format("{}", fmt::join(names, ", "));
}

std::vector<std::string> texts(const Value& list) {
  std::vector<std::string> out;
  for (const Value& text : list.as_list()) out.emplace_back(text.as_string());
  return out;
}

// `build, test failed`: what is expected without a status may have any.
bool same_step(const Value& expected, const Outcome::Step& found) {
  if (expected.is_string()) return expected.as_string() == found.task;
  const auto& entry = expected.as_map().at_index(0);
  return entry.name() == found.task && entry.value == Value(found.status);
}

void compare_sequence(const Value& expect, const Outcome& outcome, std::vector<Difference>& out) {
  const ValueList& steps = expect.as_list();
  if (std::ranges::equal(steps, outcome.sequence, same_step)) return;
  std::vector<std::string> expected;
  std::vector<std::string> found;
  for (const Value& step : steps) {
    if (step.is_string()) {
      expected.emplace_back(step.as_string());
    } else {
      const auto& entry = step.as_map().at_index(0);
      expected.push_back(
          fmt::format("{} {}", entry.name(),
                      entry.value.is_string() ? entry.value.as_string() : to_json(entry.value)));
    }
  }
  for (const auto& step : outcome.sequence) {
    bool as_usual = step.status == "succeeded";
    found.push_back(as_usual ? step.task : fmt::format("{} {}", step.task, step.status));
  }
  out.push_back({"sequence", listed(expected), listed(found)});
}

// Each expected text is a part of the message in its place.
void compare_errors(const Value& expect, const Outcome& outcome, std::vector<Difference>& out) {
  auto expected = texts(expect);
  bool same = std::ranges::equal(outcome.errors, expected, [](const auto& found, const auto& part) {
    return found.find(part) != std::string::npos;
  });
  if (!same) out.push_back({"errors", listed(expected), listed(outcome.errors)});
}

}  // namespace

Result<Rehearsal> read_rehearsal(const YamlNode& document, std::string_view file) {
  return RehearsalReader(document, file).read();
}

std::vector<Difference> differences(const Value& expect, const Outcome& outcome) {
  std::vector<Difference> out;
  if (const Value& status = expect["status"];
      !status.is_null() && status != Value(outcome.status)) {
    out.push_back({"status", std::string(status.as_string()), outcome.status});
  }
  if (expect["sequence"].is_list()) compare_sequence(expect["sequence"], outcome, out);
  if (expect["calls"].is_map()) {
    for (const auto& entry : expect["calls"].as_map()) {
      auto found = outcome.calls.find(std::string(entry.name()));
      if (found != outcome.calls.end() && found->second == entry.value) continue;
      out.push_back({fmt::format("calls.{}", entry.name()), to_json(entry.value),
                     found == outcome.calls.end() ? "(not called)" : to_json(found->second)});
    }
  }
  if (expect.find("output") && expect["output"] != outcome.output) {
    out.push_back({"output", to_json(expect["output"]), to_json(outcome.output)});
  }
  if (expect["errors"].is_list()) compare_errors(expect["errors"], outcome, out);
  if (expect["waiting"].is_list() && texts(expect["waiting"]) != outcome.waiting) {
    out.push_back({"waiting", listed(texts(expect["waiting"])), listed(outcome.waiting)});
  }
  return out;
}

}  // namespace millrace::conductor
