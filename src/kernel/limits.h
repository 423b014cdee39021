// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/core.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace millrace::kernel {

// How much of something is taken, kept or passed on. What is over one says so where people look:
// with these words, never in silence.
struct Limit {
  std::string_view of;
  int64_t most;
  std::string_view unit;
};

// Of one stream in the row of its completion; more is a blob.
inline constexpr Limit kInlineOutput{"output in a row", 64 << 10, "bytes"};
// Of a result in its execution's row; more is a row of its own.
inline constexpr Limit kInlineResult{"result in a row", 64 << 10, "bytes"};
// Of stdout and stderr as texts in a result: what the next step, expressions and people read.
inline constexpr Limit kOutputInResult{"output in a result", 16 << 20, "bytes"};
// Of a result inside of another answer; more is an answer of its own.
inline constexpr Limit kShownResult{"result in an answer", 1 << 20, "bytes"};
// Of stdout that is parsed by the action's output_format.
inline constexpr Limit kStructuredOutput{"structured output", 16 << 20, "bytes"};
// Of that, what is parsed when its run is decided on; more is parsed by the worker before.
inline constexpr Limit kReadByDecision{"structured output read while deciding", 1 << 20, "bytes"};
// The result wraps the output, errors and states wrap the result: all must be readable again.
inline constexpr Limit kStructuredDepth{"structured output", 48, "levels"};
// Of parameters, and of what a workflow keeps: what is stored has some levels more.
inline constexpr Limit kDeepestKept{"nested values that are kept", 100, "levels"};
// Of an order or a completion on its way to another process.
inline constexpr Limit kDeepestValue{"nested values", 128, "levels"};
inline constexpr Limit kMostValues{"values of one tree", 4 << 20, "values"};

inline std::string exceeds(const Limit& limit, int64_t found) {
  return fmt::format("{}: {} {} were found, at most {} are read", limit.of, found, limit.unit,
                     limit.most);
}

}  // namespace millrace::kernel
