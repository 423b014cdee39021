// SPDX-License-Identifier: Apache-2.0
#include "expr/unicode.h"

#include <locale.h>
#include <wctype.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/text.h"

namespace millrace::expr::unicode {
namespace {

// Classification and case of Unicode, not of the user's locale.
locale_t utf8_locale() {
  static const locale_t locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
  return locale;
}

bool continues(std::string_view s, size_t i) {
  return i < s.size() && (static_cast<unsigned char>(s[i]) & 0xC0U) == 0x80U;
}

template <typename Map>
std::string map_each(std::string_view text, Map map) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    size_t n = width(text, i);
    char32_t c = decode(text, i);
    if (n == 1 && c >= 0x80) {
      out += text[i];
    } else {
      map(out, c);
    }
    i += n;
  }
  return out;
}

void append_upper(std::string& out, char32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c);
  } else if (c == 0xDF) {  // the one common letter whose capital is two
    out += "SS";
  } else {
    append(out, static_cast<char32_t>(towupper_l(static_cast<wint_t>(c), utf8_locale())));
  }
}

void append_lower(std::string& out, char32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  } else {
    append(out, static_cast<char32_t>(towlower_l(static_cast<wint_t>(c), utf8_locale())));
  }
}

}  // namespace

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

size_t width(std::string_view s, size_t i) {
  auto c = static_cast<unsigned char>(s[i]);
  if (c < 0xC2) return 1;
  if (c < 0xE0) return continues(s, i + 1) ? 2 : 1;
  if (c < 0xF0) return continues(s, i + 1) && continues(s, i + 2) ? 3 : 1;
  if (c < 0xF5) {
    return continues(s, i + 1) && continues(s, i + 2) && continues(s, i + 3) ? 4 : 1;
  }
  return 1;
}

char32_t decode(std::string_view s, size_t i) {
  auto byte = [&](size_t k) { return static_cast<char32_t>(static_cast<unsigned char>(s[k])); };
  switch (width(s, i)) {
    case 2: return (byte(i) & 0x1FU) << 6 | (byte(i + 1) & 0x3FU);
    case 3: return (byte(i) & 0x0FU) << 12 | (byte(i + 1) & 0x3FU) << 6 | (byte(i + 2) & 0x3FU);
    case 4:
      return (byte(i) & 0x07U) << 18 | (byte(i + 1) & 0x3FU) << 12 | (byte(i + 2) & 0x3FU) << 6 |
             (byte(i + 3) & 0x3FU);
    default: return byte(i);
  }
}

