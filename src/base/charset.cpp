// SPDX-License-Identifier: Apache-2.0
#include "base/charset.h"

#include <fmt/format.h>

#include <cstdint>
#include <optional>

#include "base/text.h"

namespace millrace {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

void append_code_point(std::string& out, uint32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0 | (c >> 6));
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0 | (c >> 12));
    out += static_cast<char>(0x80 | ((c >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | (c >> 18));
    out += static_cast<char>(0x80 | ((c >> 12) & 0x3F));
    out += static_cast<char>(0x80 | ((c >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  }
}

Error no_text(std::string_view charset, std::string_view bytes, size_t at) {
  return Error(ErrorKind::Invalid, "BAS-0013",
               fmt::format("expected {} text, found the byte {:02X} at byte {}", charset,
                           static_cast<unsigned char>(bytes[at]), at));
}

// 0x80 to 0x9F of windows-1252 (WHATWG Encoding, index-windows-1252); 0: no character.
constexpr uint16_t kWindows1252[32] = {
    0x20AC, 0,      0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
    0x2039, 0x0152, 0,      0x017D, 0,      0,      0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
    0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0,      0x017E, 0x0178};

uint32_t latin1(unsigned char c) { return c; }
uint32_t windows1252(unsigned char c) { return c >= 0x80 && c < 0xA0 ? kWindows1252[c - 0x80] : c; }
uint32_t latin9(unsigned char c) {
  switch (c) {
    case 0xA4: return 0x20AC;
    case 0xA6: return 0x0160;
    case 0xA8: return 0x0161;
    case 0xB4: return 0x017D;
    case 0xB8: return 0x017E;
    case 0xBC: return 0x0152;
    case 0xBD: return 0x0153;
    case 0xBE: return 0x0178;
    default: return c;
  }
}

Result<std::string> from_bytes(std::string_view bytes, std::string_view charset,
                               uint32_t (*code_point)(unsigned char)) {
  std::string out;
  out.reserve(bytes.size() + bytes.size() / 8);
  for (size_t i = 0; i < bytes.size(); ++i) {
    uint32_t c = code_point(static_cast<unsigned char>(bytes[i]));
    if (c == 0 && bytes[i] != 0) return no_text(charset, bytes, i);
    append_code_point(out, c);
  }
  return out;
}

Result<std::string> from_utf16(std::string_view bytes, std::string_view charset, bool little) {
  auto unit = [&](size_t i) -> uint32_t {
    auto first = static_cast<unsigned char>(bytes[i]);
    auto second = static_cast<unsigned char>(bytes[i + 1]);
    return little ? first | uint32_t{second} << 8 : uint32_t{first} << 8 | second;
  };
  std::string out;
  out.reserve(bytes.size());
  for (size_t i = 0; i < bytes.size(); i += 2) {
    if (i + 1 >= bytes.size()) return no_text(charset, bytes, i);
    uint32_t c = unit(i);
    if (i == 0 && c == 0xFEFF) continue;
    if (c >= 0xD800 && c < 0xE000) {
      bool pair = c < 0xDC00 && i + 3 < bytes.size();
      uint32_t low = pair ? unit(i + 2) : 0;
      if (low < 0xDC00 || low >= 0xE000) return no_text(charset, bytes, i);
      c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
      i += 2;
    }
    append_code_point(out, c);
  }
  return out;
}

Result<std::string> from_utf8(std::string_view bytes, std::string_view charset) {
  size_t wrong = first_not_utf8(bytes);
  if (wrong != bytes.npos) return no_text(charset, bytes, wrong);
  bytes = without_mark(bytes);
  return std::string(bytes);
}

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) {
  for (std::string_view known : names) {
    if (name == known) return true;
  }
  return false;
}

}  // namespace

size_t utf8_length(std::string_view s, size_t i) {
  auto byte = [&](size_t k) { return k < s.size() ? static_cast<unsigned char>(s[k]) : 0U; };
  unsigned c = byte(i);
  if (c < 0x80) return 1;
  auto cont = [&](size_t k) { return (byte(k) & 0xC0U) == 0x80U; };
  if (c >= 0xC2 && c <= 0xDF) return cont(i + 1) ? 2 : 0;
  if (c >= 0xE0 && c <= 0xEF) {
    unsigned second = byte(i + 1);
    if (c == 0xE0 && second < 0xA0) return 0;
    if (c == 0xED && second > 0x9F) return 0;
    return cont(i + 1) && cont(i + 2) ? 3 : 0;
  }
  if (c >= 0xF0 && c <= 0xF4) {
    unsigned second = byte(i + 1);
    if (c == 0xF0 && second < 0x90) return 0;
    if (c == 0xF4 && second > 0x8F) return 0;
    return cont(i + 1) && cont(i + 2) && cont(i + 3) ? 4 : 0;
  }
  return 0;
}

size_t first_not_utf8(std::string_view bytes) {
  for (size_t i = 0; i < bytes.size();) {
    size_t n = utf8_length(bytes, i);
    if (n == 0) return i;
    i += n;
  }
  return bytes.npos;
}

Repaired repair_utf8(std::string_view bytes) {
  size_t wrong = first_not_utf8(bytes);
  if (wrong == bytes.npos) return {std::string(bytes), 0, 0};
  Repaired repaired{std::string(bytes.substr(0, wrong)), 0, wrong};
  for (size_t i = wrong; i < bytes.size();) {
    size_t n = utf8_length(bytes, i);
    if (n == 0) {
      repaired.text += kReplacement;
      repaired.replaced += 1;
      i += 1;
      continue;
    }
    repaired.text.append(bytes, i, n);
    i += n;
  }
  return repaired;
}

Result<std::string> to_utf8(std::string_view bytes, std::string_view charset) {
  std::string name = to_lower_ascii(charset);
  if (is_one_of(name, {"utf-8", "utf8"})) return from_utf8(bytes, charset);
  if (is_one_of(name, {"us-ascii", "ascii"})) {
    for (size_t i = 0; i < bytes.size(); ++i) {
      if (static_cast<unsigned char>(bytes[i]) >= 0x80) return no_text(charset, bytes, i);
    }
    return std::string(bytes);
  }
  if (is_one_of(name, {"iso-8859-1", "iso8859-1", "latin1", "l1"})) {
    return from_bytes(bytes, charset, latin1);
  }
  if (is_one_of(name, {"iso-8859-15", "iso8859-15", "latin9"})) {
    return from_bytes(bytes, charset, latin9);
  }
  if (is_one_of(name, {"windows-1252", "cp1252"})) return from_bytes(bytes, charset, windows1252);
  if (is_one_of(name, {"utf-16le", "utf-16be", "utf-16"})) {
    bool marked_little = name == "utf-16" && bytes.starts_with("\xFF\xFE");
    return from_utf16(bytes, charset, name == "utf-16le" || marked_little);
  }
  return Error(ErrorKind::Unsupported, "BAS-0012",
               fmt::format("charset '{}': expected one of utf-8, us-ascii, iso-8859-1, "
                           "iso-8859-15, windows-1252, utf-16",
                           charset.substr(0, 64)));
}

}  // namespace millrace
