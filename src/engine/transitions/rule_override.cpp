// SPDX-License-Identifier: Apache-2.0
#include "engine/transitions/rule_override.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/json.h"
#include "base/json_schema.h"
#include "base/problems.h"
#include "base/text.h"
#include "base/time.h"
#include "engine/transitions/rule_rows.h"

namespace millrace::engine {
namespace {

constexpr std::string_view kParts[] = {"description", "enabled", "type",     "trigger",
                                       "criteria",    "action",  "trace_tag"};

bool is_use(std::string_view part) { return part == "trigger" || part == "action"; }

// `later` over `earlier`, both maps; a null takes a name away unless nulls are kept for later.
Value over(const Value& earlier, const Value& later, bool keep_nulls) {
  Value out = earlier.is_map() ? earlier : Value::map();
  for (const auto& entry : later.as_map()) {
    if (entry.value.is_null() && !keep_nulls) {
      out.mutable_map().erase(entry.name());
    } else {
      out.set(entry.name(), entry.value);
    }
  }
  return out;
}

Value lay_over(const Value& base, const Value& set, bool keep_nulls) {
  Value out = base;
  for (const auto& [key, value] : set.as_map()) {
    std::string_view part = key.as_string();
    if (!is_use(part)) {
      out.set(part, value);
      continue;
    }
    Value use = out[part].is_map() ? out[part] : Value::map();
    if (value.find("ref")) use.set("ref", value["ref"]);
    if (value["parameters"].is_map()) {
      use.set("parameters", over(use["parameters"], value["parameters"], keep_nulls));
    }
    out.set(part, std::move(use));
  }
  return out;
}

void check_use(std::string_view part, const Value& value, std::vector<Problem>& problems) {
  auto at = json_pointer("", part);
  if (!value.is_map()) {
    problems.push_back(
        {at, fmt::format("expected a map of ref and parameters, found {}", value.type_name())});
    return;
  }
  for (const auto& entry : value.as_map()) {
    std::string_view name = entry.name();
    constexpr std::string_view kOfUse[] = {"ref", "parameters"};
    bool is_known = std::ranges::find(kOfUse, name) != std::end(kOfUse);
    bool is_right = name == "ref" ? entry.value.is_string() : entry.value.is_map();
    if (!is_known) {
      problems.push_back({json_pointer(at, name), "unknown field" + did_you_mean(name, kOfUse)});
    } else if (!is_right) {
      problems.push_back({json_pointer(at, name),
                          fmt::format("expected {}, found {}", name == "ref" ? "string" : "a map",
                                      entry.value.type_name())});
    }
  }
}

Value difference_of_use(const Value& from, const Value& to) {
  Value out = Value::map();
  if (from["ref"] != to["ref"]) out.set("ref", to["ref"]);
  Value parameters = Value::map();
  if (to["parameters"].is_map()) {
    for (const auto& entry : to["parameters"].as_map()) {
      const Value* before = from["parameters"].find(entry.name());
      if (!before || *before != entry.value) parameters.set(entry.name(), entry.value);
    }
  }
  if (from["parameters"].is_map()) {
    for (const auto& entry : from["parameters"].as_map()) {
      if (!to["parameters"].find(entry.name())) parameters.set(entry.name(), Value());
    }
  }
  if (parameters.size() > 0) out.set("parameters", std::move(parameters));
  return out;
}

}  // namespace

std::string to_json_text(const RuleOverride& override) {
  if (!override.is_there()) return {};
  return to_json(Value::map(
      {{"name", override.name}, {"by", override.by}, {"at", override.at}, {"set", override.set}}));
}

Result<RuleOverride> read_override(std::string_view json) {
  RuleOverride out;
  if (json.empty()) return out;
  TRY(Value stored, parse_json(json, kOwnJson));
  out.name = stored.string_or("name", "");
  out.by = stored.string_or("by", "");
  out.at = stored.int_or("at", 0);
  if (stored["set"].is_map()) out.set = stored["set"];
  return out;
}

Value to_value(const RuleOverride& override) {
  return Value::map({{"name", override.name},
                     {"by", override.by},
                     {"at", to_rfc3339(override.at)},
                     {"set", override.set}});
}

Result<void> check_override(const Value& set) {
  std::vector<Problem> problems;
  if (!set.is_map()) {
    problems.push_back({"", fmt::format("expected a map, found {}", set.type_name())});
  } else {
    for (const auto& entry : set.as_map()) {
      std::string_view part = entry.name();
      auto expect = [&](bool is_right, std::string_view kind) {
        if (is_right) return;
        problems.push_back({json_pointer("", part),
                            fmt::format("expected {}, found {}", kind, entry.value.type_name())});
      };
      if (std::ranges::find(kParts, part) == std::end(kParts)) {
        problems.push_back({json_pointer("", part), "unknown field" + did_you_mean(part, kParts)});
      } else if (is_use(part)) {
        check_use(part, entry.value, problems);
      } else if (part == "enabled") {
        expect(entry.value.is_bool(), "boolean");
      } else if (part == "type") {
        bool is_type = entry.value == Value("standard") || entry.value == Value("backstop");
        expect(is_type, "standard or backstop");
      } else if (part != "criteria") {
        expect(entry.value.is_string(), "string");
      }
      if (problems.size() >= kMostProblems) break;
    }
  }
  if (problems.empty()) return {};
  return Error(ErrorKind::Invalid, "RUL-0106",
               fmt::format("an override cannot set this: {} {}", problems.front().path,
                           problems.front().message))
      .with_problems(std::move(problems));
}

Value merged(const Value& earlier, const Value& later) { return lay_over(earlier, later, true); }

Result<RuleSpec> overridden(const RuleSpec& of_file, const Value& set) {
  return rule_from_value(lay_over(rule_to_value(of_file), set, false));
}

Value difference(const RuleSpec& of_file, const RuleSpec& wanted) {
  Value from = rule_to_value(of_file);
  Value to = rule_to_value(wanted);
  Value out = Value::map();
  for (std::string_view part : kParts) {
    if (part == "enabled" || from[part] == to[part]) continue;
    Value changed = is_use(part) ? difference_of_use(from[part], to[part]) : to[part];
    if (!is_use(part) || changed.size() > 0) out.set(part, std::move(changed));
  }
  return out;
}

}  // namespace millrace::engine
