// SPDX-License-Identifier: Apache-2.0
#include "cli/trace.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/time.h"
#include "cli/report.h"
#include "cli/tables.h"
#include "cli/verdict.h"
#include "net/http.h"

namespace millrace::cli {
namespace {

constexpr size_t kMostUnmatched = 20;

int64_t ms_of(std::string_view rfc3339) {
  auto parsed = parse_rfc3339(rfc3339);
  return parsed.ok() ? *parsed : 0;
}

// Of a step of a workflow its task and, in a list, its item: "test[2]  ".
std::string step_of(const Value& execution) {
  auto task = execution.string_or("task", "");
  if (task.empty()) return "";
  if (!execution.find("task_item")) return fmt::format("{}  ", task);
  return fmt::format("{}[{}]  ", task, execution.int_or("task_item", 0));
}

// Writes a tree; a line knows whether siblings follow it.
class TreeText {
 public:
  TreeText(int64_t began_ms, bool colour) : began_ms_(began_ms), colour_(colour) {}

  void root(const std::string& text) { out_ += text + "\n"; }
  void event(const Value& event);
  void enforcement(const Value& entry, bool is_last);
  void unmatched(const Value& verdict, bool is_last);
  void execution(const Value& node, const std::string& indent, bool is_last);
  std::string take() { return std::move(out_); }

 private:
  std::string since(std::string_view time) const {
    if (time.empty()) return "";
    return fmt::format("  +{}", duration_text(std::max<int64_t>(0, ms_of(time) - began_ms_)));
  }
  static std::string branch(bool is_last) { return is_last ? "└─ " : "├─ "; }
  static std::string below(bool is_last) { return is_last ? "   " : "│  "; }

  int64_t began_ms_;
  bool colour_;
  std::string out_;
};

void TreeText::event(const Value& event) {
  std::string from(event.string_or("source", ""));
  if (auto type = event.string_or("type", ""); !type.empty()) from += fmt::format(" ({})", type);
  root(fmt::format("{}  event {}  {}  from {}", event.string_or("created", ""),
                   event.string_or("id", ""), event.string_or("trigger", ""), from));
}

void TreeText::enforcement(const Value& entry, bool is_last) {
  const auto& match = entry["enforcement"];
  const auto& started = entry["started"];
  bool failed = match.string_or("status", "") == "failed";
  out_ +=
      fmt::format("{}rule {}  revision {}  {}{}\n", branch(is_last),
                  match.string_or("rule_ref", ""), match.int_or("rule_revision", 0),
                  painted("matched", "matched", colour_), since(match.string_or("created", "")));
  auto bar = started.is_null() ? "   " : "│  ";
  out_ += criteria_lines(match["verdicts"], below(is_last) + bar, colour_);
  if (failed) {
    out_ += fmt::format("{}{}\n", below(is_last),
                        painted(match.string_or("error", ""), "failed", colour_));
  }
  if (!started.is_null()) execution(started, below(is_last), true);
}

void TreeText::unmatched(const Value& verdict, bool is_last) {
  out_ += fmt::format("{}rule {}  revision {}  did not match\n", branch(is_last),
                      verdict.string_or("rule", ""), verdict.int_or("revision", 0));
  Value reasons = Value::list();
  if (verdict["criteria"].is_list()) {
    for (const auto& one : verdict["criteria"].as_list()) {
      if (!one.bool_or("holds", false)) reasons.push_back(one);
    }
  }
  out_ += criteria_lines(reasons, below(is_last) + "   ", colour_);
  if (auto reason = verdict.string_or("reason", ""); !reason.empty()) {
    out_ += fmt::format("{}   {}\n", below(is_last), reason);
  }
}

void TreeText::execution(const Value& node, const std::string& indent, bool is_last) {
  const auto& row = node["execution"];
  auto status = row.string_or("status", "");
  auto attempt = row.int_or("attempt", 1);
  out_ += fmt::format("{}{}{}execution {}  {}  {}", indent, branch(is_last), step_of(row),
                      row.string_or("id", ""), row.string_or("action", ""),
                      painted(status, status, colour_));
  if (row.find("duration_ms")) {
    out_ += " after " + duration_text(row.int_or("duration_ms", 0));
  }
  out_ += fmt::format("  {} attempt{}{}\n", attempt, attempt == 1 ? "" : "s",
                      since(row.string_or("started", row.string_or("created", ""))));
  for (auto name : {"failure", "held"}) {
    if (auto text = row.string_or(name, ""); !text.empty()) {
      out_ += fmt::format("{}{}{}: {}\n", indent, below(is_last), name, text);
    }
  }
  if (!node["children"].is_list()) return;
  const auto& children = node["children"].as_list();
  for (const auto& child : children) {
    execution(child, indent + below(is_last), &child == &children.back());
  }
}

// Verdicts of the rules on the event's trigger that are not among the matches.
Result<ValueList> find_unmatched(Context& context, const Value& trace) {
  const auto& event = trace["event"];
  ValueList unmatched;
  if (event.is_null()) return unmatched;
  auto trigger = net::percent_encode(event.string_or("trigger", ""));
  TRY(auto rules, context.session.list("/api/v1/rules?trigger=" + trigger, 200));
  for (const auto& rule : rules) {
    auto ref = rule.string_or("ref", "");
    const auto& matches = trace["enforcements"].as_list();
    bool has_matched = std::ranges::any_of(matches, [&](const Value& entry) {
      return entry["enforcement"].string_or("rule_ref", "") == ref;
    });
    if (has_matched || unmatched.size() == kMostUnmatched) continue;
    auto query = fmt::format("/why?event={}", event.string_or("id", ""));
    auto verdict = context.session.get(path_of("/api/v1/rules", ref, query));
    if (!verdict.ok()) {  // one rule that cannot be judged does not hide the others
      unmatched.push_back(Value::map({{"rule", ref}, {"reason", verdict.error().message()}}));
    } else if (!verdict->bool_or("matched", false)) {
      unmatched.push_back(*verdict);
    }
  }
  return unmatched;
}

Result<int> show(Context& context) {
  TRY(auto trace, context.session.get(path_of("/api/v1/traces", context.in.get("ID"))));
  if (!context.is_table()) {
    context.print_object(trace);
    return kOk;
  }
  TRY(auto unmatched, find_unmatched(context, trace));
  context.print(trace_text(trace, unmatched, context.style.colour));
  return kOk;
}

}  // namespace

std::string trace_text(const Value& trace, const ValueList& unmatched, bool colour) {
  const auto& event = trace["event"];
  if (event.is_null()) {
    auto created = trace["execution"]["execution"].string_or("created", "");
    TreeText tree(ms_of(created), colour);
    tree.root(fmt::format("{}  no event", created));
    tree.execution(trace["execution"], "", true);
    return tree.take();
  }
  TreeText tree(ms_of(event.string_or("created", "")), colour);
  tree.event(event);
  const auto& enforcements = trace["enforcements"].as_list();
  for (const auto& entry : enforcements) {
    tree.enforcement(entry, &entry == &enforcements.back() && unmatched.empty());
  }
  for (const auto& verdict : unmatched) tree.unmatched(verdict, &verdict == &unmatched.back());
  if (enforcements.empty() && unmatched.empty()) tree.root("└─ no rule is on this trigger");
  return tree.take();
}

CommandTable trace_commands() {
  return {{.path = "trace show",
           .help = "Show what an event caused, or where an execution came from",
           .arguments = {{"ID", "Of an event or of an execution"}},
           .remote = show}};
}

}  // namespace millrace::cli
