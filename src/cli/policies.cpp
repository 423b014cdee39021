// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "base/json.h"
#include "cli/report.h"
#include "cli/tables.h"
#include "cli/values.h"

namespace millrace::cli {
namespace {

const std::string kPolicyRoute = "/api/v1/policies";

constexpr Column kPolicyColumns[] = {
    {"REF", "ref"},      {"ENABLED", "enabled"},           {"ACTION", "action"},
    {"PACK", "of_pack"}, {"AT ONCE", "concurrency.limit"}, {"RATE", "rate.limit"},
    {"PER", "rate.per"}, {"QUOTA", "quota.limit"},         {"RETRIES", "retry.count"},
};

Result<int> print_policy(const Context& context, const Value& policy) {
  if (!context.is_table()) {
    context.print_object(policy);
    return kOk;
  }
  context.print(fmt::format("policy '{}': {}\n", policy.string_or("ref", ""),
                            policy.bool_or("enabled", false) ? "enabled" : "disabled"));
  const Value& warnings = policy["warnings"];
  if (!warnings.is_list()) return kOk;
  for (const Value& warning : warnings.as_list()) {
    context.print(fmt::format("note: {}\n", warning.is_string() ? warning.as_string() : ""));
  }
  return kOk;
}

Result<int> create(Context& context) {
  TRY(auto policy, read_document(context.in.get("--file")));
  TRY(auto made,
      context.session.send({.path = kPolicyRoute, .body = std::move(policy), .takes_key = true}));
  return print_policy(context, made);
}

Result<int> update(Context& context) {
  TRY(auto policy, read_document(context.in.get("--file")));
  Session::Request request{.method = "PUT",
                           .path = path_of(kPolicyRoute, context.in.get("REF")),
                           .body = std::move(policy),
                           .takes_key = true};
  if (context.in.has("--version")) {
    TRY(auto version, parse_count("--version", context.in.get("--version"), 0));
    request.headers.emplace_back("If-Match", fmt::format("\"{}\"", version));
  }
  TRY(auto made, context.session.send(std::move(request)));
  return print_policy(context, made);
}

RemoteHandler switch_policy(std::string verb) {
  return [verb](Context& context) -> Result<int> {
    auto path = path_of(kPolicyRoute, context.in.get("REF"), "/" + verb);
    TRY(auto policy, context.session.send({.path = path, .takes_key = true}));
    return print_policy(context, policy);
  };
}

}  // namespace

CommandTable policy_commands() {
  const Option file{.name = "--file",
                    .value = "FILE",
                    .help = "The policy as JSON, or as YAML (.yaml); - is stdin",
                    .required = true};
  const Argument ref{"REF", "pack.name of the policy"};
  return {
      list_command({.path = "policy list",
                    .help = "List policies: how much runs at once, how often, what is tried again",
                    .route = kPolicyRoute,
                    .columns = kPolicyColumns,
                    .filters = {{"--action", "REF", "Only those in force for this action"},
                                {"--pack", "NAME", "Only those of this pack's files"}},
                    .topic = "policy"}),
      show_command("policy show", "Show a policy and what it has counted", kPolicyRoute, "REF"),
      {.path = "policy create", .help = "Create a policy", .options = {file}, .remote = create},
      {.path = "policy update",
       .help = "Replace a policy, or put one in the place of a pack's",
       .arguments = {ref},
       .options = {file, {"--version", "N", "Only if this is the present version"}},
       .remote = update},
      {.path = "policy enable",
       .help = "Enable a policy",
       .arguments = {ref},
       .remote = switch_policy("enable")},
      {.path = "policy disable",
       .help = "Disable a policy",
       .arguments = {ref},
       .remote = switch_policy("disable")},
      delete_command("policy delete", "Delete a policy; a pack's file is in force again",
                     kPolicyRoute, "REF"),
  };
}

}  // namespace millrace::cli
