// SPDX-License-Identifier: Apache-2.0
// Reads recurrence rules as iCalendar writes them (RFC 5545, 3.3.10, 3.8.5).
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <optional>
#include <span>

#include "base/text.h"
#include "rules/rrule.h"

namespace millrace::rules {
namespace {

constexpr size_t kLongestRule = 10'000;
constexpr int64_t kMostCount = 10'000;
constexpr size_t kMostTimesOfDay = 1440;
constexpr int64_t kMostInterval = 1'000'000;
constexpr std::array<std::string_view, 7> kWeekdays = {"MO", "TU", "WE", "TH", "FR", "SA", "SU"};
constexpr std::array<std::string_view, 7> kFrequencies = {"SECONDLY", "MINUTELY", "HOURLY", "DAILY",
                                                          "WEEKLY",   "MONTHLY",  "YEARLY"};
// As many of each frequency are 100 years: no search looks further ahead.
constexpr std::array<int64_t, 7> kMostIntervals = {kMostInterval, kMostInterval, 876'600, 36'525,
                                                   5'217,         1'200,         100};
// Monday, 1 January 2001: every period begins then.
constexpr int64_t kFirstMonday = 978'307'200;

Error wrong(std::string message) {
  return Error(ErrorKind::Invalid, "RUL-0008", "rrule: " + std::move(message));
}

std::optional<int64_t> number_in(std::string_view text, int64_t least, int64_t most) {
  if (text.starts_with('+')) text.remove_prefix(1);
  int64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  bool is_whole = error == std::errc() && end == text.data() + text.size() && !text.empty();
  if (!is_whole || number < least || number > most) return std::nullopt;
  return number;
}

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
  }
  return out;
}

}  // namespace

// Reads one rule.
class RruleReader {
 public:
  explicit RruleReader(Zone zone) { rule_.zone_ = std::move(zone); }

  Result<Rrule> read(std::string_view text) {
    if (text.size() > kLongestRule) return wrong("expected at most 10,000 bytes");
    bool is_lines = text.find(':') != std::string_view::npos;
    if (!is_lines) {
      TRY(read_parts(trim(text)));
    } else {
      // Local times need the zone of DTSTART, which may stand behind them.
      for (bool first : {true, false}) {
        for (auto line : split(text, '\n')) TRY(read_line(trim(line), first));
      }
    }
    if (freq_.empty()) return wrong("expected FREQ, such as FREQ=DAILY;BYHOUR=9");
    TRY(finish());
    return std::move(rule_);
  }

 private:
  struct Time {
    int64_t s = 0;
    bool is_utc = false;
    bool is_date = false;
  };

  // 20260105, 20260105T090000 or 20260105T090000Z.
  Result<Time> read_time(std::string_view text) const {
    Time time;
    time.is_date = text.size() == 8;
    time.is_utc = text.size() == 16 && text.back() == 'Z';
    bool has_form = time.is_date || time.is_utc || text.size() == 15;
    if (has_form && !time.is_date) has_form = text[8] == 'T';
    auto part = [&](size_t at, size_t size, int64_t most) {
      auto digits = text.substr(at, size);
      bool are_digits = digits.find_first_not_of("0123456789") == std::string_view::npos;
      auto number = are_digits ? number_in(digits, 0, most) : std::nullopt;
      if (!number) has_form = false;
      return number.value_or(0);
    };
    if (has_form) {
      auto date = std::chrono::year(static_cast<int>(part(0, 4, 9999))) /
                  std::chrono::month(static_cast<unsigned>(part(4, 2, 12))) /
                  std::chrono::day(static_cast<unsigned>(part(6, 2, 31)));
      has_form = has_form && date.ok();
      if (has_form) time.s = std::chrono::sys_days(date).time_since_epoch().count() * 86'400;
    }
    if (has_form && !time.is_date) {
      time.s += part(9, 2, 23) * 3600 + part(11, 2, 59) * 60 + part(13, 2, 59);
    }
    if (has_form) return time;
    return wrong(
        fmt::format("expected a time such as 20260105T090000 or 20260105T090000Z, found "
                    "'{}'",
                    text));
  }

