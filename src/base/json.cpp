// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"

#include <fmt/format.h>

#include <array>
#include <boost/json/basic_parser_impl.hpp>
#include <charconv>
#include <cmath>
#include <iterator>

#include "base/charset.h"
#include "base/excerpt.h"
#include "base/number.h"

namespace millrace {
namespace {

// The escape \uXXXX that ends at `end`, or nothing: what follows an escaped backslash is none.
std::string_view escape_before(std::string_view text, size_t end) {
  constexpr size_t kSize = 6;
  if (end < kSize || text.substr(end - kSize, 2) != "\\u") return {};
  size_t backslashes = 1;
  while (backslashes <= end - kSize && text[end - kSize - backslashes] == '\\') ++backslashes;
  return backslashes % 2 == 1 ? text.substr(end - kSize, kSize) : std::string_view();
}

// One half of a character beyond U+FFFF: the first of D800 to DBFF, the second of DC00 to DFFF.
bool is_half(std::string_view escape, std::string_view digits) {
  return !escape.empty() && (escape[2] == 'd' || escape[2] == 'D') && digits.contains(escape[3]);
}

// What the parser calls a syntax error where it is none of JSON's: text that is no text.
std::string no_text(std::string_view text, size_t at) {
  constexpr std::string_view kFirst = "89abAB", kSecond = "cdefCDEF";
  std::string_view last = escape_before(text, at);
  bool has_first = is_half(last, kSecond) && is_half(escape_before(text, at - last.size()), kFirst);
  if (is_half(last, kFirst) || (is_half(last, kSecond) && !has_first)) {
    return fmt::format("expected a character, found half of one: {}", last);
  }
  size_t bad = first_not_utf8(text);
  if (bad > at) return {};
  return fmt::format("expected UTF-8, found the byte 0x{:02x} at {}",
                     static_cast<unsigned char>(text[bad]), bad);
}

// Builds a Value from the parser's events. Text pieces arrive in parts when they hold escapes.
class ValueBuilder {
 public:
  static constexpr size_t max_object_size = SIZE_MAX;
  static constexpr size_t max_array_size = SIZE_MAX;
  static constexpr size_t max_key_size = 64 << 10;
  static constexpr size_t kShownKey = 80;
  static constexpr size_t max_string_size = UINT32_MAX - 1;
  using error_code = boost::json::error_code;

  Value take() { return stack_.empty() ? Value() : std::move(stack_.back()); }
  void keep(const JsonLimits& limits) { limits_ = &limits; }
  // Looks for the first key that an object repeats before it is put to the others: that costs.
  void name_repeated_keys() { names_repeated_ = true; }
  // Why the parser was stopped from here; empty: it was not.
  const std::string& refused() const { return refused_; }
  bool has_repeated_key() const { return has_repeated_; }

  bool on_document_begin(error_code&) { return true; }
  bool on_document_end(error_code&) { return true; }
  bool on_object_begin(error_code&) {
    keys_.push_back(0);
    return true;
  }
  bool on_object_end(size_t entries, error_code& ec) {
    keys_.pop_back();
    return close_map(entries, ec);
  }
  bool on_array_begin(error_code&) { return true; }
  bool on_array_end(size_t items, error_code&) { return close_list(items); }
  bool on_key_part(boost::json::string_view s, size_t, error_code&) { return part(s); }
  bool on_key(boost::json::string_view s, size_t, error_code& ec) {
    if (++keys_.back() > limits_->max_keys) {
      refused_ = fmt::format("expected at most {} keys in an object", limits_->max_keys);
      ec = boost::json::error::object_too_large;
      return false;
    }
    return add(key(s));
  }
  bool on_string_part(boost::json::string_view s, size_t, error_code&) { return part(s); }
  bool on_string(boost::json::string_view s, size_t, error_code&) { return add(whole(s)); }
  bool on_number_part(boost::json::string_view s, error_code&) { return part(s); }
  bool on_int64(int64_t i, boost::json::string_view s, error_code&) {
    bool is_minus_zero = i == 0 && (pending_.empty() ? s.front() == '-' : pending_.front() == '-');
    return add_number(is_minus_zero ? Value(-0.0) : Value(i));
  }
  bool on_uint64(uint64_t i, boost::json::string_view s, error_code& ec) {
    pending_.append(s.data(), s.size());
    if (!limits_->rounds_numbers) return refuse_number("a whole number from -2^63 to 2^63 - 1", ec);
    return add_number(Value(static_cast<double>(i)));
  }
  // Boost 1.81 is off by a unit in the last place for many numbers; what to_json wrote must come
  // back as it was.
  bool on_double(double d, boost::json::string_view s, error_code& ec) {
    pending_.append(s.data(), s.size());
    std::from_chars(pending_.data(), pending_.data() + pending_.size(), d);
    bool whole = pending_.find_first_of(".eE") == std::string::npos;
    if (whole && !limits_->rounds_numbers)
      return refuse_number("a whole number from -2^63 to 2^63 - 1", ec);
    if (!std::isfinite(d)) return refuse_number("a number up to 1.79e308", ec);
    if (vanished(pending_, d) && !limits_->rounds_numbers)
      return refuse_number("0 or a number from 5e-324", ec);
    if (!limits_->rounds_numbers && is_another_number(pending_, d))
      return refuse_number("a number that a double holds", ec);
    return add_number(Value(d));
  }
  bool on_bool(bool b, error_code&) { return add(Value(b)); }
  bool on_null(error_code&) { return add(Value()); }
  bool on_comment_part(boost::json::string_view, error_code&) { return true; }
  bool on_comment(boost::json::string_view, error_code&) { return true; }

