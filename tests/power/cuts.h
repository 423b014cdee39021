// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <limits>
#include <span>
#include <string>

#include "disk.h"

namespace millrace::power {

// Says what is wrong with the files of `folder`, of which these marks were acknowledged; empty:
// nothing. It may open them but not change them.
using Judge = std::function<std::string(const std::string& folder, std::span<const int64_t> marks)>;

struct CutOptions {
  int64_t most_images = std::numeric_limits<int64_t>::max();
  uint64_t seed = 1;
  int64_t from_mark = std::numeric_limits<int64_t>::min();  // what is before is not cut
  int throws = 1;     // images by chance of each kind at one position
  bool keeps = true;  // the files of what fails; not where it is to fail
};

struct Cuts {
  int64_t images = 0;
  std::string failure;  // of the first that fails
};

// Cuts the power behind every record of a log: images with nothing unsynced, all of it, a part of
// the writes, a part of their sectors. Of each position only those that differ from the ones
// before.
Cuts cut_everywhere(const DiskLog& log, const CutOptions& options, const Judge& judge);

}  // namespace millrace::power
