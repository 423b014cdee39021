// SPDX-License-Identifier: Apache-2.0
#include "rules/zone.h"

#include <cctz/time_zone.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "base/text.h"

namespace millrace::rules {
namespace {

namespace fs = std::filesystem;
using Instant = cctz::time_point<cctz::seconds>;

constexpr const char* kFolder = "/usr/share/zoneinfo";
// Far enough for every schedule, and safe to add an offset to.
constexpr int64_t kLongAgo = -(int64_t{1} << 50);
constexpr int64_t kFarAhead = int64_t{1} << 50;

Instant instant(int64_t unix_s) { return Instant(cctz::seconds(unix_s)); }
int64_t unix_of(Instant time) { return time.time_since_epoch().count(); }

bool is_utc(std::string_view name) {
  return name.empty() || name == "UTC" || name == "Etc/UTC" || name == "Z";
}

// The names that IANA gives: `Area/Place`, `CET`. The library would take any path.
bool may_be_zone(std::string_view name) {
  auto is_upper = [](char c) { return c >= 'A' && c <= 'Z'; };
  auto fits = [&](char c) {
    return is_upper(c) || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           std::string_view("/_+-").contains(c);
  };
  return !name.empty() && name.size() <= 64 && is_upper(name[0]) && std::ranges::all_of(name, fits);
}

std::vector<std::string> all_names() {
  std::vector<std::string> names;
  std::error_code ec;
  for (auto at = fs::recursive_directory_iterator(kFolder, ec);
       !ec && at != fs::recursive_directory_iterator(); at.increment(ec)) {
    auto name = at->path().lexically_relative(kFolder).string();
    if (may_be_zone(name) && at->is_regular_file(ec)) names.push_back(std::move(name));
  }
  std::ranges::sort(names);
  return names;
}

}  // namespace

Result<Zone> Zone::find(std::string_view name) {
  if (is_utc(name)) return Zone();
  cctz::time_zone zone;
  if (may_be_zone(name) && cctz::load_time_zone(std::string(name), &zone)) {
    return Zone(std::make_shared<const cctz::time_zone>(zone));
  }
  auto names = all_names();
  if (names.empty()) {
    return Error(ErrorKind::Unavailable, "RUL-0007",
                 fmt::format("cannot read the time zone '{}': nothing is in {} (is tzdata "
                             "installed?)",
                             name, kFolder));
  }
  return Error(ErrorKind::Invalid, "RUL-0004",
               fmt::format("unknown time zone '{}'{}: expected an IANA name such as "
                           "Europe/Berlin, or UTC",
                           name, did_you_mean(name, names)));
}

Zone::Stretch Zone::at(int64_t unix_s) const {
  if (!zone_) return {kLongAgo, kFarAhead, 0};
  Stretch stretch{kLongAgo, kFarAhead, zone_->lookup(instant(unix_s)).offset};
  cctz::time_zone::civil_transition change;
  if (zone_->prev_transition(instant(unix_s + 1), &change)) {
    stretch.begin = unix_of(zone_->lookup(change.to).trans);
  }
  if (zone_->next_transition(instant(unix_s), &change)) {
    stretch.end = unix_of(zone_->lookup(change.to).trans);
  }
  return stretch;
}

int64_t Zone::to_unix(int64_t local_s) const {
  if (!zone_) return local_s;
  auto found = zone_->lookup(cctz::civil_second() + local_s);
  bool in_gap = found.kind == cctz::time_zone::civil_lookup::SKIPPED;
  return unix_of(in_gap ? found.trans : found.pre);
}

}  // namespace millrace::rules