 private:
  bool part(boost::json::string_view s) {
    pending_.append(s.data(), s.size());
    return true;
  }
  Value whole(boost::json::string_view s) {
    if (pending_.empty()) return Value(std::string_view(s.data(), s.size()));
    pending_.append(s.data(), s.size());
    Value text(pending_);
    pending_.clear();
    return text;
  }
  // Objects of one list mostly have the same keys: these share their blocks.
  Value key(boost::json::string_view s) {
    if (!pending_.empty() || s.empty()) return whole(s);
    std::string_view text(s.data(), s.size());
    auto mix = text.size() * 31 + static_cast<unsigned char>(text.front()) * 7 +
               static_cast<unsigned char>(text.back());
    Value& known = known_keys_[mix % known_keys_.size()];
    if (!known.is_string() || known.as_string() != text) known = Value(text);
    return known;
  }
  bool refuse_number(std::string_view expected, error_code& ec) {
    constexpr size_t kShown = 40;
    if (pending_.size() > kShown) pending_.replace(kShown, std::string::npos, "...");
    refused_ = fmt::format("expected {}, found {}; as text it would be kept", expected, pending_);
    ec = boost::json::error::not_number;
    return false;
  }
  bool add_number(Value number) {
    pending_.clear();
    return add(std::move(number));
  }
  bool close_map(size_t entries, error_code& ec) {
    Value done = Value::map();
    auto& map = done.mutable_map();
    map.reserve(entries);
    size_t first = stack_.size() - 2 * entries;
    for (size_t i = first; i < stack_.size(); i += 2) {
      if (names_repeated_ && repeated_.empty() && map.find(stack_[i].as_string())) {
        repeated_ = json_excerpt(stack_[i], kShownKey);
      }
      map.set(std::move(stack_[i]), std::move(stack_[i + 1]));
    }
    stack_.resize(first);
    // Which of two values was meant, nobody knows (RFC 8259, 4).
    if (map.size() != entries && !limits_->rounds_numbers) {
      has_repeated_ = true;
      refused_ = fmt::format(
          "expected each key once in an object, found {} twice in the object that ends here",
          repeated_);
      ec = boost::json::error::syntax;
      return false;
    }
    return add(std::move(done));
  }
  bool close_list(size_t items) {
    auto first = stack_.end() - static_cast<ptrdiff_t>(items);
    ValueList list(std::make_move_iterator(first), std::make_move_iterator(stack_.end()));
    stack_.erase(first, stack_.end());
    return add(Value(std::move(list)));
  }
  bool add(Value value) {
    stack_.push_back(std::move(value));
    return true;
  }

