// SPDX-License-Identifier: Apache-2.0
#include "expr/jinja_lexer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "expr/ast.h"
#include "expr/python.h"
#include "expr/unicode.h"

namespace millrace::expr {
namespace {

using Kind = JinjaToken::Kind;

// Line ends become "\n", and one at the end of the template is dropped.
std::string normalize(std::string_view source, bool drop_last) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      out += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      out += source[i];
    }
  }
  if (drop_last && out.ends_with('\n')) out.pop_back();
  return out;
}

class Lexer {
 public:
  explicit Lexer(std::string source) : source_(std::move(source)) {}

  Result<std::vector<JinjaToken>> run_template() {
    while (at_ < source_.size()) {
      size_t tag = find_tag();
      if (tag == std::string::npos) {
        add(Kind::Data, source_.substr(at_));
        break;
      }
      TRY(text_and_tag(tag));
    }
    return finish();
  }

  Result<std::vector<JinjaToken>> run_expression() {
    TRY(inside(Kind::End));
    return finish();
  }

 private:
  std::string_view rest() const { return std::string_view(source_).substr(at_); }
  Error fail(std::string message) const { return syntax_error(std::move(message)); }

  void add(Kind kind, std::string text, Value value = {}) {
    if (kind == Kind::Data) {
      if (text.empty()) return;
      line_ += static_cast<int>(std::count(text.begin(), text.end(), '\n'));
      value = Value(text);
      text.clear();
    }
    tokens_.push_back({kind, std::move(text), std::move(value), line_});
  }

  std::vector<JinjaToken> finish() {
    tokens_.push_back({Kind::End, "", {}, line_});
    return std::move(tokens_);
  }

  size_t find_tag() const {
    for (size_t i = source_.find('{', at_); i != std::string::npos; i = source_.find('{', i + 1)) {
      char next = i + 1 < source_.size() ? source_[i + 1] : '\0';
      if (next == '{' || next == '%' || next == '#') return i;
    }
    return std::string::npos;
  }

  // The text before a tag, without what its `-` or lstrip_blocks takes away.
  void text_before(size_t tag, char sign, bool is_print) {
    std::string text = source_.substr(at_, tag - at_);
    if (sign == '-') {
      text = std::string(unicode::strip(text, {}, false, true));
    } else if (sign != '+' && !is_print) {
      size_t newline = text.rfind('\n');
      size_t line = newline == std::string::npos ? 0 : newline + 1;
      bool at_line_start = line > 0 || line_starting_;
      if (at_line_start &&
          unicode::strip(std::string_view(text).substr(line), {}, true, true).empty()) {
        text.resize(line);
      }
    }
    add(Kind::Data, std::move(text));
  }

  char sign_at(size_t i) const {
    return i < source_.size() && (source_[i] == '-' || source_[i] == '+') ? source_[i] : '\0';
  }

