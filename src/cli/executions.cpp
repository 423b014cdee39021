// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "base/json.h"
#include "cli/follow.h"
#include "cli/report.h"
#include "cli/tables.h"
#include "cli/values.h"
#include "model/execution.h"

namespace millrace::cli {
namespace {

const std::string kExecutionRoute = "/api/v1/executions";

constexpr Column kExecutionColumns[] = {
    {"ID", "id"},
    {"ACTION", "action"},
    {"STATUS", "status", Look::Status},
    {"ATTEMPT", "attempt"},
    {"CREATED", "created", Look::Time},
    {"DURATION", "duration_ms", Look::DurationMs},
    {"BY", "identity"},
};

Result<void> print_stored(Context& context, const std::string& id, std::string_view stream) {
  for (int64_t from = 0;;) {
    auto query = fmt::format("/output?stream={}&from={}", stream, from);
    TRY(auto piece, context.session.get(path_of(kExecutionRoute, id, query)));
    print_output(stream, bytes_of(piece));
    auto next = piece.int_or("next", from);
    if (next <= from || next >= piece.int_or("size", 0)) {
      auto dropped = piece.int_or("dropped", 0);
      if (dropped > 0)
        print_output("note", fmt::format("{} bytes beyond the cap are lost", dropped));
      return {};
    }
    from = next;
  }
}

Result<int> logs(Context& context) {
  const auto& id = context.in.get("ID");
  auto stream = context.in.has("--stream") ? context.in.get("--stream") : "both";
  if (context.in.has("--follow")) {
    TRY(auto status, follow_output(context.session, id, stream, AtDecision::Wait, print_output));
    return exit_code_of_status(status);
  }
  if (stream != "stderr") TRY(print_stored(context, id, "stdout"));
  if (stream != "stdout") TRY(print_stored(context, id, "stderr"));
  return kOk;
}

// A line at each change, until the execution is final.
Result<int> watch(Context& context) {
  const auto& id = context.in.get("ID");
  TRY(auto execution, context.session.get(path_of(kExecutionRoute, id)));
  std::string seen;
  for (std::string position;;) {
    TRY(context.session.wait_for_change("execution:" + id, position));
    TRY(execution, context.session.get(path_of(kExecutionRoute, id)));
    auto status = execution.string_or("status", "");
    auto line =
        fmt::format("{}  attempt {}  {}", execution.string_or("updated", ""),
                    execution.int_or("attempt", 0), painted(status, status, context.style.colour));
    if (line != seen)
      context.print(context.is_table() ? line + "\n" : context.style.object(execution));
    seen = line;
    auto known = parse_execution_status(status);
    if (known && is_final(*known)) return exit_code_of_status(status);
  }
}

Result<int> print_execution(const Context& context, const Value& execution) {
  if (context.is_table()) {
    context.print(fmt::format("{} {}: {}\n", execution.string_or("action", ""),
                              execution.string_or("id", ""), execution.string_or("status", "")));
  } else {
    context.print_object(execution);
  }
  return kOk;
}

Result<int> cancel(Context& context) {
  auto path = path_of(kExecutionRoute, context.in.get("ID"), "/cancel");
  if (context.in.has("--now")) path += "?now=true";
  TRY(auto execution, context.session.send({.path = std::move(path)}));
  return print_execution(context, execution);
}

Result<int> tell(Context& context, std::string_view verb) {
  TRY(auto execution,
      context.session.send({.path = path_of(kExecutionRoute, context.in.get("ID"), verb)}));
  return print_execution(context, execution);
}

Result<int> rerun(Context& context) {
  Value body = Value::map();
  Value tasks = Value::list();
  for (const auto& task : context.in.all("--task")) tasks.push_back(task);
  if (tasks.size() > 0) body.set("tasks", std::move(tasks));
  if (context.in.has("--reset-items")) body.set("reset_items", true);
  TRY(auto execution,
      context.session.send({.path = path_of(kExecutionRoute, context.in.get("ID"), "/rerun"),
                            .body = std::move(body)}));
  return print_execution(context, execution);
}

Result<int> resolve(Context& context) {
  const auto& in = context.in;
  Value body = Value::map({{"decision", in.get("DECISION")}});
  if (in.has("--comment")) body.set("comment", in.get("--comment"));
  if (in.has("--task")) body.set("task", in.get("--task"));
  if (in.has("--route")) {
    TRY(int64_t route, parse_count("--route", in.get("--route"), 0));
    body.set("route", route);
  }
  if (in.has("--result")) {
    auto result = parse_json(in.get("--result"));
    if (!result.ok()) return std::move(result).error().with_context("--result");
    body.set("result", *std::move(result));
  }
  TRY(auto execution,
      context.session.send(
          {.path = path_of(kExecutionRoute, in.get("ID"), "/resolve"), .body = std::move(body)}));
  return print_execution(context, execution);
}

}  // namespace

CommandTable execution_commands() {
  const Argument id{"ID", "Of the execution"};
  return {
      list_command({.path = "execution list",
                    .help = "List executions, newest first",
                    .route = kExecutionRoute,
                    .columns = kExecutionColumns,
                    .filters = {{"--status", "STATUS", "Only these"},
                                {"--action", "REF", "Only of this action"},
                                {"--parent", "ID", "Only what this execution started"},
                                {"--open", "", "Only those that are not final"},
                                sort_option()},
                    .topic = "execution"}),
      show_command("execution show", "Show an execution", kExecutionRoute, "ID"),
      {.path = "execution logs",
       .help = "Print what an execution has written",
       .arguments = {id},
       .options = {{"--follow", "", "Go on until it ends; the exit code says how", 'f'},
                   {.name = "--stream",
                    .value = "STREAM",
                    .help = "stdout, stderr, both",
                    .choices = {"stdout", "stderr", "both"}}},
       .remote = logs},
      {.path = "execution watch",
       .help = "Print each change until the execution ends; the exit code says how",
       .arguments = {id},
       .remote = watch},
      {.path = "execution cancel",
       .help = "Cancel an execution and all that it started",
       .arguments = {id},
       .options = {{"--now", "", "End what runs below an Orquesta workflow, too"}},
       .remote = cancel},
      {.path = "execution pause",
       .help = "Pause a workflow and the workflows below it; steps that run end first",
       .arguments = {id},
       .remote = [](Context& context) { return tell(context, "/pause"); }},
      {.path = "execution resume",
       .help = "Let a paused workflow go on",
       .arguments = {id},
       .remote = [](Context& context) { return tell(context, "/resume"); }},
      {.path = "execution rerun",
       .help = "Run again what failed, or the named tasks, as a new execution",
       .arguments = {id},
       .options = {{.name = "--task",
                    .value = "NAME",
                    .help = "Of a workflow: run this one again",
                    .repeats = true},
                   {"--reset-items", "", "All items of a task, not only those that failed"}},
       .remote = rerun},
      {.path = "execution resolve",
       .help = "Decide what becomes of an execution in needs_decision",
       .arguments = {id, {.name = "DECISION", .choices = {"retry", "succeed", "fail", "abandon"}}},
       .options = {{"--result", "JSON", "What it is to have returned"},
                   {"--comment", "TEXT", "Why"},
                   {"--task", "NAME", "Of a workflow: which held task, when there are several"},
                   {"--route", "N", "Of that task, when it was reached by several ways"}},
       .remote = resolve},
  };
}

}  // namespace millrace::cli
