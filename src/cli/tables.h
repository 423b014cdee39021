// SPDX-License-Identifier: Apache-2.0
// The command table: one function per resource, and what most of them are made of.
#pragma once

#include "cli/context.h"

namespace millrace::cli {

CommandTable run_commands();
CommandTable execution_commands();
CommandTable inquiry_commands();
CommandTable rule_commands();
CommandTable rule_trial_commands();  // among rule_commands
CommandTable event_commands();
CommandTable policy_commands();
CommandTable webhook_commands();
CommandTable key_commands();
CommandTable pack_commands();  // packs, actions, triggers
CommandTable pack_config_commands();
CommandTable auth_commands();
CommandTable worker_commands();  // workers, servers
CommandTable sensor_commands();
CommandTable timer_commands();
CommandTable alias_commands();  // chat too
CommandTable trace_commands();
CommandTable remote_commands();  // all of these

struct ListSpec {
  std::string path;  // "execution list"
  std::string help;
  std::string route;            // "/api/v1/executions"
  Columns columns;              // of static storage
  std::vector<Option> filters;  // --status becomes ?status=; a flag ?open=true
  std::string topic;            // of the change stream, for --watch; "" has no --watch
  bool has_pages = true;        // takes --limit
};
Command list_command(ListSpec spec);
// Of lists that can begin at either end: --sort created.
Option sort_option();
// Shows the object whose name or id is the argument.
Command show_command(std::string path, std::string help, std::string route, std::string argument);
// Deletes it and says so.
Command delete_command(std::string path, std::string help, std::string route, std::string argument);

}  // namespace millrace::cli
