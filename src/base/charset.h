// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

// Bytes from outside and the texts that they are.
namespace millrace {

// Length of the UTF-8 sequence at `i`, or 0 when it is malformed (RFC 3629 table 3-7).
size_t utf8_length(std::string_view bytes, size_t i);
// The offset of the first byte that belongs to no well-formed UTF-8, or npos.
size_t first_not_utf8(std::string_view bytes);

// A text in which each byte that is no UTF-8 stands as U+FFFD. Whoever shows it says so.
struct Repaired {
  std::string text;
  size_t replaced = 0;  // bytes
  size_t first = 0;     // offset of the first one
};
Repaired repair_utf8(std::string_view bytes);

// The bytes as UTF-8, without a byte order mark. `charset` by its IANA name, in any case: utf-8,
// us-ascii, iso-8859-1, iso-8859-15, windows-1252 and their usual aliases, utf-16 (by its mark,
// else big endian), utf-16le, utf-16be.
// Errors: Unsupported, BAS-0012, another charset; Invalid, BAS-0013, bytes that are no text in it,
// with the offset of the first one.
Result<std::string> to_utf8(std::string_view bytes, std::string_view charset);

// UTF-8 without the mark (BOM) that it may begin with.
inline std::string_view without_mark(std::string_view text) {
  constexpr std::string_view kMark = "\xEF\xBB\xBF";
  if (text.starts_with(kMark)) text.remove_prefix(kMark.size());
  return text;
}

}  // namespace millrace
