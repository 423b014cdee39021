// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// Strings as Python sees them: sequences of code points. A byte that is not part of well-formed
// UTF-8 counts as one code point of its own.
namespace millrace::expr::unicode {

bool is_ascii(std::string_view text);
size_t length(std::string_view text);
// Bytes of the code point that begins at `i`.
size_t width(std::string_view text, size_t i);
char32_t decode(std::string_view text, size_t i);
void append(std::string& out, char32_t c);
// Half of a character beyond U+FFFF: UTF-16 has it, no text.
inline bool is_half(char32_t c) { return c >= 0xD800 && c <= 0xDFFF; }
// Byte offset of code point `n` (at most length).
size_t offset_of(std::string_view text, size_t n);
// Number of the code point at byte `offset`.
size_t index_of(std::string_view text, size_t offset);

// text[start:stop:step] of Python.
std::string slice(std::string_view text, std::optional<int64_t> start, std::optional<int64_t> stop,
                  int64_t step);
// The indexes that range(*slice.indices(size)) gives, as start, count.
struct SliceRange {
  int64_t start = 0;
  int64_t count = 0;
};
SliceRange slice_range(int64_t size, std::optional<int64_t> start, std::optional<int64_t> stop,
                       int64_t step);

std::string upper(std::string_view text);
std::string lower(std::string_view text);
std::string capitalize(std::string_view text);
std::string swapcase(std::string_view text);
std::string title(std::string_view text);  // str.title()

bool is_space(char32_t c);
bool is_alpha(char32_t c);
bool is_digit(char32_t c);
bool is_upper(char32_t c);
bool is_lower(char32_t c);
bool is_printable(char32_t c);

// `chars` empty: white space.
std::string_view strip(std::string_view text, std::optional<std::string_view> chars, bool left,
                       bool right);
// str.split(sep, max): without `sep` at runs of white space. `max` < 0: no limit. `parts`, of
// count_parts, is the room that the result gets at once.
std::vector<std::string_view> split(std::string_view text, std::optional<std::string_view> sep,
                                    int64_t max, size_t parts = 0);
// How many parts that split without a limit may give.
size_t count_parts(std::string_view text, std::optional<std::string_view> sep);
std::vector<std::string_view> rsplit(std::string_view text, std::optional<std::string_view> sep,
                                     int64_t max, size_t parts = 0);

}  // namespace millrace::expr::unicode
