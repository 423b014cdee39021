// SPDX-License-Identifier: Apache-2.0
#include "conductor/inline_params.h"

#include <algorithm>
#include <cctype>
#include <optional>

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

// Looks ahead in one text from places that only grow: what was found once is known until the place
// is behind it, so that a text without an end of anything is gone through once.
class Ahead {
 public:
  explicit Ahead(std::string_view text) : text_(text) {}

  // How much of the text at `at` is a value, trying the forms in the reference's order; 0: it is
  // none.
  size_t value_size(size_t at) {
    std::string_view text = text_.substr(at);
    if (size_t n = bracketed(at)) return n;
    if (size_t n = quoted(at, "\"", double_)) return n;
    if (size_t n = quoted(at, "'", single_)) return n;
    if (size_t n = number(text)) return n;
    if (size_t n = word(text, "true")) return n;
    if (size_t n = word(text, "false")) return n;
    if (text.starts_with("null")) return 4;
    if (size_t n = delimited(at, "{{", "}}", braces_)) return n;
    return delimited(at, "<%", "%>", percent_);
  }

 private:
  using Known = std::optional<size_t>;  // the first place from there on, or npos

  size_t next(std::string_view what, size_t from, Known& known) const {
    if (!known || *known < from) known = text_.find(what, from);
    return *known;
  }

  size_t delimited(size_t at, std::string_view open, std::string_view close, Known& known) {
    if (!text_.substr(at).starts_with(open)) return 0;
    size_t end = next(close, at + open.size(), known);
    size_t line_end = next("\n", at, line_);
    if (end == std::string_view::npos || line_end < end) return 0;
    return end + close.size() - at;
  }

  size_t quoted(size_t at, std::string_view quote, Known& known) {
    if (!text_.substr(at).starts_with(quote)) return 0;
    size_t end = next(quote, at + 1, known);
    if (end == std::string_view::npos) return 0;
    return with_spaces(text_, end + 1) - at;
  }

  // To the last bracket of the line.
  size_t bracketed(size_t at) {
    if (!text_.substr(at).starts_with('[')) return 0;
    size_t line_end = std::min(next("\n", at, line_), text_.size());
    if (bracket_line_ != line_end) {
      bracket_line_ = line_end;
      last_bracket_ = text_.substr(0, line_end).rfind(']');
    }
    if (last_bracket_ == std::string_view::npos || last_bracket_ < at) return 0;
    return with_spaces(text_, last_bracket_ + 1) - at;
  }

  static size_t number(std::string_view text) {
    size_t sign = text.starts_with('-') ? 1 : 0;
    size_t whole = sign + count_digits(text.substr(sign));
    if (whole < text.size() && text[whole] == '.') {
      if (size_t fraction = count_digits(text.substr(whole + 1))) return whole + 1 + fraction;
    }
    return whole > sign ? whole : 0;
  }

  static size_t word(std::string_view text, std::string_view expected) {
    return iequals_ascii(text.substr(0, expected.size()), expected) ? expected.size() : 0;
  }

  std::string_view text_;
  Known line_, double_, single_, braces_, percent_;
  std::optional<size_t> bracket_line_;
  size_t last_bracket_ = 0;
};

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
  Ahead ahead(text);
  size_t at = 0;
  while (at < text.size()) {
    size_t end = at;
    while (end < text.size() && is_word(text.substr(end, 1))) ++end;
    if (end == at) {
      ++at;
      continue;
    }
    size_t size = 0;
    if (end < text.size() && text[end] == '=') size = ahead.value_size(end + 1);
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
