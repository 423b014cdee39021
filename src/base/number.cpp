// SPDX-License-Identifier: Apache-2.0
#include "base/number.h"

#include <fmt/format.h>

#include <cmath>
#include <string>

namespace millrace {
namespace {

// 0.DIGITS times ten to the power of `exponent`, without zeros at the ends of the digits.
struct Decimal {
  std::string digits;
  int64_t exponent = 0;
  bool operator==(const Decimal&) const = default;
};

// Digits, a point, digits, an exponent; what is not there may be missing.
Decimal decimal_of(std::string_view written) {
  Decimal out;
  constexpr int64_t kFarthest = 1'000'000;  // no double is as large or as small
  size_t mantissa_end = std::min(written.find_first_of("eE"), written.size());
  bool after_point = false;
  for (char c : written.substr(0, mantissa_end)) {
    if (c == '.') after_point = true;
    if (c < '0' || c > '9') continue;
    if (out.digits.empty() && c == '0') {
      out.exponent -= after_point ? 1 : 0;
    } else {
      out.digits += c;
      out.exponent += after_point ? 0 : 1;
    }
  }
  out.digits.resize(out.digits.find_last_not_of('0') + 1);
  int64_t power = 0;
  bool is_negative = false;
  for (char c : written.substr(std::min(mantissa_end + 1, written.size()))) {
    is_negative = is_negative || c == '-';
    if (c >= '0' && c <= '9') power = std::min(power * 10 + (c - '0'), kFarthest);
  }
  out.exponent += is_negative ? -power : power;
  return out;
}

}  // namespace

bool is_another_number(std::string_view written, double read) {
  constexpr double kFirstGap = 0x1p53;
  if (!(std::abs(read) >= kFirstGap) || !std::isfinite(read)) return false;
  Decimal own = decimal_of(written);
  return own != decimal_of(fmt::format("{}", read)) &&
         own != decimal_of(fmt::format("{:.16e}", read)) &&
         own != decimal_of(fmt::format("{:.0f}", read));
}

std::partial_ordering compare(int64_t whole, double number) {
  constexpr double kBeyond = 0x1p63;
  if (std::isnan(number)) return std::partial_ordering::unordered;
  if (number >= kBeyond) return std::partial_ordering::less;
  if (number < -kBeyond) return std::partial_ordering::greater;
  auto part = static_cast<int64_t>(number);
  if (whole != part) return whole <=> part;
  return 0.0 <=> number - static_cast<double>(part);
}

}  // namespace millrace