void append(std::string& out, char32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0 | c >> 6);
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0 | c >> 12);
    out += static_cast<char>(0x80 | (c >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | (c >> 18 & 7));
    out += static_cast<char>(0x80 | (c >> 12 & 0x3F));
    out += static_cast<char>(0x80 | (c >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  }
}

size_t length(std::string_view text) {
  size_t n = 0;
  for (size_t i = 0; i < text.size(); i += width(text, i)) ++n;
  return n;
}

size_t offset_of(std::string_view text, size_t n) {
  size_t i = 0;
  while (n > 0 && i < text.size()) {
    i += width(text, i);
    --n;
  }
  return i;
}

size_t index_of(std::string_view text, size_t offset) { return length(text.substr(0, offset)); }

// As PySlice_AdjustIndices.
SliceRange slice_range(int64_t size, std::optional<int64_t> start, std::optional<int64_t> stop,
                       int64_t step) {
  auto clamp = [&](int64_t at) {
    if (at < 0) at = at < -size ? -1 : at + size;
    if (step < 0) return std::clamp<int64_t>(at, -1, size - 1);
    return std::clamp<int64_t>(at, 0, size);
  };
  // A negative index below -size means "before the first": -1 backwards, 0 forwards.
  int64_t first = start ? clamp(*start) : step < 0 ? size - 1 : 0;
  int64_t last = stop ? clamp(*stop) : step < 0 ? -1 : size;
  int64_t count = 0;
  if (step > 0 && first < last) count = (last - first - 1) / step + 1;
  if (step < 0 && last < first) {
    uint64_t back = step == INT64_MIN ? uint64_t{1} << 63 : static_cast<uint64_t>(-step);
    count = static_cast<int64_t>((static_cast<uint64_t>(first - last) - 1) / back + 1);
  }
  return {first, count};
}

std::string slice(std::string_view text, std::optional<int64_t> start, std::optional<int64_t> stop,
                  int64_t step) {
  SliceRange range = slice_range(static_cast<int64_t>(length(text)), start, stop, step);
  if (range.count <= 0) return {};
  if (step == 1) {
    text.remove_prefix(offset_of(text, static_cast<size_t>(range.start)));
    return std::string(text.substr(0, offset_of(text, static_cast<size_t>(range.count))));
  }
  std::vector<uint32_t> places;
  for (size_t i = 0; i < text.size(); i += width(text, i)) {
    places.push_back(static_cast<uint32_t>(i));
  }
  std::string out;
  for (int64_t i = 0; i < range.count; ++i) {
    size_t at = places[static_cast<size_t>(range.start + i * step)];
    out += text.substr(at, width(text, at));
  }
  return out;
}

std::string upper(std::string_view text) { return map_each(text, append_upper); }
std::string lower(std::string_view text) { return map_each(text, append_lower); }

std::string capitalize(std::string_view text) {
  bool first = true;
  return map_each(text, [&](std::string& out, char32_t c) {
    first ? append_upper(out, c) : append_lower(out, c);
    first = false;
  });
}

std::string swapcase(std::string_view text) {
  return map_each(text, [](std::string& out, char32_t c) {
    is_upper(c) ? append_lower(out, c) : append_upper(out, c);
  });
}

std::string title(std::string_view text) {
  bool inside = false;
  return map_each(text, [&](std::string& out, char32_t c) {
    inside ? append_lower(out, c) : append_upper(out, c);
    inside = is_alpha(c);
  });
}

bool is_space(char32_t c) {
  if (c < 0x80) return c == ' ' || (c >= 9 && c <= 13) || (c >= 0x1C && c <= 0x1F);
  return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
         c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}
bool is_alpha(char32_t c) {
  if (c < 0x80) return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  return iswalpha_l(static_cast<wint_t>(c), utf8_locale()) != 0;
}
bool is_digit(char32_t c) { return c >= '0' && c <= '9'; }
bool is_upper(char32_t c) {
  if (c < 0x80) return c >= 'A' && c <= 'Z';
  return iswupper_l(static_cast<wint_t>(c), utf8_locale()) != 0;
}
bool is_lower(char32_t c) {
  if (c < 0x80) return c >= 'a' && c <= 'z';
  return iswlower_l(static_cast<wint_t>(c), utf8_locale()) != 0;
}
bool is_printable(char32_t c) {
  if (c < 0x80) return c >= 0x20 && c < 0x7F;
  if (is_space(c) || c == 0xAD || (c >= 0xD800 && c < 0xE000)) return false;
  return iswprint_l(static_cast<wint_t>(c), utf8_locale()) != 0;
}

std::string_view strip(std::string_view text, std::optional<std::string_view> chars, bool left,
                       bool right) {
  // Many characters are looked up in a set.
  constexpr size_t kFew = 64;
  std::set<std::string_view> many;
  if (chars && chars->size() > kFew) {
    for (size_t i = 0; i < chars->size(); i += width(*chars, i)) {
      many.insert(chars->substr(i, width(*chars, i)));
    }
  }
  auto drops = [&](size_t i) {
    if (!chars) return is_space(decode(text, i));
    std::string_view c = text.substr(i, width(text, i));
    return many.empty() ? chars->find(c) != std::string_view::npos : many.contains(c);
  };
  while (left && !text.empty() && drops(0)) text.remove_prefix(width(text, 0));
  while (right && !text.empty()) {
    size_t i = text.size() - 1;
    while (i > 0 && continues(text, i) && text.size() - i < 4) --i;
    if (i + width(text, i) != text.size()) i = text.size() - 1;
    if (!drops(i)) break;
    text.remove_suffix(text.size() - i);
  }
  return text;
}

std::vector<std::string_view> split(std::string_view text, std::optional<std::string_view> sep,
                                    int64_t max, size_t parts) {
  std::vector<std::string_view> out;
  out.reserve(parts);
  if (!sep) {
    text = strip(text, {}, true, false);
    while (!text.empty()) {
      if (max >= 0 && static_cast<int64_t>(out.size()) >= max) {
        out.push_back(text);
        break;
      }
      size_t i = 0;
      while (i < text.size() && !is_space(decode(text, i))) i += width(text, i);
      out.push_back(text.substr(0, i));
      text = strip(text.substr(i), {}, true, false);
    }
    return out;
  }
  size_t start = 0;
  while (max < 0 || static_cast<int64_t>(out.size()) < max) {
    size_t at = find_in(text, *sep, start);
    if (at == std::string_view::npos) break;
    out.push_back(text.substr(start, at - start));
    start = at + sep->size();
  }
  out.push_back(text.substr(start));
  return out;
}

size_t count_parts(std::string_view text, std::optional<std::string_view> sep) {
  size_t count = 1;
  if (sep) {
    for (size_t at = find_in(text, *sep); at != std::string_view::npos;
         at = find_in(text, *sep, at + sep->size())) {
      ++count;
    }
    return count;
  }
  bool in_word = false;
  for (size_t i = 0; i < text.size(); i += width(text, i)) {
    bool was_in_word = std::exchange(in_word, !is_space(decode(text, i)));
    if (in_word && !was_in_word) ++count;
  }
  return count;
}

std::vector<std::string_view> rsplit(std::string_view text, std::optional<std::string_view> sep,
                                     int64_t max, size_t parts) {
  if (max < 0) return split(text, sep, -1, parts);
  std::vector<std::string_view> out;
  out.reserve(parts);
  if (!sep) {
    out = split(text, {}, -1, parts);
    auto keep = static_cast<size_t>(max);
    if (out.size() <= keep) return out;
    size_t rest = out.size() - keep;
    const char* end = out[rest - 1].data() + out[rest - 1].size();
    out.erase(out.begin(), out.begin() + static_cast<ptrdiff_t>(rest));
    out.insert(out.begin(), text.substr(0, static_cast<size_t>(end - text.data())));
    return out;
  }
  // Forwards in the mirror, which is made once.
  const std::string mirrored(text.rbegin(), text.rend());
  const std::string mirrored_sep(sep->rbegin(), sep->rend());
  size_t end = text.size();  // of what is not cut yet
  while (static_cast<int64_t>(out.size()) < max) {
    size_t at = find_in(mirrored, mirrored_sep, text.size() - end);
    if (at == std::string_view::npos) break;
    size_t begin = text.size() - at;
    out.push_back(text.substr(begin, end - begin));
    end = begin - sep->size();
  }
  out.push_back(text.substr(0, end));
  std::reverse(out.begin(), out.end());
  return out;
}

}  // namespace millrace::expr::unicode
