// SPDX-License-Identifier: Apache-2.0
#include "base/yaml_scalar.h"

#include <re2/re2.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <string>

#include "base/text.h"

namespace millrace {
namespace {

// yaml/resolver.py of PyYAML 6: the spellings of YAML 1.1, with its faults (an exponent must have
// a sign and a mantissa with a point; `-.5` is a string).
struct Patterns {
  re2::RE2 boolean{"yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF"};
  re2::RE2 real{
      "[-+]?(?:[0-9][0-9_]*)\\.[0-9_]*(?:[eE][-+][0-9]+)?|\\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?|"
      "[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\\.[0-9_]*|[-+]?\\.(?:inf|Inf|INF)|\\.(?:nan|NaN|NAN)"};
  re2::RE2 whole{
      "[-+]?0b[0-1_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+|"
      "[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+"};
  re2::RE2 null{"~|null|Null|NULL|"};
  re2::RE2 timestamp{
      "[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{4}-[0-9][0-9]?-[0-9][0-9]?(?:[Tt]|[ \\t]+)[0-9][0-9]?:"
      "[0-9]{2}:[0-9]{2}(?:\\.[0-9]*)?(?:[ \\t]*(?:Z|[-+][0-9][0-9]?(?::[0-9]{2})?))?"};
};
const Patterns& patterns() {
  static const Patterns all;
  return all;
}

// The spelling without sign and underscores.
struct Digits {
  explicit Digits(std::string_view written) {
    negative = written.starts_with('-');
    if (negative || written.starts_with('+')) written.remove_prefix(1);
    for (char c : written) {
      if (c != '_') text += c;
    }
  }
  bool negative;
  std::string text;
};

// A sum that goes on as a float where 64 bits do not hold it.
class Sum {
 public:
  explicit Sum(bool negative) : negative_(negative) {}

  void shift_and_add(int64_t base, int64_t digit) {
    if (negative_) digit = -digit;
    fits_ = fits_ && !__builtin_mul_overflow(exact_, base, &exact_) &&
            !__builtin_add_overflow(exact_, digit, &exact_);
    rough_ = rough_ * static_cast<double>(base) + static_cast<double>(digit);
  }
  bool fits() const { return fits_; }
  Value value() const { return fits_ ? Value(exact_) : Value(rough_); }

 private:
  bool negative_;
  bool fits_ = true;
  int64_t exact_ = 0;
  double rough_ = 0;
};

int64_t digit_of(char c) { return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10; }

Value whole_number(std::string_view written) {
  Digits digits(written);
  std::string_view rest = digits.text;
  Sum sum(digits.negative);
  if (rest.find(':') != std::string_view::npos) {  // counts in sixties
    for (auto part : split(rest, ':')) {
      Sum group(false);
      for (char c : part) group.shift_and_add(10, digit_of(c));
      // The first group may have any length.
      if (!group.fits()) return Value(*yaml_float(written));
      sum.shift_and_add(60, group.value().as_int());
    }
    return sum.value();
  }
  int64_t base = rest.starts_with("0b") ? 2 : rest.starts_with("0x") ? 16 : rest[0] == '0' ? 8 : 10;
  if (base == 2 || base == 16) rest.remove_prefix(2);
  if (rest.empty()) return Value(written);  // `0x_`, where PyYAML fails
  for (char c : rest) sum.shift_and_add(base, digit_of(c));
  if (base == 10 && !sum.fits()) return Value(*yaml_float(written));  // rounds once
  return sum.value();
}

std::optional<double> decimal(std::string_view text) {
  double number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc::result_out_of_range) {
    bool small = text.find("e-") != text.npos || text.find("E-") != text.npos;
    return small ? 0.0 : std::numeric_limits<double>::infinity();
  }
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace

std::optional<double> yaml_float(std::string_view written) {
  Digits digits(written);
  std::string text = to_lower_ascii(digits.text);
  double total = 0;
  if (text == ".inf") {
    total = std::numeric_limits<double>::infinity();
  } else if (text == ".nan") {
    total = std::numeric_limits<double>::quiet_NaN();
  } else {
    for (auto part : split(text, ':')) {
      auto number = decimal(part);
      if (!number) return std::nullopt;
      total = total * 60 + *number;
    }
  }
  return digits.negative ? -total : total;
}

YamlScalar yaml_scalar_kind(std::string_view text) {
  re2::StringPiece piece(text.data(), text.size());
  auto is = [&](const re2::RE2& pattern) { return re2::RE2::FullMatch(piece, pattern); };
  const Patterns& known = patterns();
  if (text.empty()) return YamlScalar::Null;
  // Most scalars are words: as PyYAML does, the first character tells what to try.
  constexpr std::string_view kNumbersBegin = "0123456789+-.";
  if (kNumbersBegin.find(text[0]) != std::string_view::npos) {
    if (is(known.real)) return YamlScalar::Float;
    if (is(known.whole)) return YamlScalar::Int;
    return is(known.timestamp) ? YamlScalar::Timestamp : YamlScalar::String;
  }
  if (is(known.boolean)) return YamlScalar::Bool;
  return is(known.null) ? YamlScalar::Null : YamlScalar::String;
}

Value resolve_yaml_scalar(std::string_view text) {
  switch (yaml_scalar_kind(text)) {
    case YamlScalar::Null: return Value();
    case YamlScalar::Bool: {
      char last = static_cast<char>(text.back() | 0x20);  // yes, true, on; no, false, off
      return Value(last == 's' || last == 'n' || (last == 'e' && (text[0] | 0x20) == 't'));
    }
    case YamlScalar::Int: return whole_number(text);
    case YamlScalar::Float: {
      auto number = yaml_float(text);
      return number ? Value(*number) : Value(text);
    }
    case YamlScalar::Timestamp:
    case YamlScalar::String: break;
  }
  return Value(text);
}

}  // namespace millrace
