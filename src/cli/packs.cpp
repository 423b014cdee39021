// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "cli/report.h"
#include "cli/tables.h"

namespace millrace::cli {
namespace {

constexpr Column kPackColumns[] = {
    {"REF", "ref"},         {"VERSION", "version"},   {"STATE", "state"},
    {"ACTIONS", "actions"}, {"TRIGGERS", "triggers"}, {"RULES", "rules"},
    {"FAULTS", "faults"},   {"SOURCE", "source"},     {"DESCRIPTION", "description"},
};
constexpr Column kActionColumns[] = {
    {"REF", "ref"},
    {"RUNNER", "runner_type"},
    {"EFFECT", "effect_class"},
    {"TIMEOUT", "timeout_ms", Look::DurationMs},
    {"DESCRIPTION", "description"},
};
constexpr Column kOperationColumns[] = {
    {"ID", "id"},           {"KIND", "kind"},         {"STATUS", "status"},
    {"SUBJECT", "subject"}, {"PROGRESS", "progress"}, {"ERROR", "error"},
};
constexpr Column kTriggerColumns[] = {{"REF", "ref"}, {"DESCRIPTION", "description"}};

Result<int> uninstall(Context& context) {
  std::string_view query = context.in.has("--force") ? "?force=true" : "";
  TRY(auto gone,
      context.session.send({.method = "DELETE",
                            .path = path_of("/api/v1/packs", context.in.get("PACK"), query),
                            .takes_key = true}));
  if (!context.is_table()) {
    context.print_object(gone);
    return kOk;
  }
  context.print(fmt::format("pack '{}' is uninstalled: {} rules ended, {} executions go on\n",
                            gone.string_or("ref", ""), gone.int_or("rules", 0),
                            gone.int_or("open_executions", 0)));
  auto source = gone.string_or("source", "");
  if (!source.empty()) {
    context.print(
        fmt::format("{} still holds it: a start or reload that reads it brings it back\n", source));
  }
  return kOk;
}

}  // namespace

CommandTable pack_commands() {
  const Option pack{"--pack", "NAME", "Only of this pack"};
  return {
      list_command({.path = "pack list",
                    .help = "List packs",
                    .route = "/api/v1/packs",
                    .columns = kPackColumns,
                    .topic = "pack"}),
      show_command("pack show", "Show a pack", "/api/v1/packs", "PACK"),
      {.path = "pack uninstall",
       .help = "Take a pack and its rules out of the server; what runs of it goes on",
       .arguments = {{"PACK", ""}},
       .options = {{"--force", "", "Although rules of others or webhook endpoints use it"}},
       .remote = uninstall},
      list_command({.path = "operation list",
                    .help = "List what servers do for somebody that takes longer than a request",
                    .route = "/api/v1/operations",
                    .columns = kOperationColumns,
                    .topic = "operation"}),
      show_command("operation show", "Show how far an operation is", "/api/v1/operations", "ID"),
      list_command({.path = "action list",
                    .help = "List actions",
                    .route = "/api/v1/actions",
                    .columns = kActionColumns,
                    .filters = {pack}}),
      show_command("action show", "Show an action and its parameters", "/api/v1/actions", "REF"),
      list_command({.path = "trigger list",
                    .help = "List triggers",
                    .route = "/api/v1/triggers",
                    .columns = kTriggerColumns,
                    .filters = {pack}}),
      show_command("trigger show", "Show a trigger and its parameters", "/api/v1/triggers", "REF"),
  };
}

}  // namespace millrace::cli
