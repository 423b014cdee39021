// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/result.h"
#include "model/runtime.h"

namespace millrace::app {

// The folder of this binary's SDK, {data}/sdk/python/DIGEST or {data}/sdk/node/DIGEST, written
// there unless it is there as it should be. Blocks; thread-safe. Errors: as write_release.
Result<std::string> stage_sdk(const std::string& data, Sdk sdk);

}  // namespace millrace::app
