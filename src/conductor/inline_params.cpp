// SPDX-License-Identifier: Apache-2.0
#include "conductor/inline_params.h"

#include <algorithm>
#include <cctype>

#include "base/json.h"
#include "base/text.h"
#include "conductor/schema.h"

namespace millrace::conductor {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

size_t count_digits(std::string_view text) {
  return static_cast<size_t>(std::ranges::find_if_not(text, is_digit) - text.begin());
}

size_t with_spaces(std::string_view text, size_t size) {
  while (size < text.size() && std::isspace(static_cast<unsigned char>(text[size]))) ++size;
  return size;
}

std::string_view first_line(std::string_view text) { return text.substr(0, text.find('\n')); }

size_t delimited(std::string_view text, std::string_view open, std::string_view close) {
  if (!text.starts_with(open)) return 0;
  size_t end = first_line(text).find(close, open.size());
  return end == std::string_view::npos ? 0 : end + close.size();
}

size_t quoted(std::string_view text, char quote) {
  if (!text.starts_with(quote)) return 0;
  size_t end = text.find(quote, 1);
  return end == std::string_view::npos ? 0 : with_spaces(text, end + 1);
}

size_t bracketed(std::string_view text) {
  if (!text.starts_with('[')) return 0;
  size_t end = first_line(text).rfind(']');
  return end == std::string_view::npos ? 0 : with_spaces(text, end + 1);
}

size_t number(std::string_view text) {
  size_t sign = text.starts_with('-') ? 1 : 0;
  size_t whole = sign + count_digits(text.substr(sign));
  if (whole < text.size() && text[whole] == '.') {
    if (size_t fraction = count_digits(text.substr(whole + 1))) return whole + 1 + fraction;
  }
  return whole > sign ? whole : 0;
}

size_t word(std::string_view text, std::string_view expected) {
  return iequals_ascii(text.substr(0, expected.size()), expected) ? expected.size() : 0;
}

// How much of the text is a value, trying the forms in the reference's order; 0: it is none.
size_t value_size(std::string_view text) {
  if (size_t n = bracketed(text)) return n;
  if (size_t n = quoted(text, '"')) return n;
  if (size_t n = quoted(text, '\'')) return n;
  if (size_t n = number(text)) return n;
  if (size_t n = word(text, "true")) return n;
  if (size_t n = word(text, "false")) return n;
  if (text.starts_with("null")) return 4;
  if (size_t n = delimited(text, "{{", "}}")) return n;
  return delimited(text, "<%", "%>");
}

bool holds_quotes(std::string_view text) {
  auto twice = [&](char quote) {
    size_t first = text.find(quote);
    return first != std::string_view::npos && text.find(quote, first + 1) != std::string_view::npos;
  };
  return twice('"') || twice('\'');
}

void strip_quote(std::string_view& text, char quote) {
  if (text.starts_with(quote)) text.remove_prefix(1);
  if (text.ends_with(quote)) text.remove_suffix(1);
}

Value read_value(std::string_view text) {
  text = trim(text);
  bool has_quotes = holds_quotes(text);
  strip_quote(text, '"');
  strip_quote(text, '\'');
  if (text.empty()) return Value(text);
  bool braces = text.front() == '{' && text.back() == '}';
  if (has_quotes && !braces) return Value(text);
  bool is_bool = iequals_ascii(text, "true") || iequals_ascii(text, "false");
  auto parsed = parse_json(is_bool ? to_lower_ascii(text) : std::string(text));
  return parsed.ok() ? std::move(parsed).value() : Value(text);
}

}  // namespace

std::vector<std::pair<std::string, Value>> parse_inline_params(std::string_view text) {
  std::vector<std::pair<std::string, Value>> params;
  size_t at = 0;
  while (at < text.size()) {
    size_t end = at;
    while (end < text.size() && is_word(text.substr(end, 1))) ++end;
    if (end == at) {
      ++at;
      continue;
    }
    size_t size = 0;
    if (end < text.size() && text[end] == '=') size = value_size(text.substr(end + 1));
    if (size > 0) {
      params.emplace_back(text.substr(at, end - at), read_value(text.substr(end + 1, size)));
      at = end + 1 + size;
    } else {
      at = end;
    }
  }
  return params;
}

}  // namespace millrace::conductor
