// SPDX-License-Identifier: Apache-2.0
#include "cli/verdict.h"

#include <fmt/format.h>

#include "base/json.h"
#include "base/text.h"
#include "base/yaml.h"
#include "cli/output.h"

namespace millrace::cli {

std::string criteria_lines(const Value& verdicts, std::string_view indent, bool colour) {
  std::string out;
  if (!verdicts.is_list()) return out;
  for (const auto& one : verdicts.as_list()) {
    bool holds = one.bool_or("holds", false);
    auto mark = painted(holds ? "yes" : "no ", holds ? "yes" : "failed", colour);
    if (auto words = one.string_or("message", ""); !holds && !words.empty()) {
      out += fmt::format("{}{} {}\n", indent, mark, words);
      out += criteria_lines(one["parts"], std::string(indent) + "  ", colour);
      continue;
    }
    out += fmt::format("{}{} {} {}", indent, mark, one.string_or("criterion", ""),
                       one.string_or("operator", ""));
    if (one.find("expected")) out += " " + to_json(one["expected"]);
    if (!holds && one.find("found")) out += ", found " + to_json(one["found"]);
    if (auto note = one.string_or("note", ""); !note.empty()) out += fmt::format(" ({})", note);
    out += "\n" + criteria_lines(one["parts"], std::string(indent) + "  ", colour);
  }
  return out;
}

std::string verdict_text(const Value& verdict, bool colour) {
  bool matched = verdict.bool_or("matched", false);
  auto revision = verdict.int_or("revision", 0);
  auto error = verdict.string_or("error", "");
  std::string_view outcome = !matched        ? "did not match"
                             : error.empty() ? "matched"
                                             : "matched, but its parameters do not render";
  std::string out =
      fmt::format("rule '{}'{}: {}\n", verdict.string_or("rule", ""),
                  revision ? fmt::format(" revision {}", revision) : "",
                  painted(outcome, matched && error.empty() ? "matched" : "failed", colour));
  if (auto reason = verdict.string_or("reason", ""); !reason.empty()) {
    out += fmt::format("  {}\n", reason);
  }
  out += criteria_lines(verdict["criteria"], "  ", colour);
  if (!error.empty()) out += fmt::format("  parameters: {}\n", error);
  if (verdict["parameters"].size() > 0) {
    out += "  parameters:\n";
    for (auto line : split(to_yaml(verdict["parameters"]), '\n')) {
      if (!line.empty()) out += fmt::format("    {}\n", line);
    }
  }
  return out;
}

namespace {

// What kept a rule from matching, in words: the first reason.
std::string first_reason(const Value& verdict) {
  if (auto reason = verdict.string_or("reason", ""); !reason.empty()) return std::string(reason);
  if (auto error = verdict.string_or("error", ""); !error.empty()) return std::string(error);
  if (!verdict["criteria"].is_list()) return {};
  for (const auto& one : verdict["criteria"].as_list()) {
    if (!one.bool_or("holds", false)) return std::string(one.string_or("message", ""));
  }
  return {};
}

}  // namespace

std::string brief_verdict_text(const Value& verdict, bool colour) {
  bool matched = verdict.bool_or("matched", false);
  std::string out =
      fmt::format("{} {}", painted(matched ? "yes" : "no ", matched ? "yes" : "failed", colour),
                  verdict.string_or("rule", ""));
  if (auto execution = verdict.string_or("execution", ""); !execution.empty() && execution != "0") {
    out += fmt::format("  started {}", execution);
  }
  if (auto reason = first_reason(verdict); !reason.empty())
    out += fmt::format("\n      {}", reason);
  out += "\n";
  if (!matched || verdict["parameters"].size() == 0) return out;
  for (auto line : split(to_yaml(verdict["parameters"]), '\n')) {
    if (!line.empty()) out += fmt::format("      {}\n", line);
  }
  return out;
}

std::string verdict_rows(const ValueList& verdicts, const Style& style) {
  static constexpr Column kVerdictColumns[] = {{"EVENT", "event"},
                                               {"CREATED", "event_created", Look::Time},
                                               {"REVISION", "revision"},
                                               {"MATCHED", "matched", Look::Flag},
                                               {"WHY", "why"}};
  if (style.format != Format::Table) return style.rows(kVerdictColumns, verdicts);
  ValueList rows;
  for (const auto& verdict : verdicts) {
    Value row = verdict;
    row.set("why", first_reason(verdict));
    rows.push_back(std::move(row));
  }
  return style.rows(kVerdictColumns, rows);
}

}  // namespace millrace::cli