  // What is not closed yet: the items of lists, keys and values of maps in turn. A container is
  // made when its size is known.
  std::vector<Value> stack_;
  std::vector<size_t> keys_;  // of each object that is open
  std::array<Value, 64> known_keys_;
  std::string pending_;
  std::string refused_;
  bool has_repeated_ = false;
  bool names_repeated_ = false;
  std::string repeated_;
  const JsonLimits* limits_ = nullptr;
};

std::string position_of(std::string_view text, size_t offset) {
  size_t line = 1;
  size_t line_start = 0;
  for (size_t i = 0; i < offset && i < text.size(); ++i) {
    if (text[i] == '\n') {
      ++line;
      line_start = i + 1;
    }
  }
  return fmt::format("line {}, column {} (byte {})", line, offset - line_start + 1, offset);
}

void append_number(std::string& out, double d) {
  if (!std::isfinite(d)) {
    out += "null";
    return;
  }
  size_t start = out.size();
  fmt::format_to(std::back_inserter(out), "{}", d);
  // "1" would come back as an integer: keep the kind.
  if (out.find_first_of(".eE", start) == std::string::npos) out += ".0";
}

void append_indented(std::string& out, const Value& value, int depth) {
  auto newline = [&](int d) {
    out += '\n';
    out.append(static_cast<size_t>(d) * 2, ' ');
  };
  if (value.is_list() && value.size() > 0) {
    out += '[';
    bool first = true;
    for (const auto& item : value.as_list()) {
      if (!first) out += ',';
      first = false;
      newline(depth + 1);
      append_indented(out, item, depth + 1);
    }
    newline(depth);
    out += ']';
  } else if (value.is_map() && value.size() > 0) {
    out += '{';
    bool first = true;
    for (const auto& entry : value.as_map()) {
      if (!first) out += ',';
      first = false;
      newline(depth + 1);
      append_json_string(out, entry.name());
      out += ": ";
      append_indented(out, entry.value, depth + 1);
    }
    newline(depth);
    out += '}';
  } else {
    append_json(out, value);
  }
}

using Parser = boost::json::basic_parser<ValueBuilder>;

// Up to where it has read.
size_t read(Parser& parser, std::string_view text, boost::json::error_code& ec) {
  size_t used = parser.write_some(false, text.data(), text.size(), ec);
  if (ec) return used;
  size_t rest = text.find_first_not_of(" \t\r\n", used);
  if (rest == std::string_view::npos) return used;
  ec = boost::json::error::extra_data;
  return rest;
}

// No more than one character: what stands behind it may be a secret.
std::string syntax_error(std::string_view text, size_t at) {
  if (at >= text.size()) return "syntax error at the end";
  char c = text[at];
  auto byte = static_cast<unsigned char>(c);
  bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  if (is_letter) {
    return "syntax error, found a word: only true, false and null stand without quotes, written so";
  }
  if (byte < 0x20 || byte >= 0x7f)
    return fmt::format("syntax error, found the byte 0x{:02x}", byte);
  return fmt::format("syntax error, found '{}'", c);
}

// What it had no room for is told with its limit, a wrong sign with what it is.
std::string reason_of(std::string_view text, size_t at, const boost::json::error_code& ec,
                      const JsonLimits& limits) {
  if (ec == boost::json::error::extra_data) {
    return "expected the end after one JSON value, found more";
  }
  if (ec == boost::json::error::syntax) return syntax_error(text, at);
  if (ec == boost::json::error::too_deep) {
    return fmt::format("expected at most {} levels of objects and lists", limits.max_depth);
  }
  if (ec == boost::json::error::key_too_large) {
    return fmt::format("expected a key of at most {} bytes", ValueBuilder::max_key_size);
  }
  return ec.message();
}

}  // namespace

Result<Value> parse_json(std::string_view text, const JsonLimits& limits) {
  if (text.size() > limits.max_bytes) {
    return Error(ErrorKind::TooLarge, "BAS-0003",
                 fmt::format("JSON text: expected at most {} bytes, found {}", limits.max_bytes,
                             text.size()));
  }
  boost::json::parse_options options;
  options.max_depth = limits.max_depth;
  Parser parser(options);
  parser.handler().keep(limits);
  boost::json::error_code ec;
  size_t used = read(parser, text, ec);
  if (ec) {
    std::string refused = parser.handler().refused();
    if (parser.handler().has_repeated_key()) {
      // Which it is costs a second look, that only a text pays which is refused.
      Parser again(options);
      again.handler().keep(limits);
      again.handler().name_repeated_keys();
      boost::json::error_code same;
      read(again, text, same);
      refused = again.handler().refused();
    }
    std::string reason = refused.empty() ? no_text(text, used) : std::string();
    return Error(ErrorKind::Invalid, "BAS-0002",
                 fmt::format("invalid JSON at {}: {}", position_of(text, used),
                             !refused.empty() ? refused
                             : reason.empty() ? reason_of(text, used, ec, limits)
                                              : reason));
  }
  return parser.handler().take();
}

void append_json_string(std::string& out, std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  size_t plain = 0;
  for (size_t i = 0; i < text.size();) {
    auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c != '"' && c != '\\' && c < 0x80) {
      ++i;
      continue;
    }
    if (c >= 0x80) {
      if (size_t n = utf8_length(text, i); n > 0) {
        i += n;
        continue;
      }
    }
    out.append(text, plain, i - plain);
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      case '\b': out += "\\b"; break;
      case '\f': out += "\\f"; break;
      default:
        if (c < 0x20) {
          out += "\\u00";
          out += kHex[c >> 4];
          out += kHex[c & 15];
        } else {
          out += "\xEF\xBF\xBD";
        }
    }
    plain = ++i;
  }
  out.append(text, plain, text.size() - plain);
  out += '"';
}

void append_json(std::string& out, const Value& value) {
  switch (value.kind()) {
    case Value::Kind::Null: out += "null"; break;
    case Value::Kind::Bool: out += value.as_bool() ? "true" : "false"; break;
    case Value::Kind::Int: {
      fmt::format_int text(value.as_int());
      out.append(text.data(), text.size());
      break;
    }
    case Value::Kind::Float: append_number(out, value.as_float()); break;
    case Value::Kind::String: append_json_string(out, value.as_string()); break;
    case Value::Kind::List: {
      out += '[';
      bool first = true;
      for (const auto& item : value.as_list()) {
        if (!first) out += ',';
        first = false;
        append_json(out, item);
      }
      out += ']';
      break;
    }
    case Value::Kind::Map: {
      out += '{';
      bool first = true;
      for (const auto& entry : value.as_map()) {
        if (!first) out += ',';
        first = false;
        append_json_string(out, entry.name());
        out += ':';
        append_json(out, entry.value);
      }
      out += '}';
      break;
    }
  }
}

std::string to_json(const Value& value) {
  std::string out;
  append_json(out, value);
  return out;
}

std::string to_pretty_json(const Value& value) {
  std::string out;
  append_indented(out, value, 0);
  return out;
}

bool is_utf8(std::string_view text) { return first_not_utf8(text) == text.npos; }

}  // namespace millrace
