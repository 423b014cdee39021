// SPDX-License-Identifier: Apache-2.0
#include "expr/python_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "expr/eval.h"
#include "expr/unicode.h"

namespace millrace::expr::python {
namespace {

constexpr int64_t kMaxWidth = 100'000;

// [[fill]align][sign][#][0][width][,|_][.precision][type]
struct Spec {
  std::string fill = " ";
  char align = '\0';
  char sign = '-';
  bool alternate = false;
  int64_t width = 0;
  char grouping = '\0';
  int64_t precision = -1;
  char type = '\0';
};

Error bad_spec(std::string_view spec) {
  return value_error(fmt::format("Invalid format specifier '{}'", spec));
}

bool is_align(char c) { return c == '<' || c == '>' || c == '=' || c == '^'; }

Result<int64_t> read_number(std::string_view spec, size_t& i) {
  int64_t n = 0;
  for (; i < spec.size() && spec[i] >= '0' && spec[i] <= '9'; ++i) {
    n = n * 10 + (spec[i] - '0');
    if (n > kMaxWidth) return value_error("a format width or precision is larger than 100000");
  }
  return n;
}

Result<Spec> parse_spec(std::string_view text) {
  Spec spec;
  size_t i = 0;
  size_t first = text.empty() ? 0 : unicode::width(text, 0);
  if (first < text.size() && is_align(text[first])) {
    spec.fill = text.substr(0, first);
    spec.align = text[first];
    i = first + 1;
  } else if (!text.empty() && is_align(text[0])) {
    spec.align = text[0];
    i = 1;
  }
  auto accept = [&](std::string_view any) {
    return i < text.size() && any.find(text[i]) != std::string_view::npos;
  };
  if (accept("+- ")) spec.sign = text[i++];
  if (accept("#")) {
    spec.alternate = true;
    ++i;
  }
  if (accept("0")) {
    if (spec.align == '\0') {
      spec.fill = "0";
      spec.align = '=';
    }
    ++i;
  }
  TRY(spec.width, read_number(text, i));
  if (accept(",_")) spec.grouping = text[i++];
  if (accept(".")) {
    ++i;
    if (!accept("0123456789")) return value_error("Format specifier missing precision");
    TRY(spec.precision, read_number(text, i));
  }
  if (i < text.size()) spec.type = text[i++];
  if (i < text.size()) return bad_spec(text);
  return spec;
}

std::string pad(const Spec& spec, std::string sign, std::string body, char default_align) {
  char align = spec.align == '\0' ? default_align : spec.align;
  auto size = static_cast<int64_t>(unicode::length(body) + unicode::length(sign));
  int64_t missing = std::max<int64_t>(spec.width - size, 0);
  auto fill = [&](int64_t n) {
    std::string out;
    for (; n > 0; --n) out += spec.fill;
    return out;
  };
  switch (align) {
    case '<': return sign + body + fill(missing);
    case '=': return sign + fill(missing) + body;
    case '^': return fill(missing / 2) + sign + body + fill(missing - missing / 2);
    default: return fill(missing) + sign + body;
  }
}

std::string group(std::string digits, char separator, size_t every) {
  size_t end = std::min(digits.find_first_not_of("0123456789abcdefABCDEF"), digits.size());
  for (auto i = static_cast<ptrdiff_t>(end) - static_cast<ptrdiff_t>(every); i > 0;
       i -= static_cast<ptrdiff_t>(every)) {
    digits.insert(static_cast<size_t>(i), 1, separator);
  }
  return digits;
}

std::string sign_of(const Spec& spec, bool negative) {
  if (negative) return "-";
  return spec.sign == '-' ? "" : std::string(1, spec.sign);
}

std::string in_base(UInt128 value, unsigned base, bool upper) {
  std::string digits;
  do {
    auto digit = static_cast<unsigned>(value % base);
    digits += static_cast<char>(digit < 10 ? '0' + digit : (upper ? 'A' : 'a') + digit - 10);
    value /= base;
  } while (value != 0);
  std::reverse(digits.begin(), digits.end());
  return digits;
}

Result<std::string> format_int(const Spec& spec, Int128 value) {
  bool negative = value < 0;
  // Of the least one there is no positive of its own kind.
  auto magnitude = negative ? -static_cast<UInt128>(value) : static_cast<UInt128>(value);
  std::string prefix;
  std::string digits;
  switch (spec.type) {
    case 'b': digits = in_base(magnitude, 2, false), prefix = "0b"; break;
    case 'o': digits = in_base(magnitude, 8, false), prefix = "0o"; break;
    case 'x': digits = in_base(magnitude, 16, false), prefix = "0x"; break;
    case 'X': digits = in_base(magnitude, 16, true), prefix = "0X"; break;
    case 'c':
      if (negative || value > 0x10FFFF) return value_error("%c arg not in range(0x110000)");
      if (unicode::is_half(static_cast<char32_t>(value))) {
        return value_error("%c arg is half of a character");
      }
      unicode::append(digits, static_cast<char32_t>(value));
      return pad(spec, "", digits, '<');
    default: digits = in_base(magnitude, 10, false);
  }
  if (spec.grouping != '\0') digits = group(digits, spec.grouping, prefix.empty() ? 3 : 4);
  std::string sign = sign_of(spec, negative) + (spec.alternate ? prefix : "");
  return pad(spec, sign, digits, '>');
}

// Python's 'g' and the default of floats with a precision: as C, but `#` is rare enough to refuse.
std::string general(double d, int64_t precision, bool upper) {
  std::string out =
      upper ? fmt::format("{:.{}G}", d, precision) : fmt::format("{:.{}g}", d, precision);
  return out;
}

Result<std::string> format_float(const Spec& spec, double d) {
  bool negative = std::signbit(d) && !std::isnan(d);
  double magnitude = std::fabs(d);
  std::string digits;
  int64_t precision = spec.precision < 0 ? 6 : std::min<int64_t>(spec.precision, 1000);
  bool upper = spec.type == 'F' || spec.type == 'E' || spec.type == 'G';
  if (std::isnan(d) || std::isinf(d)) {
    digits = std::isnan(d) ? "nan" : "inf";
    if (upper) digits = unicode::upper(digits);
    if (spec.type == '%') digits += '%';
    return pad(spec, sign_of(spec, negative), digits, '>');
  }
  switch (spec.type) {
    case 'f':
    case 'F': digits = fmt::format("{:.{}f}", magnitude, precision); break;
    case 'e': digits = fmt::format("{:.{}e}", magnitude, precision); break;
    case 'E': digits = fmt::format("{:.{}E}", magnitude, precision); break;
    case '%': digits = fmt::format("{:.{}f}%", magnitude * 100, precision); break;
    case 'g':
    case 'G':
    case 'n': digits = general(magnitude, std::max<int64_t>(precision, 1), upper); break;
    default:
      if (spec.precision >= 0) {
        digits = general(magnitude, std::max<int64_t>(precision, 1), false);
        if (digits.find_first_of(".e") == std::string::npos) digits += ".0";
      } else {
        append_float(digits, magnitude);
      }
  }
  if (spec.grouping != '\0') digits = group(digits, spec.grouping, 3);
  return pad(spec, sign_of(spec, negative), digits, '>');
}

// Cuts before it copies, and pays for what it copies.
Result<std::string> format_text(Meter& meter, const Spec& spec, std::string_view text) {
  if (spec.type != '\0' && spec.type != 's') {
    return value_error(fmt::format("Unknown format code '{}' for object of type 'str'", spec.type));
  }
  if (spec.align == '=') {
    return value_error("'=' alignment not allowed in string format specifier");
  }
  if (spec.precision >= 0) {
    text = text.substr(0, unicode::offset_of(text, static_cast<size_t>(spec.precision)));
  }
  TRY(meter.scan(text.size()));
  TRY(meter.take(text.size()));
  return pad(spec, "", std::string(text), '<');
}

}  // namespace

Result<std::string> format_value(Evaluator& eval, const Item& value, std::string_view text) {
  if (value.is_undefined()) return undefined_use(value);
  if (text.empty()) return eval.str(value);
  TRY(Spec spec, parse_spec(text));
  TRY(eval.meter.take(static_cast<size_t>(spec.width) * spec.fill.size()));
  constexpr std::string_view kFloatTypes = "eEfFgGn%";
  bool as_float = kFloatTypes.find(spec.type) != std::string_view::npos && spec.type != '\0';
  if (value.is_float() || (is_integer(value) && as_float)) {
    constexpr std::string_view kIntOnly = "bcdoxX";
    if (spec.type != '\0' && kIntOnly.find(spec.type) != std::string_view::npos) {
      return value_error(
          fmt::format("Unknown format code '{}' for object of type 'float'", spec.type));
    }
    return format_float(spec, as_double(value));
  }
  bool bare_bool = value.is_bool() && spec.type == '\0';
  if (is_integer(value) && !bare_bool) {
    if (spec.type == 's') {
      return value_error("Unknown format code 's' for object of type 'int'");
    }
    return format_int(spec, as_int128(value));
  }
  if (value.is_string()) return format_text(eval.meter, spec, value.str());
  if (bare_bool) return format_int(spec, as_int128(value));
  return type_error(
      fmt::format("unsupported format string passed to {}.__format__", type_name(value)));
}

namespace {

// One `%...` conversion: flags, width, precision, type.
class PercentFormatter {
 public:
  PercentFormatter(Evaluator& eval, std::string_view pattern, std::span<const Item> values,
                   bool is_tuple)
      : eval_(eval), pattern_(pattern), values_(values), is_tuple_(is_tuple) {}

