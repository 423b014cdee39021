// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <exception>
#include <optional>
#include <string>

namespace millrace::worker {

// What `body` throws, as text; none when it throws nothing. Exceptions come from below (memory
// that cannot be had, a folder that cannot be listed): they cost the run that they are about, and
// never the process with all others.
template <typename Body>
std::optional<std::string> thrown_by(Body&& body) {
  try {
    body();
    return std::nullopt;
  } catch (const std::exception& error) {
    return error.what();
  } catch (...) {
    return "an exception of an unknown kind";
  }
}

}  // namespace millrace::worker
