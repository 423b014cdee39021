// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/result.h"

namespace millrace::agent {

// The files of a release by path, as packs::PackFiles has them, as one text, and back. Grammar:
//
//   archive = (path:text bytes:text)*      text = length:u32 (little-endian) and as many bytes
using ReleaseFiles = std::map<std::string, std::string, std::less<>>;

// More than any release has (packs::FolderLimits), its paths included.
inline constexpr int64_t kLargestArchive = 160 << 20;

std::string write_archive(const ReleaseFiles& files);
// Errors: Invalid (AGT-0005): it is no archive, or a path would lead out of the release's folder.
Result<ReleaseFiles> read_archive(std::string_view archive);

}  // namespace millrace::agent
