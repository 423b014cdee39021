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
    out += fmt::format("{}{} {} {}", indent,
                       painted(holds ? "yes" : "no ", holds ? "yes" : "failed", colour),
                       one.string_or("criterion", ""), one.string_or("operator", ""));
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
  std::string out = fmt::format(
      "rule '{}'{}: {}\n", verdict.string_or("rule", ""),
      revision ? fmt::format(" revision {}", revision) : "",
      painted(matched ? "matched" : "did not match", matched ? "matched" : "failed", colour));
  if (auto reason = verdict.string_or("reason", ""); !reason.empty()) {
    out += fmt::format("  {}\n", reason);
  }
  out += criteria_lines(verdict["criteria"], "  ", colour);
  if (auto error = verdict.string_or("error", ""); !error.empty()) {
    out += fmt::format("  parameters: {}\n", error);
  }
  if (verdict["parameters"].size() > 0) {
    out += "  parameters:\n";
    for (auto line : split(to_yaml(verdict["parameters"]), '\n')) {
      if (!line.empty()) out += fmt::format("    {}\n", line);
    }
  }
  return out;
}

}  // namespace millrace::cli
