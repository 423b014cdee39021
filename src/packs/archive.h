// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "packs/files.h"
#include "packs/folder.h"

namespace millrace::packs {

struct ArchivedPack {
  PackFiles files;
  std::string folder;  // that all of it lay in, in the archive; or empty
};

// Reads a pack out of a tar archive (POSIX with its pax records, GNU's long names); pure. Its
// pack.yaml is at the top or in the one folder that stands there. The same holds as for a folder:
// a link counts as the file of the archive that it leads to; links out, devices, pipes, `..`,
// absolute names and NULs are refused; `.git` and `__pycache__` are left out. Errors: PCK-0008 with
// one problem per entry that is refused; TooLarge, PCK-0009.
Result<ArchivedPack> read_tar(std::string_view tar, const FolderLimits& limits = {});

// The other way round: all below `folder`; the same bytes for the same files.
std::string write_tar(const PackFiles& files, std::string_view folder);

}  // namespace millrace::packs
