// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "expr/python.h"
#include "expr/unicode.h"

namespace millrace::expr::python {
namespace {

Error zero_division() { return eval_error("ZeroDivisionError: division by zero"); }

Error too_large() {
  return Error(ErrorKind::Invalid, kTooLarge,
               "OverflowError: an integer of more than 127 bits is not supported");
}

Int128 floor_divide(Int128 a, Int128 b) {
  Int128 quotient = a / b;
  return (a % b != 0) && ((a < 0) != (b < 0)) ? quotient - 1 : quotient;
}

Result<Item> power(Int128 base, Int128 exponent) {
  if (exponent < 0) {
    if (base == 0) return zero_division();
    return Item(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  Int128 result = 1;
  while (exponent > 0) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) return too_large();
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) return too_large();
  }
  return make_int(result);
}

Result<Item> integers(Arithmetic op, Int128 a, Int128 b) {
  Int128 result = 0;
  bool overflow = false;
  switch (op) {
    case Arithmetic::Add: overflow = __builtin_add_overflow(a, b, &result); break;
    case Arithmetic::Subtract: overflow = __builtin_sub_overflow(a, b, &result); break;
    case Arithmetic::Multiply: overflow = __builtin_mul_overflow(a, b, &result); break;
    case Arithmetic::Divide:
      if (b == 0) return zero_division();
      return Item(static_cast<double>(a) / static_cast<double>(b));
    case Arithmetic::FloorDivide:
      if (b == 0) return zero_division();
      if (b == -1) return integers(Arithmetic::Subtract, 0, a);
      result = floor_divide(a, b);
      break;
    case Arithmetic::Modulo:
      if (b == 0) return zero_division();
      if (b != -1) result = a - floor_divide(a, b) * b;
      break;
    case Arithmetic::Power: return power(a, b);
  }
  if (overflow) return too_large();
  return make_int(result);
}

Result<Item> floats(Arithmetic op, double a, double b) {
  switch (op) {
    case Arithmetic::Add: return Item(a + b);
    case Arithmetic::Subtract: return Item(a - b);
    case Arithmetic::Multiply: return Item(a * b);
    case Arithmetic::Divide:
      if (b == 0) return zero_division();
      return Item(a / b);
    case Arithmetic::FloorDivide:
    case Arithmetic::Modulo: {
      if (b == 0) return zero_division();
      double rest = std::fmod(a, b);
      double quotient = (a - rest) / b;
      if (rest != 0 && (b < 0) != (rest < 0)) {
        rest += b;
        quotient -= 1;
      } else if (rest == 0) {
        rest = std::copysign(0.0, b);
      }
      if (op == Arithmetic::Modulo) return Item(rest);
      double whole = std::floor(quotient);
      if (quotient - whole > 0.5) whole += 1;
      return Item(quotient == 0 ? std::copysign(0.0, a / b) : whole);
    }
    case Arithmetic::Power: {
      if (a == 0 && b < 0) return zero_division();
      if (a < 0 && std::isfinite(b) && b != std::floor(b)) {
        return value_error("a negative number cannot be raised to a fractional power");
      }
      double result = std::pow(a, b);
      if (std::isinf(result) && std::isfinite(a) && std::isfinite(b)) {
        return eval_error("OverflowError: the result of ** is too large");
      }
      return Item(result);
    }
  }
  return type_error("unknown arithmetic");
}

}  // namespace

std::string_view symbol(Arithmetic op) {
  constexpr std::string_view kSymbols[] = {"+", "-", "*", "/", "//", "%", "**"};
  return kSymbols[static_cast<size_t>(op)];
}

Result<Item> arithmetic(Arithmetic op, const Item& a, const Item& b) {
  if (a.is_int() && b.is_int() && op <= Arithmetic::Multiply) {
    int64_t x = a.value().as_int();
    int64_t y = b.value().as_int();
    int64_t result = 0;
    bool overflow = op == Arithmetic::Add        ? __builtin_add_overflow(x, y, &result)
                    : op == Arithmetic::Subtract ? __builtin_sub_overflow(x, y, &result)
                                                 : __builtin_mul_overflow(x, y, &result);
    if (!overflow) return Item(result);
  }
  if (is_integer(a) && is_integer(b)) return integers(op, as_int128(a), as_int128(b));
  return floats(op, as_double(a), as_double(b));
}

Result<Item> negate(const Item& a) {
  if (a.is_float()) return Item(-a.value().as_float());
  return integers(Arithmetic::Subtract, 0, as_int128(a));
}

bool parse_int(std::string_view text, int base, Item& out) {
  text = unicode::strip(text, {}, true, true);
  bool negative = !text.empty() && text[0] == '-';
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  auto prefix = [&](char lower, int of) {
    if ((base != of && base != 0) || text.size() < 2 || text[0] != '0') return false;
    if ((text[1] | 0x20) != lower) return false;
    base = of;
    text.remove_prefix(2);
    if (!text.empty() && text[0] == '_') text.remove_prefix(1);
    return true;
  };
  if (!prefix('x', 16) && !prefix('o', 8) && !prefix('b', 2) && base == 0) base = 10;
  if (text.empty()) return false;
  Int128 value = 0;
  bool after_digit = false;
  for (char c : text) {
    if (c == '_' && after_digit) {
      after_digit = false;
      continue;
    }
    int digit = c >= '0' && c <= '9'                     ? c - '0'
                : (c | 0x20) >= 'a' && (c | 0x20) <= 'z' ? (c | 0x20) - 'a' + 10
                                                         : 99;
    if (digit >= base) return false;
    if (__builtin_mul_overflow(value, Int128{base}, &value) ||
        __builtin_add_overflow(value, Int128{digit}, &value)) {
      return false;
    }
    after_digit = true;
  }
  if (!after_digit) return false;
  out = make_int(negative ? -value : value);
  return true;
}

bool parse_float(std::string_view text, double& out) {
  text = unicode::strip(text, {}, true, true);
  std::string digits;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      digits += text[i];
      continue;
    }
    bool between = i > 0 && i + 1 < text.size() &&
                   unicode::is_digit(static_cast<char32_t>(text[i - 1])) &&
                   unicode::is_digit(static_cast<char32_t>(text[i + 1]));
    if (!between) return false;
  }
  std::string_view rest = digits;
  if (rest.starts_with('+')) {
    rest.remove_prefix(1);
    if (rest.starts_with('-')) return false;
  }
  if (rest.empty() || rest.find_first_of("xXpP(") != std::string_view::npos) return false;
  auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), out);
  if (error == std::errc::result_out_of_range) {
    out = rest.find("e-") != std::string_view::npos ? 0.0 : HUGE_VAL;
    if (rest.starts_with('-')) out = -out;
    return true;
  }
  return error == std::errc() && end == rest.data() + rest.size();
}

Result<Item> float_to_int(double d) {
  if (std::isnan(d)) return value_error("cannot convert float NaN to integer");
  if (std::isinf(d)) {
    return eval_error("OverflowError: cannot convert float infinity to integer");
  }
  if (std::fabs(d) >= 1.7e38) return too_large();
  return make_int(static_cast<Int128>(d));
}

double round_half_even(double d, int64_t digits) {
  if (!std::isfinite(d) || digits > 300) return d;
  if (digits < -300) return std::copysign(0.0, d);
  if (digits < 0) {
    double scale = std::pow(10.0, static_cast<double>(-digits));
    return std::nearbyint(d / scale) * scale;
  }
  std::string text = fmt::format("{:.{}f}", d, digits);
  double out = d;
  std::from_chars(text.data(), text.data() + text.size(), out);
  return out;
}

}  // namespace millrace::expr::python
