// SPDX-License-Identifier: Apache-2.0
#include "expr/ast.h"

#include "expr/meter.h"
#include "expr/unicode.h"

namespace millrace::expr {

NodeId TreeBuilder::add(Op op, uint32_t a, uint32_t b, uint8_t aux) {
  tree_.nodes.push_back({.op = op, .aux = aux, .a = a, .b = b});
  return static_cast<NodeId>(tree_.nodes.size() - 1);
}

NodeId TreeBuilder::add(Op op, std::vector<Arg> args, uint32_t a, uint32_t b, uint8_t aux) {
  NodeId id = add(op, a, b, aux);
  tree_.nodes[id].first = static_cast<uint32_t>(tree_.args.size());
  tree_.nodes[id].count = static_cast<uint16_t>(args.size());
  tree_.args.insert(tree_.args.end(), args.begin(), args.end());
  return id;
}

uint32_t TreeBuilder::constant(Value value) {
  constexpr size_t kSearched = 64;
  for (size_t i = 0; i < tree_.constants.size() && i < kSearched; ++i) {
    const Value& other = tree_.constants[i];
    bool scalar = !value.is_list() && !value.is_map() && !value.is_float();
    if (scalar && other.kind() == value.kind() && other == value) return static_cast<uint32_t>(i);
  }
  tree_.constants.push_back(std::move(value));
  return static_cast<uint32_t>(tree_.constants.size() - 1);
}

Error syntax_error(std::string message) {
  return Error(ErrorKind::Invalid, kSyntax, std::move(message));
}

namespace {

// Reads `digits` hexadecimal digits at `i`; false when they are malformed.
bool read_hex(std::string_view text, size_t& i, size_t digits, char32_t& c) {
  if (i + digits > text.size()) return false;
  c = 0;
  for (size_t k = 0; k < digits; ++k) {
    char h = text[i + k];
    char lower = static_cast<char>(h | 0x20);
    bool digit = h >= '0' && h <= '9';
    if (!digit && !(lower >= 'a' && lower <= 'f')) return false;
    c = c << 4 | static_cast<char32_t>(digit ? h - '0' : lower - 'a' + 10);
  }
  i += digits;
  return c <= 0x10FFFF;
}

// Appends the character at `i`, which may be written as two halves; false when it is malformed.
// Half of one is none: UTF-8 cannot hold it.
bool decode_hex(std::string_view text, size_t& i, size_t digits, std::string& out) {
  char32_t c = 0;
  if (!read_hex(text, i, digits, c)) return false;
  if (unicode::is_half(c)) {
    bool is_first = c < 0xDC00 && digits == 4 && text.substr(i).starts_with("\\u");
    if (!is_first) return false;
    i += 2;
    char32_t second = 0;
    if (!read_hex(text, i, digits, second) || second < 0xDC00 || second > 0xDFFF) return false;
    c = 0x10000 + ((c - 0xD800) << 10) + (second - 0xDC00);
  }
  unicode::append(out, c);
  return true;
}

void decode_octal(std::string_view text, size_t& i, std::string& out) {
  char32_t c = 0;
  for (int k = 0; k < 3 && i < text.size() && text[i] >= '0' && text[i] <= '7'; ++k, ++i) {
    c = c << 3 | static_cast<char32_t>(text[i] - '0');
  }
  unicode::append(out, c);
}

}  // namespace

bool decode_escapes(std::string_view text, std::string& out, bool lenient) {
  constexpr std::string_view kLetters = "\\'\"abfnrtv";
  constexpr std::string_view kMeanings = "\\'\"\a\b\f\n\r\t\v";
  out.clear();
  for (size_t i = 0; i < text.size();) {
    if (text[i] != '\\' || i + 1 >= text.size()) {
      out += text[i++];
      continue;
    }
    char c = text[i + 1];
    size_t after = i + 2;
    if (size_t at = kLetters.find(c); at != std::string_view::npos) {
      out += kMeanings[at];
    } else if (c >= '0' && c <= '7') {
      after = i + 1;
      decode_octal(text, after, out);
    } else if (c == 'x' || c == 'u' || c == 'U') {
      if (!decode_hex(text, after, c == 'x' ? 2 : c == 'u' ? 4 : 8, out)) return false;
    } else if (c == '\n' && !lenient) {
      // An escaped line end is nothing.
    } else {
      out += '\\';
      after = i + 1;
    }
    i = after;
  }
  return true;
}

}  // namespace millrace::expr
