// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "cli/session.h"

namespace millrace::cli {

// A piece of output: "stdout" or "stderr" and its bytes; or a note ("note") about the stream.
using OnOutput = std::function<void(std::string_view stream, std::string_view bytes)>;

// What to do when nothing goes on before somebody has resolved the execution.
enum class AtDecision : uint8_t { Stop, Wait };

// Follows an execution's output to its end, also over restarts of the server: it resumes where it
// was for up to 30 s without a server. `streams`: stdout, stderr, both. Returns the final status,
// or "needs_decision" when it stopped there.
Result<std::string> follow_output(Session& session, const std::string& execution,
                                  const std::string& streams, AtDecision at_decision,
                                  const OnOutput& on_output);

// The bytes of a piece of output, which come as text or as base64.
std::string bytes_of(const Value& piece);

// An OnOutput: to stdout and stderr.
void print_output(std::string_view stream, std::string_view bytes);

}  // namespace millrace::cli
