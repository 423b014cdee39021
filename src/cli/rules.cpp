// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "base/json.h"
#include "cli/report.h"
#include "cli/stdout.h"
#include "cli/tables.h"
#include "cli/values.h"
#include "net/http.h"

namespace millrace::cli {
namespace {

const std::string kRuleRoute = "/api/v1/rules";

constexpr Column kRuleColumns[] = {
    {"REF", "ref"},
    {"STATE", "state"},
    {"REVISION", "revision"},
    {"TRIGGER", "trigger.ref"},
    {"ACTION", "action.ref"},
    {"OVERRIDE", "override.name"},
    {"UPDATED", "updated", Look::Time},
};

Result<int> print_rule(const Context& context, const Value& rule) {
  if (rule["warnings"].is_list()) {
    for (const auto& warning : rule["warnings"].as_list()) {
      tell(fmt::format("warning: {}\n", warning.as_string()));
    }
  }
  if (!context.is_table()) {
    context.print_object(rule);
    return kOk;
  }
  bool is_unresolved = rule.string_or("state", "") == "unresolved";
  auto name = rule["override"].string_or("name", "");
  context.print(fmt::format(
      "{}rule '{}': revision {}, {}{}{}\n", context.in.has("--dry-run") ? "would be: " : "",
      rule.string_or("ref", ""), rule.int_or("revision", 0),
      rule.bool_or("enabled", false) ? "enabled" : "disabled",
      name.empty() ? "" : fmt::format(", overridden by '{}'", name),
      is_unresolved ? fmt::format("; {}", rule.string_or("fault", "unresolved")) : ""));
  if (rule.string_or("state", "") == "paused") {
    context.print(fmt::format("its timer is paused: 'millrace timer resume {}' lets it go on\n",
                              rule.string_or("ref", "")));
  }
  if (rule["next_fires"].is_list()) {
    std::string times;
    for (const auto& at : rule["next_fires"].as_list()) {
      times += fmt::format("{}{}", times.empty() ? "" : ", ", at.as_string());
    }
    context.print(fmt::format("fires next: {}\n", times));
  }
  return kOk;
}

// With If-Match when a revision is given.
Result<Value> change(Context& context, std::string method, std::string path, Value body = {}) {
  if (context.in.has("--dry-run")) {
    path += path.find('?') == path.npos ? "?dry_run=true" : "&dry_run=true";
  }
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

// `ref`, or StackStorm's `pack` and `name`.
std::string ref_of_file(const Value& rule) {
  if (auto ref = rule.string_or("ref", ""); !ref.empty()) return std::string(ref);
  auto name = rule.string_or("name", "");
  return name.empty() ? "" : fmt::format("{}.{}", rule.string_or("pack", "default"), name);
}

Result<int> update(Context& context) {
  TRY(auto rule, read_document(context.in.get("--file")));
  auto ref = ref_of_file(rule);
  if (ref.empty()) {
    return usage_error(fmt::format("{}: expected a rule with a ref, or with pack and name",
                                   context.in.get("--file")));
  }
  TRY(auto made, change(context, "PUT", path_of(kRuleRoute, ref), std::move(rule)));
  return print_rule(context, made);
}

RemoteHandler switch_to(std::string verb) {
  return [verb](Context& context) -> Result<int> {
    TRY(auto rule, change(context, "POST", path_of(kRuleRoute, context.in.get("REF"), "/" + verb)));
    return print_rule(context, rule);
  };
}

// action.parameters.NAME=VALUE: a path of two names at most, whose last part is the rest.
void put(Value& set, std::string_view path, Value value) {
  auto dot = path.find('.');
  auto head = path.substr(0, dot);
  bool is_deep = dot != path.npos && (head == "trigger" || head == "action");
  if (!is_deep) {
    set.set(path, std::move(value));
    return;
  }
  Value use = set[head].is_map() ? set[head] : Value::map();
  auto rest = path.substr(dot + 1);
  constexpr std::string_view kOfParameter = "parameters.";
  if (rest.starts_with(kOfParameter)) {
    Value parameters = use["parameters"].is_map() ? use["parameters"] : Value::map();
    parameters.set(rest.substr(kOfParameter.size()), std::move(value));
    use.set("parameters", std::move(parameters));
  } else {
    use.set(rest, std::move(value));
  }
  set.set(head, std::move(use));
}

Result<Value> wanted_override(const Invocation& in) {
  Value set = Value::map();
  if (in.has("--file")) {
    TRY(set, read_document(in.get("--file")));
  }
  for (const auto& word : in.all("--set")) {
    auto equals = word.find('=');
    if (equals == word.npos || equals == 0) {
      return usage_error(fmt::format("--set: expected KEY=VALUE, found '{}'", word));
    }
    auto text = word.substr(equals + 1);
    if (text.starts_with('@')) {
      TRY(auto value, read_document(text.substr(1)));
      put(set, std::string_view(word).substr(0, equals), std::move(value));
      continue;
    }
    auto value = parse_json(text);
    put(set, std::string_view(word).substr(0, equals), value.ok() ? *value : Value(text));
  }
  if (in.has("--enable")) set.set("enabled", true);
  if (in.has("--disable")) set.set("enabled", false);
  return set;
}

Result<int> override_rule(Context& context) {
  const auto& in = context.in;
  auto path = path_of(kRuleRoute, in.get("REF"), "/override");
  if (in.has("--undo")) {
    if (in.has("--name")) path += "?name=" + net::percent_encode(in.get("--name"));
    TRY(auto rule, change(context, "DELETE", path));
    return print_rule(context, rule);
  }
  if (in.has("--enable") && in.has("--disable")) {
    return usage_error("rule override: expected --enable or --disable, not both");
  }
  TRY(auto set, wanted_override(in));
  if (set.is_map() && set.size() == 0) {
    return usage_error("rule override: expected --disable, --enable, --set, --file or --undo");
  }
  Value body = Value::map({{"set", std::move(set)}});
  if (in.has("--name")) body.set("name", in.get("--name"));
  if (in.has("--replace")) body.set("replace", true);
  TRY(auto rule, change(context, "POST", path, std::move(body)));
  return print_rule(context, rule);
}

Result<int> history(Context& context) {
  const auto& in = context.in;
  std::string query = in.has("--limit") ? "?limit=" + net::percent_encode(in.get("--limit")) : "";
  TRY(auto revisions,
      context.session.get(path_of(kRuleRoute, in.get("REF"), "/revisions" + query)));
  if (!context.is_table()) {
    context.print_object(revisions);
    return kOk;
  }
  for (const auto& one : revisions.as_list()) {
    bool is_first = one.int_or("revision", 0) == 1;
    context.print(fmt::format("revision {}  {}  by {}{}\n", one.int_or("revision", 0),
                              one.string_or("at", ""), one.string_or("by", "?"),
                              one.bool_or("deleted", false) ? "  deleted"
                              : is_first                    ? "  made"
                                                            : ""));
    for (const auto& change : one["changes"].as_list()) {
      context.print(fmt::format("  {}: {} -> {}\n", change.string_or("path", ""),
                                to_json(change["before"]), to_json(change["after"])));
    }
  }
  return kOk;
}

}  // namespace

CommandTable rule_commands() {
  const Option file{"--file", "FILE",
                    "The rule as JSON, or as YAML (.yaml), StackStorm's form too; - is stdin"};
  Option needed = file;
  needed.required = true;
  const Option revision{"--revision", "N", "Only if this is the present revision"};
  const Option dry_run{"--dry-run", "", "Check, show what would come of it, change nothing"};
  const Argument ref{"REF", "pack.name of the rule"};
  CommandTable commands = {
      list_command({.path = "rule list",
                    .help = "List rules",
                    .route = kRuleRoute,
                    .columns = kRuleColumns,
                    .filters = {{"--trigger", "REF", "Only rules on this trigger"},
                                {"--action", "REF", "Only rules that run this action"},
                                {"--pack", "NAME", "Only rules of this pack"},
                                {.name = "--overridden",
                                 .value = "BOOL",
                                 .help = "Only rules with an override, or without",
                                 .choices = {"true", "false"}}},
                    .topic = "rule"}),
      show_command("rule show", "Show a rule", kRuleRoute, "REF"),
      {.path = "rule create",
       .help = "Create a rule",
       .options = {needed, dry_run},
       .remote = create_rule},
      {.path = "rule update",
       .help = "Replace the rule whose ref stands in the file; of a pack's, override it",
       .options = {needed, revision, dry_run},
       .remote = update},
      {.path = "rule override",
       .help = "Change a pack's rule over its file, now and in later releases; or end that",
       .arguments = {ref},
       .options = {{"--name", "TEXT",
                    "What the change is called (default: override); one of another name is neither "
                    "added to nor undone"},
                   {"--replace", "", "In the place of the change that is there, not added to it"},
                   {"--disable", "", "The rule is off"},
                   {"--enable", "", "The rule is on"},
                   {.name = "--set",
                    .value = "KEY=VALUE",
                    .help =
                        "criteria, action.ref, action.parameters.NAME, trigger.parameters.NAME, "
                        "...; VALUE is JSON, a text or @FILE",
                    .repeats = true},
                   {"--file", "FILE", "The same as a part of a rule, JSON or YAML"},
                   {"--undo", "", "The rule is as its file says again"},
                   revision,
                   dry_run},
       .remote = override_rule},
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
      {.path = "rule history",
       .help = "Who has changed what of a rule, newest first",
       .arguments = {ref},
       .options = {{"--limit", "N", "Revisions at most (default: 50)"}},
       .remote = history},
  };
  for (auto& command : rule_trial_commands()) commands.push_back(std::move(command));
  return commands;
}

}  // namespace millrace::cli
