// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace millrace::app {

// A release, as its pack and digest.
using ReleaseName = std::pair<std::string, std::string>;

// Deletes staged releases of a data folder that nothing has needed for `keep_ms`. `needed`: all
// that are in force, and all that open executions are pinned to; nothing of these is ever deleted.
// When each was last needed stands in {data}/releases.json, since a server need not have been up.
// The environments of a pack go with its last release. Gives what has gone. Blocks; one at a time.
Result<std::vector<ReleaseName>> sweep_releases(const std::string& data,
                                                const std::set<ReleaseName>& needed, int64_t now_ms,
                                                int64_t keep_ms);

}  // namespace millrace::app
