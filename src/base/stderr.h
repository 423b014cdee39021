// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <iterator>
#include <string_view>
#include <utility>

// The one way to stderr for what is no log entry: `fmt::print` throws where it is full or closed,
// and whoever tells of trouble must not come into more of it.
namespace millrace {

// Where nobody hears it, it is lost.
void write_stderr(std::string_view text);

template <typename... Args>
void put_stderr(fmt::format_string<Args...> format, Args&&... args) {
  fmt::memory_buffer text;  // short ones need no memory
  fmt::format_to(std::back_inserter(text), format, std::forward<Args>(args)...);
  write_stderr({text.data(), text.size()});
}

}  // namespace millrace
