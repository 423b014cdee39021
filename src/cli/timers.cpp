// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "cli/report.h"
#include "cli/tables.h"

namespace millrace::cli {
namespace {

const std::string kTimers = "/api/v1/timers";

constexpr Column kTimerColumns[] = {
    {"NAME", "name"},
    {"SCHEDULE", "schedule"},
    {"STATE", "state"},
    {"LAST", "last", Look::Time},
    {"NEXT", "next", Look::Time},
    {"RULES", "rules"},
};

Result<int> fire_timer_now(Context& context) {
  const auto& name = context.in.get("NAME");
  TRY(auto fired,
      context.session.send({.path = path_of(kTimers, name, "/fire"), .takes_key = true}));
  if (context.is_table()) {
    context.print(
        fmt::format("timer '{}' is fired: event {}\n", name, fired.string_or("event", "")));
  } else {
    context.print_object(fired);
  }
  return kOk;
}

Result<int> set_timer(Context& context, std::string_view wish) {
  const auto& name = context.in.get("NAME");
  TRY(auto timer, context.session.send({.path = path_of(kTimers, name, fmt::format("/{}", wish)),
                                        .takes_key = true}));
  if (!context.is_table()) {
    context.print_object(timer);
    return kOk;
  }
  std::string whose;
  for (const Value& rule : timer["rules"].as_list()) {
    whose += fmt::format("{}{}", whose.empty() ? "" : ", ", rule.as_string());
  }
  auto next = timer.string_or("next", "");
  context.print(fmt::format("timer '{}' is {}{}, for {}\n", name, timer.string_or("state", ""),
                            next.empty() ? "" : fmt::format(", next at {}", next), whose));
  return kOk;
}

}  // namespace

CommandTable timer_commands() {
  return {
      list_command({.path = "timer list",
                    .help = "List timers, when they fire and for whose rules",
                    .route = kTimers,
                    .columns = kTimerColumns,
                    .topic = "timer"}),
      show_command("timer show", "Show a timer and its next firings, by name or by a rule's ref",
                   kTimers, "NAME"),
      {.path = "timer fire",
       .help = "Fire a timer at once, beside its own times",
       .arguments = {{"NAME", "Or the ref of one of its rules"}},
       .remote = fire_timer_now},
      {.path = "timer pause",
       .help = "Pause a timer for all its rules",
       .arguments = {{"NAME", "Or the ref of one of its rules"}},
       .remote = [](Context& context) { return set_timer(context, "pause"); }},
      {.path = "timer resume",
       .help = "Let a paused timer go on",
       .arguments = {{"NAME", "Or the ref of one of its rules"}},
       .remote = [](Context& context) { return set_timer(context, "resume"); }},
  };
}

}  // namespace millrace::cli
