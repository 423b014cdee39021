// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/command.h"

namespace millrace::app {

// pack install, upgrade, rollback, reload: asked of a server, which may be on another machine; a
// folder is read and packed up here.
cli::CommandTable pack_change_commands();

}  // namespace millrace::app
