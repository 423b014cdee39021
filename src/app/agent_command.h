// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/command.h"

namespace millrace::app {

// `millrace agent`.
cli::Command agent_command();

}  // namespace millrace::app
