// SPDX-License-Identifier: Apache-2.0
#include "rules/cron.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <span>

#include "base/json.h"
#include "base/json_schema.h"
#include "base/problems.h"
#include "base/text.h"

namespace millrace::rules {
namespace {

constexpr int64_t kDay = 86'400;
constexpr int64_t kSearchDays = 40 * 366;
constexpr size_t kShownExpression = 64;  // bytes of an expression, in messages

using Names = std::span<const std::string_view>;
constexpr std::string_view kMonths[] = {"jan", "feb", "mar", "apr", "may", "jun",
                                        "jul", "aug", "sep", "oct", "nov", "dec"};
constexpr std::string_view kFromSunday[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};
constexpr std::string_view kFromMonday[] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};

struct Field {
  std::string_view name;
  int min, max;
  Names names;  // stand for min, min + 1, ...
};

struct Numbers {
  std::vector<int> values;
  bool all = false;       // written as `*`
  bool has_last = false;  // `last` or `L`, of days
};

Error bad_field(const Field& field, std::string_view text, std::string_view what) {
  return Error(
      ErrorKind::Invalid, "RUL-0005",
      fmt::format("{} '{}': {}", field.name, shortened(std::string(text), kShownExpression), what));
}

Result<int> number(const Field& field, std::string_view text) {
  for (size_t i = 0; i < field.names.size(); ++i) {
    if (iequals_ascii(field.names[i], text)) return field.min + static_cast<int>(i);
  }
  int value = 0;
  auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc() || end != text.data() + text.size() || text.empty()) {
    return bad_field(field, text,
                     fmt::format("expected {} to {}{}{}{}", field.min, field.max,
                                 field.names.empty() ? "" : " or a name",
                                 field.name == "day" ? " or 'last'" : "",
                                 did_you_mean(to_lower_ascii(text), field.names)));
  }
  if (value < field.min || value > field.max) {
    return bad_field(field, text, fmt::format("expected {} to {}", field.min, field.max));
  }
  return value;
}

// One part of a comma list: `*`, `3`, `1-5`, each with an optional `/step`.
Result<void> add_part(const Field& field, std::string_view part, std::vector<bool>& named) {
  size_t slash = part.find('/');
  std::string_view range = part.substr(0, slash);
  int step = 1;
  if (slash != part.npos) {
    std::string_view text = part.substr(slash + 1);
    // A longer step would only ever name the first of the range.
    const int longest = field.max - field.min;
    auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), step);
    bool is_number = failed == std::errc() && end == text.data() + text.size();
    if (!is_number || step < 1 || step > longest) {
      return bad_field(field, part,
                       fmt::format("expected a step from 1 to {} after '/', found '{}'", longest,
                                   shortened(std::string(text), kShownExpression)));
    }
  }
  int low = field.min, high = field.max;
  if (range != "*" && range != "?") {
    size_t dash = range.find('-');
    if (dash == 0) {
      return bad_field(field, part, fmt::format("expected {} to {}", field.min, field.max));
    }
    TRY(low, number(field, range.substr(0, dash)));
    if (dash != range.npos) {
      TRY(high, number(field, range.substr(dash + 1)));
    } else if (slash == part.npos) {
      high = low;
    }
    if (field.max == 7 && high == 0 && low > 0) high = 7;  // sat-sun
    if (high < low) return bad_field(field, part, "the range ends before it begins");
  }
  for (int value = low; value <= high; value += step) named[static_cast<size_t>(value)] = true;
  return {};
}

Result<Numbers> parse_field(const Field& field, std::string_view text) {
  Numbers out;
  std::vector<bool> named(static_cast<size_t>(field.max) + 1);  // however often
  out.all = text == "*" || text == "?";
  for (std::string_view part : split(text, ',')) {
    part = trim(part);
    bool is_last = field.name == "day" && (iequals_ascii(part, "last") || part == "L");
    if (is_last) {
      out.has_last = true;
    } else {
      TRY(add_part(field, part, named));
    }
  }
  for (int value = field.min; value <= field.max; ++value) {
    if (named[static_cast<size_t>(value)]) out.values.push_back(value);
  }
  return out;
}

// A field that is given as a number or a text, or not at all.
Result<Numbers> parse_given(const Field& field, const Value& given, const std::string& otherwise) {
  if (given.is_null()) return parse_field(field, otherwise);
  if (given.is_int()) return parse_field(field, std::to_string(given.as_int()));
  if (given.is_string()) return parse_field(field, given.as_string());
  return Error(ErrorKind::Invalid, "RUL-0005",
               fmt::format("expected a whole number or a text, found {}", to_json(given)));
}

template <size_t N>
void fill(std::bitset<N>& set, const Numbers& numbers) {
  for (int value : numbers.values) set.set(static_cast<size_t>(value));
}

