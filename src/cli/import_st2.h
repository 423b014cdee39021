// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

#include "base/value.h"
#include "cli/command.h"
#include "cli/session.h"

namespace millrace::cli {

// Gives the server the pack of a folder of this machine.
using InstallFolder = std::function<Result<void>(Session&, const std::string& folder)>;

// `import st2`: moves what a StackStorm installation holds. It asks two servers: --url is
// StackStorm's; this one is found as always, or named by --to.
CommandTable import_commands(InstallFolder install);

}  // namespace millrace::cli