  // After a tag's end: `-` takes the white space that follows, else one line end of a block.
  void after_tag(char sign, bool is_print) {
    size_t start = at_;
    if (sign == '-') {
      at_ += rest().size() - unicode::strip(rest(), {}, true, false).size();
    } else if (sign != '+' && !is_print && rest().starts_with('\n')) {
      ++at_;
    }
    line_starting_ = at_ > start && source_[at_ - 1] == '\n';
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<ptrdiff_t>(start),
                                         source_.begin() + static_cast<ptrdiff_t>(at_), '\n'));
  }

  Result<void> text_and_tag(size_t tag) {
    char kind = source_[tag + 1];
    char sign = sign_at(tag + 2);
    text_before(tag, sign, kind == '{');
    at_ = tag + 2 + (sign != '\0' ? 1 : 0);
    if (kind == '#') return comment();
    if (kind == '{') {
      add(Kind::PrintBegin, "{{");
      return inside(Kind::PrintEnd);
    }
    size_t after = at_;
    if (is_raw_tag("raw", after)) return raw(after);
    add(Kind::BlockBegin, "{%");
    return inside(Kind::BlockEnd);
  }

  Result<void> comment() {
    size_t end = source_.find("#}", at_);
    if (end == std::string::npos) return fail("Missing end of comment tag");
    char sign = end > at_ ? sign_at(end - 1) : '\0';
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<ptrdiff_t>(at_),
                                         source_.begin() + static_cast<ptrdiff_t>(end), '\n'));
    at_ = end + 2;
    after_tag(sign, false);
    return {};
  }

  // `word %}` at `i`, which moves behind the tag.
  bool is_raw_tag(std::string_view word, size_t& i) const {
    size_t k = source_.find_first_not_of(" \t\n", i);
    if (k == std::string::npos || source_.compare(k, word.size(), word) != 0) return false;
    k = source_.find_first_not_of(" \t\n", k + word.size());
    if (k == std::string::npos) return false;
    if (source_[k] == '-' || (source_[k] == '+' && word == "endraw")) ++k;
    if (source_.compare(k, 2, "%}") != 0) return false;
    i = k + 2;
    return true;
  }

  Result<void> raw(size_t begin) {
    at_ = begin;
    if (source_[begin - 3] == '-') after_tag('-', false);
    line_starting_ = at_ > 0 && source_[at_ - 1] == '\n';
    for (size_t tag = source_.find("{%", at_); tag != std::string::npos;
         tag = source_.find("{%", tag + 1)) {
      char sign = sign_at(tag + 2);
      size_t after = tag + 2 + (sign != '\0' ? 1 : 0);
      if (!is_raw_tag("endraw", after)) continue;
      text_before(tag, sign, false);
      at_ = after;
      after_tag(sign_at(after - 3), false);
      return {};
    }
    return fail("Missing end of raw directive");
  }

  // Expression tokens up to the closing tag.
  Result<void> inside(Kind until) {
    std::string nesting;
    while (true) {
      while (!rest().empty() && unicode::is_space(unicode::decode(source_, at_))) {
        if (source_[at_] == '\n') ++line_;
        at_ += unicode::width(source_, at_);
      }
      if (rest().empty()) {
        if (until == Kind::End) return {};
        return fail(fmt::format("unexpected end of template, expected '{}'",
                                until == Kind::PrintEnd ? "}}" : "%}"));
      }
      if (until != Kind::End && nesting.empty() && closes(until)) return {};
      TRY(token(nesting));
    }
  }

  bool closes(Kind until) {
    std::string_view end = until == Kind::PrintEnd ? "}}" : "%}";
    char sign = sign_at(at_);
    if (until == Kind::PrintEnd && sign == '+') return false;
    if (sign != '\0' && !rest().substr(1).starts_with(end)) return false;
    if (sign == '\0' && !rest().starts_with(end)) return false;
    add(until, std::string(end));
    at_ += end.size() + (sign != '\0' ? 1 : 0);
    after_tag(sign, until == Kind::PrintEnd);
    return true;
  }

  Result<void> token(std::string& nesting) {
    char c = source_[at_];
    bool digit = unicode::is_digit(static_cast<char32_t>(c));
    if (digit) return number();
    if (c == '_' || unicode::is_alpha(unicode::decode(source_, at_))) return name();
    if (c == '\'' || c == '"') return string(c);
    constexpr std::array<std::string_view, 26> kPuncts = {
        "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
        "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
    for (auto punct : kPuncts) {
      if (!rest().starts_with(punct)) continue;
      if (punct == "(" || punct == "[" || punct == "{") nesting += punct;
      if (punct == ")" || punct == "]" || punct == "}") {
        char open = punct == ")" ? '(' : punct == "]" ? '[' : '{';
        if (nesting.empty()) return fail(fmt::format("unexpected '{}'", punct));
        if (nesting.back() != open) return fail(fmt::format("unexpected '{}'", punct));
        nesting.pop_back();
      }
      add(Kind::Punct, std::string(punct));
      at_ += punct.size();
      return {};
    }
    return fail(fmt::format("unexpected char '{}' at {}",
                            rest().substr(0, unicode::width(source_, at_)), at_));
  }

  Result<void> name() {
    size_t end = at_;
    while (end < source_.size()) {
      char32_t c = unicode::decode(source_, end);
      if (c != '_' && !unicode::is_alpha(c) && !unicode::is_digit(c)) break;
      end += unicode::width(source_, end);
    }
    if (end - at_ > kLongestName) return fail("a name is longer than 1024 bytes");
    add(Kind::Name, source_.substr(at_, end - at_));
    at_ = end;
    return {};
  }

  // Digits with single underscores between them, from `i`.
  size_t digits(size_t i, std::string_view allowed) const {
    auto is = [&](size_t k) {
      return k < source_.size() && allowed.find(source_[k]) != std::string_view::npos;
    };
    while (is(i) || (i > at_ && i < source_.size() && source_[i] == '_' && is(i + 1))) ++i;
    return i;
  }

  Result<void> number() {
    constexpr std::string_view kDecimal = "0123456789";
    size_t end = digits(at_, kDecimal);
    bool is_float = false;
    bool after_dot = at_ > 0 && source_[at_ - 1] == '.';
    char second = at_ + 1 < source_.size() ? static_cast<char>(source_[at_ + 1] | 0x20) : '\0';
    if (source_[at_] == '0' && (second == 'x' || second == 'o' || second == 'b')) {
      std::string_view allowed = second == 'x'   ? "0123456789abcdefABCDEF"
                                 : second == 'o' ? "01234567"
                                                 : "01";
      end = digits(at_ + 2, allowed);
    } else if (!after_dot) {
      if (size_t f = fraction_end(end); f > end) {
        is_float = true;
        end = f;
      }
      if (size_t e = exponent_end(end); e > end) {
        is_float = true;
        end = e;
      }
    }
    std::string text = source_.substr(at_, end - at_);
    at_ = end;
    if (is_float) {
      double d = 0;
      if (!python::parse_float(text, d)) return fail(fmt::format("malformed number '{}'", text));
      add(Kind::Literal, text, Value(d));
      return {};
    }
    Item item;
    if (!python::parse_int(text, 0, item) || !item.is_int()) {
      return fail(fmt::format("the integer {} does not fit 64 bits", text));
    }
    add(Kind::Literal, text, item.value());
    return {};
  }
  size_t fraction_end(size_t i) const {
    constexpr std::string_view kDecimal = "0123456789";
    if (i >= source_.size() || source_[i] != '.') return i;
    if (i + 1 >= source_.size() || kDecimal.find(source_[i + 1]) == std::string_view::npos)
      return i;
    return digits(i + 1, kDecimal);
  }
  size_t exponent_end(size_t i) const {
    constexpr std::string_view kDecimal = "0123456789";
    if (i >= source_.size() || (source_[i] | 0x20) != 'e') return i;
    size_t k = i + 1;
    if (k < source_.size() && (source_[k] == '+' || source_[k] == '-')) ++k;
    if (k >= source_.size() || kDecimal.find(source_[k]) == std::string_view::npos) return i;
    return digits(k, kDecimal);
  }

  Result<void> string(char quote) {
    size_t end = at_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) return fail(fmt::format("unexpected char '{}' at {}", quote, at_));
    std::string decoded;
    if (!decode_escapes(std::string_view(source_).substr(at_ + 1, end - at_ - 1), decoded, false)) {
      return fail("malformed escape in a string literal, or half of a character");
    }
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<ptrdiff_t>(at_),
                                         source_.begin() + static_cast<ptrdiff_t>(end), '\n'));
    add(Kind::Literal, "", Value(decoded));
    at_ = end + 1;
    return {};
  }

  std::string source_;
  size_t at_ = 0;
  int line_ = 1;
  bool line_starting_ = true;
  std::vector<JinjaToken> tokens_;
};

}  // namespace

Result<std::vector<JinjaToken>> lex_jinja_template(std::string_view source) {
  return Lexer(normalize(source, true)).run_template();
}

Result<std::vector<JinjaToken>> lex_jinja_expression(std::string_view source) {
  return Lexer(normalize(source, true)).run_expression();
}

}  // namespace millrace::expr
