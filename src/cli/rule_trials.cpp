// SPDX-License-Identifier: Apache-2.0
// Rules held against events: tests, and why they matched or did not.
#include <fmt/format.h>

#include "cli/report.h"
#include "cli/tables.h"
#include "cli/values.h"
#include "cli/verdict.h"
#include "net/http.h"

namespace millrace::cli {
namespace {

const std::string kRulesRoute = "/api/v1/rules";

int print_verdict(const Context& context, const Value& verdict) {
  context.print(context.is_table() ? verdict_text(verdict, context.style.colour)
                                   : context.style.object(verdict));
  return verdict.bool_or("matched", false) && verdict.string_or("error", "").empty() ? kOk
                                                                                     : kFailed;
}

// A line for each; how many of them match.
size_t print_verdicts(const Context& context, const ValueList& verdicts) {
  context.print(verdict_rows(verdicts, context.style));
  size_t matched = 0;
  for (const auto& one : verdicts) matched += one.bool_or("matched", false) ? 1 : 0;
  return matched;
}

Result<Value> tested_rule(const Invocation& in) {
  Value body = Value::map();
  if (in.has("REF")) body.set("ref", in.get("REF"));
  if (in.has("--file")) {
    TRY(auto rule, read_document(in.get("--file")));
    body.set("rule", std::move(rule));
  }
  return body;
}

Result<int> test(Context& context) {
  const auto& in = context.in;
  if (in.has("--file") == in.has("REF")) {
    return usage_error("rule test: expected either REF or --file FILE");
  }
  int ways = static_cast<int>(in.has("--event")) + static_cast<int>(in.has("--payload")) +
             static_cast<int>(in.has("--last"));
  if (ways != 1) {
    return usage_error("rule test: expected one of --event ID, --payload FILE and --last N");
  }
  if (in.has("--trigger-parameters") && !in.has("--payload")) {
    return usage_error("rule test: --trigger-parameters go with --payload");
  }
  TRY(auto body, tested_rule(in));
  if (in.has("--last")) {
    TRY(auto last, parse_count("--last", in.get("--last"), 1));
    body.set("last", last);
    TRY(auto verdicts,
        context.session.send({.path = kRulesRoute + "/test/last", .body = std::move(body)}));
    return print_verdicts(context, verdicts.as_list()) > 0 ? kOk : kFailed;
  }
  if (in.has("--event")) body.set("event", in.get("--event"));
  if (in.has("--payload")) {
    TRY(auto payload, json_or_file("--payload", in.get("--payload")));
    body.set("payload", std::move(payload));
  }
  if (in.has("--trigger-parameters")) {
    TRY(auto given, json_or_file("--trigger-parameters", in.get("--trigger-parameters")));
    body.set("trigger_parameters", std::move(given));
  }
  TRY(auto verdict, context.session.send({.path = kRulesRoute + "/test", .body = std::move(body)}));
  return print_verdict(context, verdict);
}

Result<int> why(Context& context) {
  const auto& in = context.in;
  if (in.has("EVENT")) {
    auto query = "/why?event=" + net::percent_encode(in.get("EVENT"));
    TRY(auto verdict, context.session.get(path_of(kRulesRoute, in.get("RULE"), query)));
    print_verdict(context, verdict);
    return kOk;
  }
  std::string query = in.has("--last") ? "?limit=" + net::percent_encode(in.get("--last")) : "";
  TRY(auto verdicts,
      context.session.get(path_of(kRulesRoute, in.get("RULE"), "/verdicts" + query)));
  print_verdicts(context, verdicts.as_list());
  return kOk;
}

}  // namespace

CommandTable rule_trial_commands() {
  return {
      {.path = "rule test",
       .help = "Hold a rule against events or a payload; exit code 0 when it matches",
       .arguments = {{.name = "REF", .help = "A rule that exists", .optional = true}},
       .options = {{"--file", "FILE", "A rule as create takes it; what create refuses is refused"},
                   {"--event", "ID", "A past event"},
                   {"--last", "N", "The last events of its trigger"},
                   {"--payload", "FILE",
                    "A payload of the rule's trigger: JSON, a file, - is stdin"},
                   {"--trigger-parameters", "JSON",
                    "Of the trigger that fired (default: those of the rule); JSON or a file"}},
       .remote = test},
      {.path = "rule why",
       .help = "Why a rule matched a past event, or did not; without EVENT, of the last ones",
       .arguments = {{"RULE", "pack.name"},
                     {.name = "EVENT", .help = "Id of the event", .optional = true}},
       .options = {{"--last", "N", "So many events of its trigger (default: 50)"}},
       .remote = why},
  };
}

}  // namespace millrace::cli
