// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace millrace::cli {

enum ExitCode : int {
  kOk = 0,
  kFailed = 1,
  kUsage = 2,
  kNotFound = 3,
  kDenied = 4,
  kUnreachable = 5,
  kTimedOut = 124,
};

inline constexpr std::string_view kNotWritten = "CLI-0007";  // cli/stdout.h

int exit_code_of(const Error& error);
// Of a final execution: "succeeded", "timeout", ...
int exit_code_of_status(std::string_view status);

// What to do next. `path` is the command: "rule show"; may be empty.
std::string hint_for(const Error& error, std::string_view path);

// The same for commands that work on this machine's files, without a server.
std::string local_hint_for(const Error& error, std::string_view path);

// Prints `millrace: ...` and `hint: ...` to stderr; returns the exit code.
int report(const Error& error, std::string_view path = {});
// Of a local command, to which nothing is unreachable: what is unavailable has failed.
int report_local(const Error& error, std::string_view path);

}  // namespace millrace::cli