  int64_t unix_of(const Time& time) const {
    return time.is_utc ? time.s : rule_.zone_.to_unix(time.s);
  }

  Result<void> read_line(std::string_view line, bool first) {
    if (line.empty()) return {};
    auto colon = line.find(':');
    if (colon == std::string_view::npos) {
      return wrong(fmt::format("expected a line such as RRULE:FREQ=DAILY, found '{}'", line));
    }
    auto value = trim(line.substr(colon + 1));
    auto parameters = split(line.substr(0, colon), ';');
    auto name = upper(parameters[0]);
    for (auto parameter : std::span(parameters).subspan(1)) TRY(read_parameter(parameter, first));
    if (name == "DTSTART") return first ? read_start(value) : Result<void>();
    if (name == "RRULE") {
      if (first) return {};
      if (!freq_.empty()) return wrong("expected one RRULE, found another one");
      return read_parts(value);
    }
    if (name == "EXDATE") {
      if (first) return {};
      for (auto each : split(value, ',')) {
        TRY(auto time, read_time(trim(each)));
        // A date leaves out the time of DTSTART on it.
        if (time.is_date) time.s += rule_.start_ - rule_.start_ / 86'400 * 86'400;
        rule_.excluded_s_.insert(unix_of(time));
      }
      return {};
    }
    return wrong(fmt::format("expected DTSTART, RRULE and EXDATE, found '{}'", name));
  }

  // TZID of a time; VALUE says what its form says as well.
  Result<void> read_parameter(std::string_view parameter, bool first) {
    auto text = upper(parameter);
    if (text.starts_with("VALUE=")) return {};
    if (!text.starts_with("TZID=")) {
      return wrong(fmt::format("expected TZID=ZONE, found '{}'", parameter));
    }
    if (!first) return {};
    auto name = parameter.substr(5);
    if (!zone_name_.empty() && zone_name_ != name) {
      return wrong(fmt::format("expected one time zone, found '{}' and '{}'", zone_name_, name));
    }
    zone_name_ = name;
    TRY(rule_.zone_, Zone::find(name));
    return {};
  }

  Result<void> read_start(std::string_view value) {
    if (has_start_) return wrong("expected one DTSTART, found another one");
    has_start_ = true;
    TRY(auto time, read_time(value));
    rule_.start_ = time.is_utc ? time.s + rule_.zone_.at(time.s).offset : time.s;
    rule_.start_s_ = unix_of(time);
    return {};
  }

  Result<void> read_parts(std::string_view text) {
    for (auto part : split(text, ';')) {
      part = trim(part);
      if (part.empty()) continue;
      auto equals = part.find('=');
      auto name = upper(part.substr(0, equals));
      auto value =
          equals == std::string_view::npos ? std::string() : upper(part.substr(equals + 1));
      if (!given_.insert(name).second) return wrong(name + " is given twice");
      TRY(read_part(name, value));
    }
    return {};
  }

