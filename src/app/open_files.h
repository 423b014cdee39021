// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace millrace::app {

// How many files and connections this process may have open.
struct OpenFiles {
  int64_t before = 0;  // the soft limit that it was started with: what runs are given
  int64_t now = 0;     // raised as far as the hard limit allows
};
OpenFiles raise_open_files();

// How many clients fit into `open_files`, at most `wanted`: the server's own files come first, the
// store, readers, logs, the spawner. At least one.
int64_t connections_within(int64_t open_files, int64_t wanted);
inline constexpr int64_t kOwnFiles = 256;

}  // namespace millrace::app