  Result<Item> run() {
    TRY(eval_.meter.scan(pattern_.size()));
    std::string out;
    while (at_ < pattern_.size()) {
      size_t next = std::min(pattern_.find('%', at_), pattern_.size());
      TRY(eval_.meter.room(out.size(), next - at_));
      out += pattern_.substr(at_, next - at_);
      at_ = next;
      if (at_ < pattern_.size()) TRY(conversion(out));
    }
    bool is_map = !values_.empty() && !is_tuple_ &&
                  (values_[0].is_plain_map() || values_[0].is(ObjectKind::Dict) ||
                   values_[0].is_plain_list() || values_[0].is(ObjectKind::Seq));
    if (used_ < values_.size() && !is_map) {
      return type_error("not all arguments converted during string formatting");
    }
    return eval_.text(std::move(out));
  }

 private:
  Result<Item> next_value() {
    if (used_ >= values_.size()) return type_error("not enough arguments for format string");
    return values_[used_++];
  }

  Result<Item> keyed_value() {
    size_t end = pattern_.find(')', at_);
    if (end == std::string_view::npos) return value_error("incomplete format key");
    TRY(Item key, eval_.copied(pattern_.substr(at_ + 1, end - at_ - 1)));
    at_ = end + 1;
    if (values_.empty()) return type_error("format requires a mapping");
    TRY(Item value, eval_.attribute(values_[0], key.str()));
    if (value.is_undefined()) return eval_error(fmt::format("KeyError: {}", key.str()));
    return value;
  }

