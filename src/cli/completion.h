// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/command.h"

namespace millrace::cli {

// A completion script for `shell`: "bash", "zsh" or "fish".
Result<std::string> completion_script(const CommandTable& commands, std::string_view shell);

}  // namespace millrace::cli