  Result<void> read_part(const std::string& name, const std::string& value) {
    if (name == "FREQ") {
      auto found = std::ranges::find(kFrequencies, std::string_view(value));
      if (found == kFrequencies.end()) {
        return wrong(fmt::format("FREQ: expected one of {}, found '{}'{}",
                                 fmt::join(kFrequencies, ", "), value,
                                 did_you_mean(value, kFrequencies)));
      }
      freq_ = value;
      rule_.freq_ = static_cast<Rrule::Freq>(found - kFrequencies.begin());
      return {};
    }
    if (name == "INTERVAL") return read_number(name, value, kMostInterval, rule_.interval_);
    if (name == "COUNT") return read_number(name, value, kMostCount, rule_.count_);
    if (name == "UNTIL") {
      until_ = value;
      return {};
    }
    if (name == "WKST") {
      auto day = std::ranges::find(kWeekdays, std::string_view(value));
      if (day == kWeekdays.end())
        return wrong(fmt::format("WKST: expected MO to SU, found '{}'", value));
      rule_.week_start_ = static_cast<int>(day - kWeekdays.begin());
      return {};
    }
    if (name == "BYDAY") return read_days(value);
    struct List {
      std::string_view name;
      int least;
      int most;
      std::set<int> Rrule::* into;
    };
    static constexpr std::array<List, 8> kLists = {{
        {"BYSECOND", 0, 59, &Rrule::seconds_},
        {"BYMINUTE", 0, 59, &Rrule::minutes_},
        {"BYHOUR", 0, 23, &Rrule::hours_},
        {"BYMONTH", 1, 12, &Rrule::months_},
        {"BYMONTHDAY", -31, 31, &Rrule::month_days_},
        {"BYYEARDAY", -366, 366, &Rrule::year_days_},
        {"BYWEEKNO", -53, 53, &Rrule::weeks_},
        {"BYSETPOS", -366, 366, &Rrule::positions_},
    }};
    auto list = std::ranges::find(kLists, std::string_view(name), &List::name);
    if (list != kLists.end())
      return read_list(name, value, list->least, list->most, rule_.*list->into);
    std::vector<std::string_view> known = {"FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYDAY"};
    for (const auto& each : kLists) known.push_back(each.name);
    return wrong(fmt::format("unknown part '{}'{}", name, did_you_mean(name, known)));
  }

  static Result<void> read_number(const std::string& name, const std::string& value, int64_t most,
                                  int64_t& into) {
    auto number = number_in(value, 1, most);
    if (!number) {
      return wrong(
          fmt::format("{}: expected a whole number from 1 to {}, found '{}'", name, most, value));
    }
    into = *number;
    return {};
  }

  static Result<void> read_list(const std::string& name, const std::string& value, int least,
                                int most, std::set<int>& into) {
    for (auto item : split(value, ',')) {
      auto number = number_in(item, least, most);
      if (!number || (least < 0 && *number == 0)) {
        return wrong(fmt::format("{}: expected numbers from {} to {}{}, found '{}'", name, least,
                                 most, least < 0 ? " but 0" : "", item));
      }
      into.insert(static_cast<int>(*number));
    }
    return {};
  }

  Result<void> read_days(const std::string& value) {
    rule_.has_weekdays_ = true;
    for (std::string_view item : split(value, ',')) {
      auto day = item.size() < 2 ? kWeekdays.end()
                                 : std::ranges::find(kWeekdays, item.substr(item.size() - 2));
      auto number = item.substr(0, item.size() < 2 ? 0 : item.size() - 2);
      auto ordinal = number.empty() ? std::optional<int64_t>(0) : number_in(number, -53, 53);
      if (day == kWeekdays.end() || !ordinal || (!number.empty() && *ordinal == 0)) {
        return wrong(fmt::format("BYDAY: expected days such as MO, 1MO or -1FR, found '{}'", item));
      }
      auto weekday = static_cast<int>(day - kWeekdays.begin());
      if (*ordinal == 0) {
        rule_.weekdays_.set(static_cast<size_t>(weekday));
      } else {
        rule_.ordinals_.emplace(static_cast<int>(*ordinal), weekday);
      }
    }
    return {};
  }

