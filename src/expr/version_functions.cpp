// SPDX-License-Identifier: Apache-2.0
#include "expr/rows.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "expr/eval.h"

namespace millrace::expr {
namespace {

struct Version {
  Int128 parts[3] = {};
  std::string_view prerelease;
};

bool is_number_text(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == text.npos;
}
bool is_plain_number(std::string_view text) {
  return is_number_text(text) && (text.size() == 1 || text[0] != '0') && text.size() <= 37;
}
Int128 number_of(std::string_view text) {
  Int128 n = 0;
  for (char c : text) n = n * 10 + (c - '0');
  return n;
}

// Dot-separated identifiers of [0-9A-Za-z-].
bool are_identifiers(std::string_view text, bool no_leading_zero) {
  for (std::string_view part : split(text, '.')) {
    if (part.empty()) return false;
    for (char c : part) {
      bool fits = c == '-' || (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
      if (!fits) return false;
    }
    if (no_leading_zero && is_number_text(part) && !is_plain_number(part)) return false;
  }
  return true;
}

Result<Version> parse_version(std::string_view text) {
  constexpr size_t kLongest = 1024;
  if (text.size() > kLongest) {
    return value_error(
        fmt::format("expected a version of at most {} bytes, found {}", kLongest, text.size()));
  }
  Error bad = value_error(fmt::format("{} is not valid SemVer string", text));
  Version version;
  std::string_view core = text;
  if (size_t plus = core.find('+'); plus != core.npos) {
    if (!are_identifiers(core.substr(plus + 1), false)) return bad;
    core = core.substr(0, plus);
  }
  if (size_t dash = core.find('-'); dash != core.npos) {
    version.prerelease = core.substr(dash + 1);
    if (!are_identifiers(version.prerelease, true)) return bad;
    core = core.substr(0, dash);
  }
  auto numbers = split(core, '.');
  if (numbers.size() != 3) return bad;
  for (size_t i = 0; i < 3; ++i) {
    if (!is_plain_number(numbers[i])) return bad;
    version.parts[i] = number_of(numbers[i]);
  }
  return version;
}

int sign(auto a, auto b) { return a < b ? -1 : a > b ? 1 : 0; }

int compare_prerelease(std::string_view a, std::string_view b) {
  if (a.empty() || b.empty()) return sign(a.empty() ? 1 : 0, b.empty() ? 1 : 0);
  auto left = split(a, '.');
  auto right = split(b, '.');
  for (size_t i = 0; i < std::min(left.size(), right.size()); ++i) {
    bool left_number = is_plain_number(left[i]);
    bool right_number = is_plain_number(right[i]);
    int order = left_number && right_number   ? sign(number_of(left[i]), number_of(right[i]))
                : left_number != right_number ? (left_number ? -1 : 1)
                                              : sign(left[i], right[i]);
    if (order != 0) return order;
  }
  return sign(left.size(), right.size());
}

Result<int> compare_versions(const Item& a, const Item& b) {
  if (a.is_undefined()) return undefined_use(a);
  if (b.is_undefined()) return undefined_use(b);
  if (!a.is_string() || !b.is_string()) return type_error("expected string or bytes-like object");
  TRY(Version left, parse_version(a.str()));
  TRY(Version right, parse_version(b.str()));
  for (size_t i = 0; i < 3; ++i) {
    if (int order = sign(left.parts[i], right.parts[i]); order != 0) return order;
  }
  return compare_prerelease(left.prerelease, right.prerelease);
}

Result<Item> version_compare(Evaluator&, Args& args) {
  TRY(int order, compare_versions(args[0], args[1]));
  return Item(order);
}
template <int Wanted>
Result<Item> version_is(Evaluator&, Args& args) {
  TRY(int order, compare_versions(args[0], args[1]));
  return Item(order == Wanted);
}

Result<Item> version_match(Evaluator&, Args& args) {
  if (!args[1].is_string()) return type_error("expected string or bytes-like object");
  std::string_view pattern = args[1].str();
  for (std::string_view op : {">=", "<=", "==", "!=", ">", "<"}) {
    if (!pattern.starts_with(op)) continue;
    TRY(int order, compare_versions(args[0], Item(pattern.substr(op.size()))));
    bool holds = op == ">="   ? order >= 0
                 : op == "<=" ? order <= 0
                 : op == "==" ? order == 0
                 : op == "!=" ? order != 0
                 : op == ">"  ? order > 0
                              : order < 0;
    return Item(holds);
  }
  return value_error(
      fmt::format("match_expr parameter should be in format <op><ver>, where <op> is one of "
                  "['<', '>', '==', '<=', '>=', '!=']. You provided: '{}'",
                  pattern));
}

template <size_t Which>
Result<Item> version_bump(Evaluator&, Args& args) {
  if (!args[0].is_string()) return type_error("expected string or bytes-like object");
  TRY(Version version, parse_version(args[0].str()));
  version.parts[Which] += 1;
  for (size_t i = Which + 1; i < 3; ++i) version.parts[i] = 0;
  return Item(to_string(version.parts[0]) + "." + to_string(version.parts[1]) + "." +
              to_string(version.parts[2]));
}

Result<Item> version_strip_patch(Evaluator&, Args& args) {
  if (!args[0].is_string()) return type_error("expected string or bytes-like object");
  TRY(Version version, parse_version(args[0].str()));
  return Item(to_string(version.parts[0]) + "." + to_string(version.parts[1]));
}

constexpr Row kRows[] = {
    {"version_bump_major", "value", version_bump<0>},
    {"version_bump_minor", "value", version_bump<1>},
    {"version_bump_patch", "value", version_bump<2>},
    {"version_compare", "value pattern", version_compare},
    {"version_equal", "value pattern", version_is<0>},
    {"version_less_than", "value pattern", version_is<-1>},
    {"version_match", "value pattern", version_match},
    {"version_more_than", "value pattern", version_is<1>},
    {"version_strip_patch", "value", version_strip_patch},
};

}  // namespace

std::span<const Row> version_rows() { return kRows; }

}  // namespace millrace::expr
