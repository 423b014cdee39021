// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/result.h"

namespace millrace::app {

// The folder of this binary's Python SDK, {data}/sdk/python/DIGEST, written there unless it is
// there as it should be. Blocks; thread-safe. Errors: as write_release.
Result<std::string> stage_python_sdk(const std::string& data);

}  // namespace millrace::app
