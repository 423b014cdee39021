// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <string_view>
#include <utility>

#include "base/result.h"

// The one way to stdout. A device that is full, or gone, makes a command fail: `finish_stdout`
// looks at the end, and whoever prints for ever looks at `stdout_is_written` in between. One
// thread.
namespace millrace::cli {

void write_stdout(std::string_view text);
// To stderr. Where nobody hears it, the exit code still tells.
void tell(std::string_view text);

template <typename... Args>
void put(fmt::format_string<Args...> format, Args&&... args) {
  write_stdout(fmt::format(format, std::forward<Args>(args)...));
}

// Error CLI-0007 once a write has failed; nothing is written from then on.
Result<void> stdout_is_written();

// The exit code of a command that would end with `code`: kFailed, with the reason on stderr, when
// something of its output is missing.
int finish_stdout(int code);

}  // namespace millrace::cli