  Result<int64_t> number_or_star() {
    if (at_ >= pattern_.size() || pattern_[at_] != '*') return read_number(pattern_, at_);
    ++at_;
    TRY(Item value, next_value());
    TRY(int64_t n, as_index(value, "a width"));
    if (n > kMaxWidth || n < -kMaxWidth) return value_error("a width is larger than 100000");
    return n;
  }

  Result<void> conversion(std::string& out) {
    TRY(eval_.meter.step());
    ++at_;
    Item value;
    bool keyed = false;
    if (at_ < pattern_.size() && pattern_[at_] == '(') {
      TRY(value, keyed_value());
      keyed = true;
    }
    Spec spec;
    for (; at_ < pattern_.size(); ++at_) {
      char c = pattern_[at_];
      if (c == '-') {
        spec.align = '<';
      } else if (c == '0') {
        if (spec.align == '\0') spec.fill = "0", spec.align = '=';
      } else if (c == '+' || (c == ' ' && spec.sign != '+')) {
        spec.sign = c;
      } else if (c == '#') {
        spec.alternate = true;
      } else {
        break;
      }
    }
    if (spec.align == '<') spec.fill = " ";
    TRY(spec.width, number_or_star());
    if (spec.width < 0) spec.align = '<', spec.width = -spec.width;
    if (at_ < pattern_.size() && pattern_[at_] == '.') {
      ++at_;
      TRY(spec.precision, number_or_star());
    }
    while (at_ < pattern_.size() && (pattern_[at_] == 'l' || pattern_[at_] == 'h')) ++at_;
    if (at_ >= pattern_.size()) return value_error("incomplete format");
    char type = pattern_[at_++];
    if (type == '%') {
      out += '%';
      return {};
    }
    if (!keyed) {
      TRY(value, next_value());
    }
    TRY(eval_.meter.take(static_cast<size_t>(spec.width)));
    TRY(std::string text, convert(spec, type, value));
    TRY(eval_.meter.room(out.size(), text.size()));
    out += text;
    return {};
  }

