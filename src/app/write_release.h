// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/result.h"
#include "packs/files.h"

namespace millrace::app {

// Writes a release's files to a folder beside, then puts that into its place, durably and at one
// blow: what runs from the one before goes on with the files that it has open. The paths are those
// of a checked release. Blocks; thread-safe. Errors: Unavailable (APP-0001).
Result<void> write_release(const packs::PackFiles& files, const std::string& folder);

// The same for what came from elsewhere: it becomes the staged release of `data` when its files
// have the digest. Errors: Invalid (AGT-0005): they have not; as write_release.
Result<void> install_release(const std::string& data, const std::string& pack,
                             const std::string& digest, const packs::PackFiles& files);

}  // namespace millrace::app
