// SPDX-License-Identifier: Apache-2.0
#include "rules/dates.h"

#include <fmt/format.h>

#include <string>

#include "base/text.h"
#include "base/time.h"
#include "rules/zone.h"

namespace millrace::rules {
namespace {

Error bad_date(std::string_view text) {
  return Error(ErrorKind::Invalid, "RUL-0003",
               fmt::format("expected a date and time such as 2026-01-31T12:00:00Z or "
                           "'2026-01-31 12:00:00', found '{}'",
                           text.substr(0, 64)));
}

bool is_clock_digit(char c) { return (c >= '0' && c <= '9') || c == ':' || c == '.'; }

}  // namespace

Result<int64_t> parse_date(std::string_view text, std::string_view zone_name) {
  constexpr size_t kDateSize = 10;  // 2026-01-31
  constexpr size_t kLongest =
      64;  // blanks around it included; longer texts would cost their length
  if (text.size() > kLongest) return bad_date(text);
  std::string_view whole = trim(text);
  std::string day(whole.substr(0, kDateSize));
  std::string_view rest = whole.substr(std::min(whole.size(), kDateSize));
  std::string clock = "00:00:00";
  if (!rest.empty()) {
    if (std::string_view("Tt ").find(rest[0]) == std::string_view::npos) return bad_date(text);
    rest.remove_prefix(1);
    size_t end = 0;
    while (end < rest.size() && is_clock_digit(rest[end])) ++end;
    clock = std::string(rest.substr(0, end));
    if (clock.size() == 5) clock += ":00";
    rest = trim(rest.substr(end));
  }
  std::string offset = rest == "UTC" ? "Z" : std::string(rest);
  bool is_local = offset.empty();
  if (offset.size() == 5 && offset[0] != 'Z') offset.insert(3, 1, ':');  // +0200
  auto ms = parse_rfc3339(day + 'T' + clock + (is_local ? "Z" : offset));
  if (!ms) return bad_date(text);
  if (!is_local) return *ms;
  TRY(Zone zone, Zone::find(zone_name));
  int64_t ms_part = ((*ms % 1000) + 1000) % 1000;
  return zone.to_unix((*ms - ms_part) / 1000) * 1000 + ms_part;
}

}  // namespace millrace::rules
