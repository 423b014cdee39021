// SPDX-License-Identifier: Apache-2.0
#include "cli/tables.h"

#include <fmt/format.h>

#include <cstdio>

#include "cli/stdout.h"
#include "cli/values.h"
#include "net/http.h"

namespace millrace::cli {
namespace {

std::string query_of(const ListSpec& spec, const Invocation& in) {
  std::string query;
  for (const auto& filter : spec.filters) {
    if (!in.has(filter.name)) continue;
    query += fmt::format("{}{}={}", query.empty() ? "?" : "&", filter.name.substr(2),
                         net::percent_encode(in.get(filter.name)));
  }
  return query;
}

Result<ValueList> read_list(Context& context, const ListSpec& spec) {
  auto path = spec.route + query_of(spec, context.in);
  if (spec.has_pages) {
    int64_t limit = 50;
    if (context.in.has("--limit")) {
      TRY(limit, parse_count("--limit", context.in.get("--limit"), 1));
    }
    return context.session.list(path, static_cast<size_t>(limit));
  }
  TRY(auto data, context.session.get(path));
  return data.is_list() ? data.as_list() : ValueList();
}

Result<int> run_list(Context& context, const ListSpec& spec) {
  bool watches = context.in.has("--watch");
  for (std::string position;;) {
    if (watches) TRY(context.session.wait_for_change(spec.topic, position));
    TRY(auto rows, read_list(context, spec));
    if (watches && context.style.colour) context.print("\033[H\033[2J");
    context.print(context.style.rows(spec.columns, rows));
    if (!watches) return 0;
    TRY(stdout_is_written());
  }
}

}  // namespace

void Context::print(std::string_view text) const { write_stdout(text); }

Command list_command(ListSpec spec) {
  Command command{spec.path, spec.help, {}, spec.filters, nullptr, nullptr};
  if (spec.has_pages) {
    command.options.push_back({"--limit", "N", "Most entries (default: 50)"});
  }
  if (!spec.topic.empty()) {
    command.options.push_back({"--watch", "", "Print again whenever something changes"});
  }
  command.remote = [spec = std::move(spec)](Context& context) { return run_list(context, spec); };
  return command;
}

Option sort_option() {
  return {.name = "--sort",
          .value = "ORDER",
          .help = "created: oldest first; -created: newest first (default)",
          .choices = {"created", "-created"}};
}

Command show_command(std::string path, std::string help, std::string route, std::string argument) {
  Command command{std::move(path), std::move(help), {{argument, ""}}, {}, nullptr, nullptr};
  command.remote = [route, argument](Context& context) -> Result<int> {
    TRY(auto value, context.session.get(path_of(route, context.in.get(argument))));
    context.print_object(value);
    return 0;
  };
  return command;
}

Command delete_command(std::string path, std::string help, std::string route,
                       std::string argument) {
  Command command{std::move(path), std::move(help), {{argument, ""}}, {}, nullptr, nullptr};
  command.remote = [route, argument](Context& context) -> Result<int> {
    const auto& name = context.in.get(argument);
    TRY(context.session.send({.method = "DELETE", .path = path_of(route, name)}));
    if (context.is_table()) context.print(fmt::format("'{}' is gone\n", name));
    return 0;
  };
  return command;
}

CommandTable remote_commands() {
  CommandTable all;
  for (auto part : {run_commands, execution_commands, inquiry_commands, rule_commands,
                    event_commands, webhook_commands, policy_commands, key_commands, pack_commands,
                    pack_config_commands, trace_commands, auth_commands, worker_commands,
                    sensor_commands, timer_commands, alias_commands}) {
    auto commands = part();
    all.insert(all.end(), commands.begin(), commands.end());
  }
  return all;
}

}  // namespace millrace::cli