  Result<std::string> convert_text(Spec spec, bool as_str, const Item& value) {
    if (spec.align == '=') spec.align = '>', spec.fill = " ";
    if (spec.align == '\0') spec.align = '>';
    if (as_str && value.is_string()) return format_text(eval_.meter, spec, value.str());
    std::string text;
    TRY(append_repr(eval_.meter, text, value));
    TRY(eval_.meter.take(text.size()));
    return format_text(eval_.meter, spec, text);
  }

  static Result<std::string> convert_int(Spec spec, char type, const Item& value) {
    bool decimal = type == 'd' || type == 'i' || type == 'u';
    if (!is_number(value) || (value.is_float() && !decimal)) {
      return type_error(
          fmt::format("%{} format: a number is required, not {}", type, type_name(value)));
    }
    Item whole = value;
    if (value.is_float()) {
      TRY(whole, float_to_int(value.value().as_float()));
    }
    spec.type = decimal ? 'd' : type;
    return format_int(spec, as_int128(whole));
  }

  Result<std::string> convert(Spec spec, char type, const Item& value) {
    switch (type) {
      case 's':
      case 'r':
      case 'a': return convert_text(spec, type == 's', value);
      case 'c':
        if (value.is_string() && value.str().size() <= 4 && unicode::length(value.str()) == 1) {
          return pad(spec, "", std::string(value.str()), '>');
        }
        [[fallthrough]];
      case 'd':
      case 'i':
      case 'u':
      case 'x':
      case 'X':
      case 'o': return convert_int(spec, type, value);
      case 'f':
      case 'F':
      case 'e':
      case 'E':
      case 'g':
      case 'G':
        if (!is_number(value)) {
          return type_error(fmt::format("must be real number, not {}", type_name(value)));
        }
        spec.type = type;
        return format_float(spec, as_double(value));
      default: return value_error(fmt::format("unsupported format character '{}'", type));
    }
  }

  Evaluator& eval_;
  std::string_view pattern_;
  std::span<const Item> values_;
  bool is_tuple_;
  size_t at_ = 0;
  size_t used_ = 0;
};

}  // namespace

Result<Item> percent_format(Evaluator& eval, std::string_view pattern, std::span<const Item> values,
                            bool is_tuple) {
  return PercentFormatter(eval, pattern, values, is_tuple).run();
}

}  // namespace millrace::expr::python
