// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/result.h"
#include "packs/files.h"

namespace millrace::packs {

struct FolderLimits {
  size_t max_files = 10'000;
  size_t max_file_bytes = 16 << 20;
  size_t max_total_bytes = 128 << 20;
  size_t max_depth = 16;
};

// Reads a pack's folder: the one place of this module that touches files, apart from all that
// judges them. Nothing outside of the folder is read, whatever stands in it: a link counts as the
// file inside the folder that it leads to, or is refused; so are devices, pipes and sockets. `.git`
// and `__pycache__` are left out. Blocks: not for a thread that must not. Errors: BAS-0008 (no such
// folder), PCK-0001 with one problem per file that is refused.
Result<PackFiles> read_pack_folder(const std::string& folder, const FolderLimits& limits = {});

}  // namespace millrace::packs
