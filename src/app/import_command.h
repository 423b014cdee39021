// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/command.h"

namespace millrace::app {

// import st2: cli's command, which is given how a pack of a folder is packed up.
cli::CommandTable import_commands();

}  // namespace millrace::app