constexpr Field kSecond{"second", 0, 59, {}};
constexpr Field kMinute{"minute", 0, 59, {}};
constexpr Field kHour{"hour", 0, 23, {}};
constexpr Field kDayOfMonth{"day", 1, 31, {}};
constexpr Field kMonth{"month", 1, 12, kMonths};
constexpr Field kWeek{"week", 1, 53, {}};
constexpr Field kYear{"year", 1970, 2200, {}};

std::vector<std::string_view> words(std::string_view text) {
  std::vector<std::string_view> out;
  constexpr std::string_view kSpace = " \t";
  for (size_t at = text.find_first_not_of(kSpace); at < text.size();) {
    size_t end = std::min(text.find_first_of(kSpace, at), text.size());
    out.push_back(text.substr(at, end - at));
    at = text.find_first_not_of(kSpace, end);
  }
  return out;
}

std::string_view spelled_out(std::string_view expression) {
  constexpr std::pair<std::string_view, std::string_view> kMacros[] = {
      {"@hourly", "0 * * * *"},  {"@daily", "0 0 * * *"},   {"@midnight", "0 0 * * *"},
      {"@weekly", "0 0 * * 0"},  {"@monthly", "0 0 1 * *"}, {"@yearly", "0 0 1 1 *"},
      {"@annually", "0 0 1 1 *"}};
  for (const auto& [name, meaning] : kMacros) {
    if (name == expression) return meaning;
  }
  return expression;
}

}  // namespace

// One day of the wall clock.
struct Cron::Local {
  explicit Local(int64_t day)
      : days(std::chrono::days(day)),
        date(days),
        weekday(std::chrono::weekday(days).c_encoding()) {}
  std::chrono::sys_days days;
  std::chrono::year_month_day date;
  unsigned weekday;

  bool is_last_of_month() const {
    return date.day() == (date.year() / date.month() / std::chrono::last).day();
  }
  // ISO 8601: the week of a day is the week of its Thursday.
  size_t iso_week() const {
    auto thursday = days + std::chrono::days(3 - (static_cast<int>(weekday) + 6) % 7);
    auto year = std::chrono::year_month_day(thursday).year();
    auto first = std::chrono::sys_days(year / std::chrono::January / 1);
    return static_cast<size_t>((thursday - first).count() / 7 + 1);
  }
};

Result<Cron> Cron::parse(std::string_view expression, Zone zone) {
  std::vector<std::string_view> parts = words(spelled_out(trim(expression)));
  if (parts.size() != 5 && parts.size() != 6) {
    return Error(ErrorKind::Invalid, "RUL-0005",
                 fmt::format("expected 5 fields (minute hour day month weekday) or 6 (seconds "
                             "first), found {} in '{}'",
                             parts.size(), expression));
  }
  if (parts.size() == 5) parts.insert(parts.begin(), "0");
  // Sunday is 0 and 7: the names stand for 0 to 6.
  constexpr Field kWeekday{"weekday", 0, 7, kFromSunday};
  constexpr Field kFields[] = {kSecond, kMinute, kHour, kDayOfMonth, kMonth, kWeekday};
  std::vector<Problem> problems;
  std::array<Numbers, 6> numbers;
  for (size_t i = 0; i < numbers.size(); ++i) {
    auto parsed = parse_field(kFields[i], parts[i]);
    if (parsed) {
      numbers[i] = std::move(*parsed);
    } else {
      problems.push_back({"", parsed.error().message()});
    }
  }
  if (!problems.empty()) {
    std::string first = problems.front().message;
    return Error(ErrorKind::Invalid, "RUL-0005", std::move(first))
        .with_problems(std::move(problems));
  }
  Cron cron;
  cron.zone_ = zone;
  fill(cron.seconds_, numbers[0]);
  fill(cron.minutes_, numbers[1]);
  fill(cron.hours_, numbers[2]);
  fill(cron.days_, numbers[3]);
  fill(cron.months_, numbers[4]);
  for (int day : numbers[5].values) cron.weekdays_.set(static_cast<size_t>(day % 7));
  cron.weeks_.set();
  cron.last_day_ = numbers[3].has_last;
  cron.either_day_ = !numbers[3].all && !numbers[5].all;
  return cron;
}

