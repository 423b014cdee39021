// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "cli/follow.h"
#include "cli/report.h"
#include "cli/stdout.h"
#include "cli/tables.h"
#include "cli/values.h"

namespace millrace::cli {
namespace {

Result<Value> run_input(Context& context) {
  const auto& in = context.in;
  TRY(auto action, context.session.get(path_of("/api/v1/actions", in.get("ACTION"))));
  TRY(auto parameters, read_parameters(action, in.all("KEY=VALUE")));
  Value input = Value::map({{"action", in.get("ACTION")}, {"parameters", parameters}});
  if (in.has("--priority")) input.set("priority", in.get("--priority"));
  if (in.has("--timeout")) {
    TRY(auto ms, parse_duration("--timeout", in.get("--timeout")));
    input.set("timeout_ms", ms);
  }
  return input;
}

enum class Streamed : uint8_t { Nothing, Lines, OpenLine };  // of stdout

// What went wrong in a workflow.
void print_errors(const Value& errors) {
  if (!errors.is_list()) return;
  for (const auto& error : errors.as_list()) {
    auto task = error.string_or("task_id", "");
    tell(fmt::format("error: {}{}{}\n", task, task.empty() ? "" : ": ",
                     error.string_or("message", "")));
  }
}

// In a table the output has been seen already; what is left is the result that it does not show.
void print_end(const Context& context, const Value& execution, Streamed streamed) {
  if (!context.is_table()) return context.print_object(execution);
  const auto& result = execution["result"];
  const auto& output = result.is_map() && result.find("output") ? result["output"] : result;
  bool is_shown = output.is_null() || (output.is_string() && streamed != Streamed::Nothing);
  auto status = execution.string_or("status", "");
  tell(fmt::format("{} {}: {} after {}\n", execution.string_or("action", ""),
                   execution.string_or("id", ""), status,
                   duration_text(execution.int_or("duration_ms", 0))));
  if (auto failure = execution.string_or("failure", ""); !failure.empty()) {
    tell(fmt::format("failure: {}\n", failure));
  }
  if (result.is_map() && status != "succeeded") {
    print_errors(result["errors"]);
    auto unfit = result.string_or("output_error", "");
    if (!unfit.empty()) tell(fmt::format("error: {}\n", unfit));
  }
  if (auto why = execution.string_or("result_error", ""); !why.empty()) {
    tell(fmt::format("result: {}\n", why));
  }
  if (is_shown) return;
  if (streamed == Streamed::OpenLine) context.print("\n");
  context.print_object(output);
}

Result<int> run_action(Context& context) {
  TRY(auto input, run_input(context));
  TRY(auto execution,
      context.session.send(
          {.path = "/api/v1/executions", .body = std::move(input), .takes_key = true}));
  std::string id(execution.string_or("id", ""));
  if (context.in.has("--async")) {
    context.print(context.is_table() ? id + "\n" : context.style.object(execution));
    return kOk;
  }
  auto streamed = Streamed::Nothing;
  auto show = [&](std::string_view stream, std::string_view bytes) {
    if (stream == "stdout" && !bytes.empty()) {
      streamed = bytes.ends_with('\n') ? Streamed::Lines : Streamed::OpenLine;
    }
    if (context.is_table()) print_output(stream, bytes);
  };
  auto status = follow_output(context.session, id, "both", AtDecision::Stop, show);
  if (!status.ok()) return std::move(status).error().with_context("execution " + id);
  TRY(execution, context.session.get(path_of("/api/v1/executions", id)));
  print_end(context, execution, streamed);
  if (*status == "needs_decision") {
    tell(fmt::format("millrace: execution {}: {}\nhint: `millrace execution logs {} -f` goes on\n",
                     id, execution.string_or("held", "it needs a decision"), id));
  }
  return exit_code_of_status(*status);
}

}  // namespace

CommandTable run_commands() {
  return {{.path = "run",
           .help = "Run an action, show its output live and wait for its end",
           .arguments = {{"ACTION", "pack.name"},
                         {.name = "KEY=VALUE",
                          .help = "A parameter; key=@FILE from a file, key:=JSON",
                          .optional = true,
                          .many = true}},
           .options = {{"--async", "", "Print the execution's id and do not wait"},
                       {"--timeout", "TIME", "End it after this time: 30s, 5m"},
                       {.name = "--priority",
                        .value = "PRIORITY",
                        .help = "critical, high, normal, low",
                        .choices = {"critical", "high", "normal", "low"}}},
           .remote = run_action}};
}

}  // namespace millrace::cli
