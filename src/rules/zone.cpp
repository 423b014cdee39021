// SPDX-License-Identifier: Apache-2.0
#include "rules/zone.h"

#define USE_OS_TZDB 1  // as Debian's libdate-tz is built: /usr/share/zoneinfo, no download
#include <date/tz.h>
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "base/text.h"

namespace millrace::rules {
namespace {

// Far enough for every schedule, and safe to add an offset to.
constexpr int64_t kLongAgo = -(int64_t{1} << 50);
constexpr int64_t kFarAhead = int64_t{1} << 50;

int64_t clamped(date::sys_seconds time) {
  return std::clamp<int64_t>(time.time_since_epoch().count(), kLongAgo, kFarAhead);
}

bool is_utc(std::string_view name) {
  return name.empty() || name == "UTC" || name == "Etc/UTC" || name == "Z";
}

}  // namespace

Result<Zone> Zone::find(std::string_view name) {
  if (is_utc(name)) return Zone();
  try {
    for (const auto& zone : date::get_tzdb().zones) {
      if (zone.name() == name) return Zone(&zone);
    }
    std::vector<std::string> names;
    for (const auto& zone : date::get_tzdb().zones) names.push_back(zone.name());
    return Error(ErrorKind::Invalid, "RUL-0004",
                 fmt::format("unknown time zone '{}'{}: expected an IANA name such as "
                             "Europe/Berlin, or UTC",
                             name, did_you_mean(name, names)));
  } catch (const std::exception& error) {
    return Error(ErrorKind::Unavailable, "RUL-0007",
                 fmt::format("cannot read the time zone '{}': {} (is tzdata installed?)", name,
                             error.what()));
  }
}

Zone::Stretch Zone::at(int64_t unix_s) const {
  if (!zone_) return {kLongAgo, kFarAhead, 0};
  auto info = zone_->get_info(date::sys_seconds(std::chrono::seconds(unix_s)));
  return {clamped(info.begin), clamped(info.end), info.offset.count()};
}

int64_t Zone::to_unix(int64_t local_s) const {
  if (!zone_) return local_s;
  auto info = zone_->get_info(date::local_seconds(std::chrono::seconds(local_s)));
  if (info.result == date::local_info::nonexistent) return clamped(info.first.end);
  return local_s - info.first.offset.count();
}

}  // namespace millrace::rules
