// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
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

// Memory of one compiled pattern of a user, its automaton included.
inline constexpr int64_t kRegexMemory = 1 << 20;

// A pattern in RE2's spelling within that memory; ok() tells whether it compiles.
std::unique_ptr<re2::RE2> user_regex(std::string_view pattern);

}  // namespace millrace
