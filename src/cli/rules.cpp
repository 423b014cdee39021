// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "cli/report.h"
#include "cli/tables.h"
#include "cli/values.h"
#include "cli/verdict.h"
#include "net/http.h"

namespace millrace::cli {
namespace {

const std::string kRuleRoute = "/api/v1/rules";

constexpr Column kRuleColumns[] = {
    {"REF", "ref"},           {"STATE", "state"},
    {"REVISION", "revision"}, {"TRIGGER", "trigger.ref"},
    {"ACTION", "action.ref"}, {"UPDATED", "updated", Look::Time},
};

Result<int> print_rule(const Context& context, const Value& rule) {
  if (context.is_table()) {
    bool is_unresolved = rule.string_or("state", "") == "unresolved";
    context.print(fmt::format(
        "rule '{}': revision {}, {}{}\n", rule.string_or("ref", ""), rule.int_or("revision", 0),
        rule.bool_or("enabled", false) ? "enabled" : "disabled",
        is_unresolved ? fmt::format("; {}", rule.string_or("fault", "unresolved")) : ""));
  } else {
    context.print_object(rule);
  }
  return kOk;
}

// With If-Match when a revision is given.
Result<Value> change(Context& context, std::string method, std::string path, Value body = {}) {
  Session::Request request{.method = std::move(method),
                           .path = std::move(path),
                           .body = std::move(body),
                           .takes_key = true};
  if (context.in.has("--revision")) {
    TRY(auto revision, parse_count("--revision", context.in.get("--revision"), 1));
    request.headers.emplace_back("If-Match", fmt::format("\"{}\"", revision));
  }
  return context.session.send(std::move(request));
}

Result<int> create_rule(Context& context) {
  TRY(auto rule, read_document(context.in.get("--file")));
  TRY(auto made, change(context, "POST", kRuleRoute, std::move(rule)));
  return print_rule(context, made);
}

Result<int> update(Context& context) {
  TRY(auto rule, read_document(context.in.get("--file")));
  auto ref = rule.string_or("ref", "");
  if (ref.empty()) {
    return usage_error(fmt::format("{}: expected a rule with a ref", context.in.get("--file")));
  }
  auto path = path_of(kRuleRoute, ref);
  TRY(auto made, change(context, "PUT", path, std::move(rule)));
  return print_rule(context, made);
}

RemoteHandler switch_to(std::string verb) {
  return [verb](Context& context) -> Result<int> {
    TRY(auto rule, change(context, "POST", path_of(kRuleRoute, context.in.get("REF"), "/" + verb)));
    return print_rule(context, rule);
  };
}

int print_verdict(const Context& context, const Value& verdict) {
  context.print(context.is_table() ? verdict_text(verdict, context.style.colour)
                                   : context.style.object(verdict));
  return verdict.bool_or("matched", false) && verdict.string_or("error", "").empty() ? kOk
                                                                                     : kFailed;
}

Result<int> test(Context& context) {
  const auto& in = context.in;
  if (in.has("--file") == in.has("REF")) {
    return usage_error("rule test: expected either REF or --file FILE");
  }
  if (in.has("--event") == in.has("--payload")) {
    return usage_error("rule test: expected either --event ID or --payload FILE");
  }
  Value body = Value::map();
  if (in.has("REF")) body.set("ref", in.get("REF"));
  if (in.has("--event")) body.set("event", in.get("--event"));
  if (in.has("--file")) {
    TRY(auto rule, read_document(in.get("--file")));
    body.set("rule", std::move(rule));
  }
  if (in.has("--payload")) {
    TRY(auto payload, read_document(in.get("--payload")));
    body.set("payload", std::move(payload));
  }
  TRY(auto verdict, context.session.send({.path = kRuleRoute + "/test", .body = std::move(body)}));
  return print_verdict(context, verdict);
}

Result<int> why(Context& context) {
  auto query = "/why?event=" + net::percent_encode(context.in.get("EVENT"));
  TRY(auto verdict, context.session.get(path_of(kRuleRoute, context.in.get("RULE"), query)));
  print_verdict(context, verdict);
  return kOk;
}

}  // namespace

CommandTable rule_commands() {
  const Option file{"--file", "FILE", "The rule as JSON, or as YAML (.yaml); - is stdin"};
  Option needed = file;
  needed.required = true;
  const Option revision{"--revision", "N", "Only if this is the present revision"};
  const Argument ref{"REF", "pack.name of the rule"};
  return {
      list_command({.path = "rule list",
                    .help = "List rules",
                    .route = kRuleRoute,
                    .columns = kRuleColumns,
                    .filters = {{"--trigger", "REF", "Only rules on this trigger"},
                                {"--action", "REF", "Only rules that run this action"},
                                {"--pack", "NAME", "Only rules of this pack"}},
                    .topic = "rule"}),
      show_command("rule show", "Show a rule", kRuleRoute, "REF"),
      {.path = "rule create", .help = "Create a rule", .options = {needed}, .remote = create_rule},
      {.path = "rule update",
       .help = "Replace the rule whose ref stands in the file",
       .options = {needed, revision},
       .remote = update},
      {.path = "rule enable",
       .help = "Enable a rule",
       .arguments = {ref},
       .options = {revision},
       .remote = switch_to("enable")},
      {.path = "rule disable",
       .help = "Disable a rule",
       .arguments = {ref},
       .options = {revision},
       .remote = switch_to("disable")},
      delete_command("rule delete", "Delete a rule", kRuleRoute, "REF"),
      {.path = "rule test",
       .help = "Hold a rule against an event or a payload; exit code 0 when it matches",
       .arguments = {{.name = "REF", .help = "A rule that exists", .optional = true}},
       .options = {file,
                   {"--event", "ID", "A past event"},
                   {"--payload", "FILE", "A payload of the rule's trigger"}},
       .remote = test},
      {.path = "rule why",
       .help = "Why a rule matched a past event, or did not",
       .arguments = {{"RULE", "pack.name"}, {"EVENT", "Id of the event"}},
       .remote = why},
  };
}

}  // namespace millrace::cli
