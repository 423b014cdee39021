// SPDX-License-Identifier: Apache-2.0
#include "base/time.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

namespace millrace {
namespace {

constexpr int64_t kMsPerDay = 86'400'000;
constexpr int64_t kFirstMs = -62'167'219'200'000;  // 0000-01-01T00:00:00.000Z
constexpr int64_t kLastMs = 253'402'300'799'999;   // 9999-12-31T23:59:59.999Z

// Reads fixed-width parts from the front of a text; one failure makes all that follows fail.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : rest_(text) {}

  int64_t digits(size_t count) {
    int64_t number = 0;
    for (size_t i = 0; i < count; ++i) {
      if (i >= rest_.size() || rest_[i] < '0' || rest_[i] > '9') return fail();
      number = number * 10 + (rest_[i] - '0');
    }
    rest_.remove_prefix(count);
    return number;
  }
  char one_of(std::string_view allowed) {
    if (rest_.empty() || allowed.find(rest_[0]) == std::string_view::npos) {
      fail();
      return '\0';
    }
    char c = rest_[0];
    rest_.remove_prefix(1);
    return c;
  }
  // Milliseconds of an optional ".123456".
  int64_t fraction_ms() {
    if (!rest_.starts_with('.')) return 0;
    rest_.remove_prefix(1);
    int64_t ms = 0;
    size_t count = 0;
    for (; count < rest_.size() && rest_[count] >= '0' && rest_[count] <= '9'; ++count) {
      if (count < 3) ms = ms * 10 + (rest_[count] - '0');
    }
    if (count == 0) return fail();
    for (size_t i = count; i < 3; ++i) ms *= 10;
    rest_.remove_prefix(count);
    return ms;
  }
  bool failed() const { return failed_; }
  bool at_end() const { return rest_.empty(); }

 private:
  int64_t fail() {
    failed_ = true;
    rest_ = {};
    return 0;
  }

  std::string_view rest_;
  bool failed_ = false;
};

}  // namespace

int64_t unix_ms() {
  auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(since_epoch).count();
}

// By hand: each answer has several, and fmt took 2 % of a server that runs workflows for them.
std::string to_rfc3339(int64_t unix_ms) {
  using namespace std::chrono;
  milliseconds since_epoch(std::clamp(unix_ms, kFirstMs, kLastMs));
  auto day = floor<days>(sys_time<milliseconds>(since_epoch));
  year_month_day date(day);
  int64_t ms = (since_epoch - duration_cast<milliseconds>(day.time_since_epoch())).count();
  std::string text = "0000-00-00T00:00:00.000Z";
  auto put = [&](size_t end, int64_t number) {
    for (; number > 0; number /= 10) text[--end] = static_cast<char>('0' + number % 10);
  };
  put(4, int(date.year()));
  put(7, unsigned(date.month()));
  put(10, unsigned(date.day()));
  put(13, ms / 3'600'000);
  put(16, ms / 60'000 % 60);
  put(19, ms / 1000 % 60);
  put(23, ms % 1000);
  return text;
}

Result<int64_t> parse_rfc3339(std::string_view text) {
  using namespace std::chrono;
  Cursor in(text);
  int64_t y = in.digits(4);
  in.one_of("-");
  int64_t mo = in.digits(2);
  in.one_of("-");
  int64_t d = in.digits(2);
  in.one_of("Tt ");
  int64_t h = in.digits(2);
  in.one_of(":");
  int64_t mi = in.digits(2);
  in.one_of(":");
  int64_t s = in.digits(2);
  int64_t ms = in.fraction_ms();
  char zone = in.one_of("Zz+-");
  int64_t offset_min = 0;
  bool zone_ok = true;
  if (zone == '+' || zone == '-') {
    int64_t hours = in.digits(2);
    in.one_of(":");
    int64_t minutes = in.digits(2);
    zone_ok = hours < 24 && minutes < 60;
    offset_min = (hours * 60 + minutes) * (zone == '-' ? -1 : 1);
  }
  year_month_day date(year(static_cast<int>(y)), month(static_cast<unsigned>(mo)),
                      day(static_cast<unsigned>(d)));
  // 60 is a leap second; it counts as the first second of the next minute.
  bool in_range = date.ok() && h < 24 && mi < 60 && s <= 60 && zone_ok;
  if (in.failed() || !in.at_end() || !in_range) {
    return Error(ErrorKind::Invalid, "BAS-0005",
                 fmt::format("expected a time like 2026-01-31T12:00:00Z (RFC 3339), found '{}'",
                             text.substr(0, 64)));
  }
  int64_t days_since_epoch = sys_days(date).time_since_epoch().count();
  int64_t time = days_since_epoch * kMsPerDay + ((h * 60 + mi - offset_min) * 60 + s) * 1000 + ms;
  // Beyond the years that can be written it would come back as another time.
  if (time < kFirstMs || time > kLastMs) {
    return Error(ErrorKind::Invalid, "BAS-0005",
                 fmt::format("expected a time in the years 0000 to 9999 of UTC, found '{}'", text));
  }
  return time;
}

}  // namespace millrace