  // What RFC 5545 forbids beside each other, and what it takes from DTSTART.
  Result<void> finish() {
    using Freq = Rrule::Freq;
    auto freq = rule_.freq_;
    if (!has_start_) {
      rule_.start_ = kFirstMonday;
      rule_.start_s_ = rule_.zone_.to_unix(kFirstMonday);
    }
    if (rule_.count_ > 0 && !until_.empty()) return wrong("expected COUNT or UNTIL, found both");
    if (rule_.count_ > 0 && !has_start_) return wrong("COUNT needs DTSTART, from which it counts");
    if (rule_.count_ > 0 && rule_.start_s_ < 0) {
      return wrong("COUNT counts from DTSTART: expected one from 1970 on");
    }
    if (auto most = kMostIntervals[static_cast<size_t>(freq)]; rule_.interval_ > most) {
      return wrong(
          fmt::format("INTERVAL: expected at most {} with FREQ={}, which is 100 years, "
                      "found {}",
                      most, freq_, rule_.interval_));
    }
    if (!rule_.weeks_.empty() && freq != Freq::Yearly) return forbidden("BYWEEKNO");
    bool of_days = freq >= Freq::Daily && freq <= Freq::Monthly;
    if (!rule_.year_days_.empty() && of_days) return forbidden("BYYEARDAY");
    if (!rule_.month_days_.empty() && freq == Freq::Weekly) return forbidden("BYMONTHDAY");
    if (!rule_.positions_.empty() && rule_.is_below_daily()) return forbidden("BYSETPOS");
    bool takes_ordinals = freq == Freq::Monthly || (freq == Freq::Yearly && rule_.weeks_.empty());
    if (!rule_.ordinals_.empty() && !takes_ordinals) return forbidden("BYDAY with numbers");
    if (!rule_.positions_.empty() && given_.size() <= 2 + given_.count("INTERVAL")) {
      return wrong("BYSETPOS needs another part beside it, such as BYDAY");
    }
    fill_from_start();
    size_t a_day = rule_.hours_.size() * rule_.minutes_.size() * rule_.seconds_.size();
    if (!rule_.is_below_daily() && a_day > kMostTimesOfDay) {
      return wrong(
          fmt::format("expected at most {} times a day, found {} by BYHOUR, BYMINUTE and "
                      "BYSECOND: FREQ=MINUTELY or SECONDLY says such times",
                      kMostTimesOfDay, a_day));
    }
    if (!until_.empty()) {
      TRY(auto time, read_time(until_));
      if (time.is_date) time.s += 86'399;  // the whole day
      rule_.until_s_ = unix_of(time);
    }
    if (!rule_.is_found_soon()) {
      return wrong(
          fmt::format("its times are not found within {} days and times tried: its parts hardly "
                      "ever meet, or COUNT counts too many of them",
                      Rrule::kMostTries));
    }
    return {};
  }

  Error forbidden(std::string_view part) const {
    return wrong(fmt::format("{} does not go with FREQ={}", part, freq_));
  }

  void fill_from_start() {
    using Freq = Rrule::Freq;
    auto freq = rule_.freq_;
    auto fill = [](std::set<int>& numbers, int64_t number) {
      if (numbers.empty()) numbers.insert(static_cast<int>(number));
    };
    int64_t of_day = ((rule_.start_ % 86'400) + 86'400) % 86'400;
    if (freq > Freq::Secondly) fill(rule_.seconds_, of_day % 60);
    if (freq > Freq::Minutely) fill(rule_.minutes_, of_day / 60 % 60);
    if (freq > Freq::Hourly) fill(rule_.hours_, of_day / 3600);
    bool names_days = rule_.has_weekdays_ || !rule_.month_days_.empty() ||
                      !rule_.year_days_.empty() || !rule_.weeks_.empty();
    if (names_days) return;
    int64_t day = (rule_.start_ - of_day) / 86'400;
    std::chrono::year_month_day date = std::chrono::sys_days(std::chrono::days(day));
    if (freq == Freq::Yearly) fill(rule_.months_, static_cast<unsigned>(date.month()));
    if (freq >= Freq::Monthly) fill(rule_.month_days_, static_cast<unsigned>(date.day()));
    if (freq == Freq::Weekly) {
      rule_.has_weekdays_ = true;
      rule_.weekdays_.set(static_cast<size_t>(((day + 3) % 7 + 7) % 7));
    }
  }

  Rrule rule_;
  std::string freq_;
  std::string until_;
  std::string zone_name_;
  bool has_start_ = false;
  std::set<std::string> given_;
};

Result<Rrule> Rrule::parse(std::string_view text, Zone zone) {
  return RruleReader(std::move(zone)).read(text);
}

}  // namespace millrace::rules
