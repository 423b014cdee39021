// SPDX-License-Identifier: Apache-2.0
#include "rules/zone.h"

#include <cctz/time_zone.h>
#include <fmt/format.h>

#include <stdlib.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <mutex>
#include <vector>

#include "base/text.h"

namespace millrace::rules {
namespace {

namespace fs = std::filesystem;
using Instant = cctz::time_point<cctz::seconds>;

// TZDIR, as everywhere.
std::string folder() {
  const char* given = ::getenv("TZDIR");
  return given && *given ? given : "/usr/share/zoneinfo";
}

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
  // One spelling for each: what has been read is kept for ever.
  bool is_plain = !name.contains("//") && !name.ends_with('/');
  return !name.empty() && name.size() <= 64 && is_upper(name[0]) && is_plain &&
         std::ranges::all_of(name, fits);
}

std::vector<std::string> names_in(const std::string& root) {
  std::vector<std::string> names;
  std::error_code ec;
  for (auto at = fs::recursive_directory_iterator(root, ec);
       !ec && at != fs::recursive_directory_iterator(); at.increment(ec)) {
    auto name = at->path().lexically_relative(root).string();
    if (may_be_zone(name) && at->is_regular_file(ec)) names.push_back(std::move(name));
  }
  std::ranges::sort(names);
  return names;
}

// What tells a file from the one that it replaces.
struct Version {
  int64_t changed_ns = 0;
  int64_t size = 0;
  uint64_t inode = 0;
  auto operator<=>(const Version&) const = default;
};

std::optional<Version> version_of(const std::string& name) {
  struct stat file{};
  if (::stat((folder() + "/" + name).c_str(), &file) != 0) return std::nullopt;
  if (!S_ISREG(file.st_mode)) return std::nullopt;
  return Version{file.st_mtim.tv_sec * 1'000'000'000 + file.st_mtim.tv_nsec, file.st_size,
                 file.st_ino};
}

// The zones that have been used, and the names of all.
class Zones {
 public:
  // Only for the nearest name: the folder is walked once, however many names are wrong.
  std::shared_ptr<const std::vector<std::string>> names() {
    std::lock_guard lock(mutex_);
    if (!names_ || names_->empty() || names_in_ != folder()) {
      names_in_ = folder();
      names_ = std::make_shared<const std::vector<std::string>>(names_in(names_in_));
    }
    return names_;
  }

  std::shared_ptr<const cctz::time_zone> find(const std::string& name) {
    std::lock_guard lock(mutex_);
    auto known = zones_.find(name);
    if (known != zones_.end() && !known->second.is_old) return known->second.zone;
    auto version = version_of(name);
    int times = known == zones_.end() ? 0 : known->second.times_read;
    cctz::time_zone zone;
    if (!version || !cctz::load_time_zone(path_of(name, times), &zone)) {
      return known == zones_.end() ? nullptr : known->second.zone;
    }
    auto read = std::make_shared<const cctz::time_zone>(zone);
    zones_[name] = {read, *version, times + 1, false};
    return read;
  }

  bool forget_changed() {
    std::lock_guard lock(mutex_);
    bool any = false;
    for (auto& [name, known] : zones_) {
      auto version = version_of(name);
      if (!version || *version == known.version) continue;
      any = known.is_old = true;
    }
    return any;
  }

 private:
  struct Known {
    std::shared_ptr<const cctz::time_zone> zone;
    Version version;
    int times_read = 0;
    bool is_old = false;
  };
  // The library keeps what it has read by the name that it was asked for: the same file by another
  // spelling is read again.
  static std::string path_of(const std::string& name, int times_read) {
    std::string path = folder();
    for (int i = 0; i < times_read; ++i) path += "/.";
    return path + "/" + name;
  }

  std::mutex mutex_;
  std::map<std::string, Known, std::less<>> zones_;
  std::string names_in_;
  std::shared_ptr<const std::vector<std::string>> names_;
};

Zones& zones() {
  static Zones all;
  return all;
}

}  // namespace

bool Zone::forget_changed() { return zones().forget_changed(); }

Result<Zone> Zone::find(std::string_view name) {
  if (is_utc(name)) return Zone();
  if (may_be_zone(name)) {
    if (auto zone = zones().find(std::string(name))) return Zone(std::move(zone));
  }
  auto names = zones().names();
  if (names->empty()) {
    return Error(ErrorKind::Unavailable, "RUL-0007",
                 fmt::format("cannot read the time zone '{}': nothing is in {} (is tzdata "
                             "installed?)",
                             name, folder()));
  }
  return Error(ErrorKind::Invalid, "RUL-0004",
               fmt::format("unknown time zone '{}'{}: expected an IANA name such as "
                           "Europe/Berlin, or UTC",
                           name, did_you_mean(name, *names)));
}

// The library lists the changes of a zone whose rule goes on for 400 years, then no more: what the
// Gregorian calendar repeats after these years is looked up there.
int64_t Zone::years_repeated_s(int64_t unix_s) const {
  // No file lists changes by hand for so long.
  constexpr int64_t kOnlyByRule = 7'258'118'400;  // 2200-01-01
  constexpr int64_t kRepeats = int64_t{146'097} * 86'400;
  cctz::time_zone::civil_transition change;
  if (unix_s < kOnlyByRule || !zone_->prev_transition(instant(kFarAhead), &change)) return 0;
  int64_t last = unix_of(zone_->lookup(change.to).trans);
  if (last < kOnlyByRule || unix_s < last) return 0;
  return ((unix_s - last) / kRepeats + 1) * kRepeats;
}

Zone::Stretch Zone::at(int64_t unix_s) const {
  if (!zone_) return {kLongAgo, kFarAhead, 0};
  if (int64_t repeated = years_repeated_s(unix_s)) {
    auto [begin, end, offset] = at(unix_s - repeated);
    return {begin + repeated, end + repeated, offset};
  }
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
