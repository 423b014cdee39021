// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>

#include "disk.h"

namespace millrace::power {

// Says what is wrong with the files of `folder`, of which these marks were acknowledged; empty:
// nothing. It may open them but not change them.
using Judge = std::function<std::string(const std::string& folder, std::span<const int64_t> marks)>;

struct CutOptions {
  // In all. None: of each position one of each kind.
  std::optional<int64_t> images;
  uint64_t seed = 1;
  bool keeps = true;  // the files of what fails; not where it is to fail
};

struct Cuts {
  int64_t images = 0;
  std::string failure;  // of the first that fails
};

// Cuts the power behind every record of a log: images with nothing unsynced, all of it, and by
// chance a part of the writes, a part of their sectors, all but the end of the last one. Of each
// position only those that differ from the ones before.
Cuts cut_everywhere(const DiskLog& log, const CutOptions& options, const Judge& judge);

}  // namespace millrace::power