Result<Cron> Cron::from_fields(const Value& fields, Zone zone) {
  // From coarse to fine, as APScheduler orders them.
  constexpr Field kWeekday{"day_of_week", 0, 6, kFromMonday};
  constexpr Field kFields[] = {kYear,    kMonth, kDayOfMonth, kWeek,
                               kWeekday, kHour,  kMinute,     kSecond};
  constexpr size_t kCount = std::size(kFields);
  size_t finest = 0;
  for (size_t i = 0; i < kCount; ++i) {
    if (fields.find(kFields[i].name)) finest = i;
  }
  std::array<Numbers, kCount> numbers;
  std::vector<Problem> problems;
  for (size_t i = 0; i < kCount; ++i) {
    const Field& field = kFields[i];
    // Weeks and weekdays have no minimum of their own: any will do.
    bool has_minimum = field.name != "week" && field.name != "day_of_week";
    std::string otherwise = i > finest && has_minimum ? std::to_string(field.min) : "*";
    auto parsed = parse_given(field, fields[field.name], otherwise);
    if (parsed) {
      numbers[i] = std::move(*parsed);
    } else {
      problems.push_back({json_pointer("", field.name), parsed.error().message()});
    }
  }
  if (!problems.empty()) {
    return Error(ErrorKind::Invalid, "RUL-0005", "the timer's fields are not valid")
        .with_problems(std::move(problems));
  }
  Cron cron;
  cron.zone_ = zone;
  if (!numbers[0].all) cron.years_ = numbers[0].values;
  fill(cron.months_, numbers[1]);
  fill(cron.days_, numbers[2]);
  fill(cron.weeks_, numbers[3]);
  for (int day : numbers[4].values) cron.weekdays_.set(static_cast<size_t>((day + 1) % 7));
  fill(cron.hours_, numbers[5]);
  fill(cron.minutes_, numbers[6]);
  fill(cron.seconds_, numbers[7]);
  cron.last_day_ = numbers[2].has_last;
  return cron;
}

bool Cron::day_matches(const Local& day) const {
  if (!months_.test(static_cast<unsigned>(day.date.month()))) return false;
  int year = static_cast<int>(day.date.year());
  if (!years_.empty() && !std::ranges::binary_search(years_, year)) return false;
  if (!weeks_.all() && !weeks_.test(day.iso_week())) return false;
  bool by_date =
      days_.test(static_cast<unsigned>(day.date.day())) || (last_day_ && day.is_last_of_month());
  bool by_weekday = weekdays_.test(day.weekday);
  return either_day_ ? by_date || by_weekday : by_date && by_weekday;
}

// The first matching local second in [from, end).
std::optional<int64_t> Cron::next_local(int64_t from, int64_t end) const {
  int64_t day = from >= 0 ? from / kDay : (from - kDay + 1) / kDay;
  for (; day * kDay < end; ++day) {
    if (!day_matches(Local(day))) continue;
    int64_t start = std::max<int64_t>(from - day * kDay, 0);
    for (int64_t hour = start / 3600; hour < 24; ++hour) {
      if (!hours_.test(static_cast<size_t>(hour))) continue;
      for (int64_t second = std::max(start, hour * 3600); second < (hour + 1) * 3600; ++second) {
        if (!minutes_.test(static_cast<size_t>(second / 60 % 60))) {
          second = (second / 60 + 1) * 60 - 1;  // the next minute
        } else if (seconds_.test(static_cast<size_t>(second % 60))) {
          int64_t found = day * kDay + second;
          return found < end ? std::optional(found) : std::nullopt;
        }
      }
    }
  }
  return std::nullopt;
}

// Within 28 years each date has been on each weekday, but for a leap year that a century leaves
// out.
bool Cron::ever_fires() const {
  int first = years_.empty() ? 2000 : *std::ranges::min_element(years_);
  auto begin = std::chrono::sys_days(std::chrono::year(first) / 1 / 1).time_since_epoch().count();
  int64_t days = years_.empty() ? kSearchDays : (kYear.max + 1 - first) * int64_t{366};
  for (int64_t day = begin; day < begin + days; ++day) {
    if (day_matches(Local(day))) return true;
  }
  return false;
}

std::optional<int64_t> Cron::next(int64_t after_s) const {
  int64_t now = after_s + 1;
  int64_t limit = now + kSearchDays * kDay;
  while (now < limit) {
    Zone::Stretch stretch = zone_.at(now);
    int64_t end = std::min(stretch.end, limit);
    int64_t from = now + stretch.offset;
    // Times that the change of the clock at its begin has skipped fire when it happens.
    int64_t offset_before = zone_.at(stretch.begin - 1).offset;
    bool gap = now == stretch.begin && offset_before < stretch.offset;
    if (gap && !any_hour() && next_local(now + offset_before, from)) return now;
    // The part of this stretch whose wall clock the one before has already shown.
    int64_t repeated_until = stretch.begin + offset_before;
    if (!any_hour()) from = std::max(from, repeated_until);
    if (auto local = next_local(from, end + stretch.offset)) return *local - stretch.offset;
    now = end;
  }
  return std::nullopt;
}

}  // namespace millrace::rules
