// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "cli/session.h"

namespace millrace::cli {

// A piece of output: "stdout" or "stderr" and its bytes; or a note ("note") about the stream.
using OnOutput = std::function<void(std::string_view stream, std::string_view bytes)>;

// Follows an execution's output to its end, also over restarts of the server: it resumes where it
// was for up to 30 s without a server. `streams`: stdout, stderr, both. Returns the final status.
Result<std::string> follow_output(Session& session, const std::string& execution,
                                  const std::string& streams, const OnOutput& on_output);

// An OnOutput: to stdout and stderr.
void print_output(std::string_view stream, std::string_view bytes);

}  // namespace millrace::cli
