// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace re2 {
class RE2;
}

// What matching a regular expression can cost. RE2 is linear in the text; the factor is the
// program, when its automaton outgrows its memory: some 5 ns for each byte and each place in the
// pattern that may be tried there.
namespace millrace {

// Places in `pattern` (RE2's spelling) that a match may stand at at once. A class of characters is
// few, however many it has. Compiles the pattern once more: keep the number beside it.
uint64_t regex_places(std::string_view pattern, const re2::RE2& compiled);

// Steps of 50 ns for one search in a text, at worst about.
inline uint64_t regex_steps(size_t text_bytes, uint64_t places) {
  constexpr uint64_t kPerStep = 16;
  return 1 + text_bytes * places / kPerStep;
}

// What one pattern may hold. RE2 parses all of a pattern before it looks at its memory: a class of
// Unicode, 3 bytes of text, is hundreds of ranges.
inline constexpr size_t kMostRegexBytes = 10'000;
inline constexpr size_t kMostUnicodeClasses = 64;
inline constexpr size_t kMostRepetitions = 256;

// Compiling the patterns of one document (a schema, the criteria of a rule) together, in steps.
inline constexpr uint64_t kRegexStepsOfDocument = 4'000'000;

// Told of a pattern by reading it once, before it is compiled.
struct RegexDemand {
  uint64_t steps = 0;   // of 50 ns: compiling it and counting its places
  std::string refusal;  // why it must not be compiled; empty: it may
};
// `pattern` in RE2's spelling; `written_bytes`: as the user wrote it.
RegexDemand regex_demand(std::string_view pattern, bool ignore_case, size_t written_bytes);

// Memory of one compiled pattern of a user, its automaton included.
inline constexpr int64_t kRegexMemory = 1 << 20;

// A pattern in RE2's spelling within that memory; ok() tells whether it compiles. Its demand was
// looked at before.
std::unique_ptr<re2::RE2> user_regex(std::string_view pattern);

}  // namespace millrace
