// SPDX-License-Identifier: Apache-2.0
#include "app/open_files.h"

#include <sys/resource.h>

#include <algorithm>
#include <limits>

namespace millrace::app {
namespace {

int64_t count_of(rlim_t limit) {
  constexpr auto kMost = std::numeric_limits<int64_t>::max();
  return limit > static_cast<rlim_t>(kMost) ? kMost : static_cast<int64_t>(limit);
}

}  // namespace

OpenFiles raise_open_files() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  OpenFiles files{count_of(limit.rlim_cur), count_of(limit.rlim_cur)};
  rlimit raised{limit.rlim_max, limit.rlim_max};
  if (setrlimit(RLIMIT_NOFILE, &raised) == 0) files.now = count_of(raised.rlim_cur);
  return files;
}

int64_t connections_within(int64_t open_files, int64_t wanted) {
  return std::clamp<int64_t>(open_files - kOwnFiles, 1, std::max<int64_t>(wanted, 1));
}

}  // namespace millrace::app
