// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/command.h"

namespace millrace::cli {

// The program's commands: `local`, those that talk to a server, and `completion`. Runs the one
// that `words` (the command line without the program's name) name; returns the exit code.
int run(CommandTable local, const std::vector<std::string>& words);

}  // namespace millrace::cli
