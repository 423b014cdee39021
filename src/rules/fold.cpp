// SPDX-License-Identifier: Apache-2.0
#include "rules/fold.h"

#include <algorithm>
#include <utility>

#include "expr/unicode.h"

namespace millrace::rules {
namespace {

namespace unicode = expr::unicode;

// Small letters that are another small letter's form: both have one capital. From Unicode's
// CaseFolding.txt, status C, where it is not what lower() gives.
constexpr std::pair<char32_t, char32_t> kForms[] = {
    {0xB5, 0x3BC},    {0x17F, 's'},    {0x345, 0x3B9},  {0x3C2, 0x3C3},  {0x3D0, 0x3B2},
    {0x3D1, 0x3B8},   {0x3D5, 0x3C6},  {0x3D6, 0x3C0},  {0x3F0, 0x3BA},  {0x3F1, 0x3C1},
    {0x3F5, 0x3B5},   {0x1C80, 0x432}, {0x1C81, 0x434}, {0x1C82, 0x43E}, {0x1C83, 0x441},
    {0x1C84, 0x442},  {0x1C85, 0x442}, {0x1C86, 0x44A}, {0x1C87, 0x463}, {0x1C88, 0xA64B},
    {0x1E9B, 0x1E61}, {0x1FBE, 0x3B9},
};
constexpr char32_t kDottedCapitalI = 0x130;  // its small form is `i` and a dot, two letters

char lower_ascii(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

void append_folded(std::string& out, std::string_view letter) {
  char32_t c = unicode::decode(letter, 0);
  if (letter.size() == 1) {  // no letter: a byte that is not UTF-8
    out += letter;
    return;
  }
  std::string lower = c == kDottedCapitalI ? "i" : unicode::lower(letter);
  auto form = std::ranges::find(kForms, unicode::decode(lower, 0), [](auto& f) { return f.first; });
  if (form == std::end(kForms)) {
    out += lower;
  } else {
    unicode::append(out, form->second);
  }
}

}  // namespace

std::string fold(std::string_view text) {
  std::string out(text.size(), '\0');
  std::ranges::transform(text, out.begin(), lower_ascii);
  auto is_beyond = [](char c) { return (c & 0x80) != 0; };
  size_t plain = static_cast<size_t>(std::ranges::find_if(text, is_beyond) - text.begin());
  if (plain == text.size()) return out;
  out.resize(plain);
  for (size_t i = plain, width = 0; i < text.size(); i += width) {
    width = unicode::width(text, i);
    if (is_beyond(text[i])) {
      append_folded(out, text.substr(i, width));
    } else {
      out += lower_ascii(text[i]);
    }
  }
  return out;
}

}  // namespace millrace::rules
