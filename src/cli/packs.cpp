// SPDX-License-Identifier: Apache-2.0
#include "cli/tables.h"

namespace millrace::cli {
namespace {

constexpr Column kPackColumns[] = {
    {"REF", "ref"},           {"VERSION", "version"}, {"ACTIONS", "actions"},
    {"TRIGGERS", "triggers"}, {"RULES", "rules"},     {"DESCRIPTION", "description"},
};
constexpr Column kActionColumns[] = {
    {"REF", "ref"},
    {"RUNNER", "runner_type"},
    {"EFFECT", "effect_class"},
    {"TIMEOUT", "timeout_ms", Look::DurationMs},
    {"DESCRIPTION", "description"},
};
constexpr Column kTriggerColumns[] = {{"REF", "ref"}, {"DESCRIPTION", "description"}};

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
