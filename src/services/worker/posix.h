// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unistd.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/files.h"
#include "base/result.h"
#include "base/time.h"

namespace millrace::worker {

// "cannot open '/x': No such file or directory (errno 2)", from errno. Unavailable, WRK-0002.
Error system_error(std::string_view what);
std::string errno_text(int error);

int64_t monotonic_ms();

// Makes `path` and its parents, the last with `mode`.
Result<void> make_folders(const std::string& path, unsigned mode);
// Deletes what is in the folder (not the folder), without following links. False when something
// could not be deleted.
bool empty_folder(int dir_fd);
// True also when it cannot be read.
bool folder_is_empty(int dir_fd);

// Small files of /proc, /sys and the run folder; empty when it cannot be read.
std::string read_small_file(const std::string& path);

}  // namespace millrace::worker
