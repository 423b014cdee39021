// SPDX-License-Identifier: Apache-2.0
#include "cli/cli.h"

#include <fmt/format.h>
#include <unistd.h>

#include "cli/completion.h"
#include "cli/report.h"
#include "cli/stdout.h"
#include "cli/tables.h"
#include "cli/target.h"

namespace millrace::cli {
namespace {

Style style_of(const Invocation& in) {
  bool colour = isatty(STDOUT_FILENO) && process_environment("NO_COLOR").empty();
  return {parse_format(in.get("--output")), colour};
}

Result<int> run_remote(const Invocation& in) {
  TRY(auto session, Session::open([&in] { return find_target(in, process_environment); }));
  Context context{in, *session, style_of(in)};
  return in.command()->remote(context);
}

Command completion_command(const CommandTable& commands) {
  Command command{.path = "completion",
                  .help = "Print a completion script for a shell",
                  .arguments = {{.name = "SHELL", .choices = {"bash", "zsh", "fish"}}}};
  command.local = [&commands](const Invocation& in) -> Result<int> {
    TRY(auto script, completion_script(commands, in.get("SHELL")));
    put("{}", script);
    return kOk;
  };
  return command;
}

}  // namespace

int run(CommandTable local, const std::vector<std::string>& words) {
  CommandTable commands = std::move(local);
  auto remote = remote_commands();
  commands.insert(commands.end(), remote.begin(), remote.end());
  commands.push_back(completion_command(commands));

  auto in = parse(commands, words);
  if (!in.ok()) return report(in.error(), path_in(commands, words));
  if (!in->command()) {
    put("{}", in->help);
    return kOk;
  }
  const auto& command = *in->command();
  auto code = command.local ? command.local(*in) : run_remote(*in);
  if (code.ok()) return *code;
  return command.local ? report_local(code.error(), command.path)
                       : report(code.error(), command.path);
}

}  // namespace millrace::cli
