// SPDX-License-Identifier: Apache-2.0
#include "rules/zone.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <time.h>

#include <filesystem>

#include "rules/dates.h"

namespace millrace::rules {
namespace {

int64_t utc(std::string_view text) { return *parse_date(text, "UTC") / 1000; }

Zone zone(std::string_view name) {
  auto found = Zone::find(name);
  EXPECT_TRUE(found.ok()) << found.error().describe();
  return *found;
}

TEST(Zone, KnowsItsStretches) {
  auto summer = zone("Europe/Berlin").at(utc("2026-07-01"));
  EXPECT_EQ(summer.begin, utc("2026-03-29T01:00:00Z"));
  EXPECT_EQ(summer.end, utc("2026-10-25T01:00:00Z"));
  EXPECT_EQ(summer.offset, 7200);
  // The ends belong to the stretch that begins there.
  EXPECT_EQ(zone("Europe/Berlin").at(summer.begin).begin, summer.begin);
  EXPECT_EQ(zone("Europe/Berlin").at(summer.end).begin, summer.end);
  EXPECT_EQ(Zone().at(0).offset, 0);
}

TEST(Zone, ATimeInAGapIsItsEndAndOneThatIsTwiceTheFirst) {
  Zone berlin = zone("Europe/Berlin");
  EXPECT_EQ(berlin.to_unix(utc("2026-03-29 02:30:00")), utc("2026-03-29T01:00:00Z"));
  EXPECT_EQ(berlin.to_unix(utc("2026-10-25 02:30:00")), utc("2026-10-25T00:30:00Z"));
  EXPECT_EQ(berlin.to_unix(utc("2026-07-01 12:00:00")), utc("2026-07-01T10:00:00Z"));
}

// A file lists the changes up to 2037; then a rule at its end holds.
TEST(Zone, SummerTimeGoesOnBehindWhatItsFileLists) {
  Zone berlin = zone("Europe/Berlin");
  EXPECT_EQ(berlin.to_unix(utc("2040-07-01 12:00:00")), utc("2040-07-01T10:00:00Z"));
  EXPECT_EQ(berlin.at(utc("2040-07-01")).end, utc("2040-10-28T01:00:00Z"));
  EXPECT_EQ(zone("Australia/Lord_Howe").at(utc("2045-01-01")).offset, 11 * 3600);
  EXPECT_EQ(zone("America/New_York").at(utc("2100-07-01")).offset, -4 * 3600);
}

// The calendar of 2440 is that of 2040, 400 years later to the day.
TEST(Zone, SummerTimeNeverEnds) {
  constexpr int64_t kRepeats = int64_t{146'097} * 86'400;
  for (auto name : {"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Europe/Dublin"}) {
    Zone it = zone(name);
    for (auto now = it.at(utc("2400-01-01")); now.begin < utc("2850-01-01");) {
      ASSERT_LT(now.end, now.begin + 366 * int64_t{86'400}) << name << " from " << now.begin;
      auto next = it.at(now.end);
      ASSERT_EQ(next.begin, now.end) << name;
      ASSERT_NE(next.offset, now.offset) << name << " at " << now.end;
      now = next;
    }
    for (int64_t at = utc("2040-01-03"); at < utc("2041-01-01"); at += 6 * 86'400) {
      auto near = it.at(at);
      for (int64_t later : {kRepeats, kRepeats * 20}) {
        auto far = it.at(at + later);
        ASSERT_EQ(far.begin, near.begin + later) << name << " at " << at;
        ASSERT_EQ(far.end, near.end + later) << name << " at " << at;
        ASSERT_EQ(far.offset, near.offset) << name << " at " << at;
      }
    }
  }
  EXPECT_EQ(zone("Asia/Tokyo").at(utc("2500-01-01")).offset, 9 * 3600);
  EXPECT_EQ(zone("Africa/Casablanca").at(utc("2500-01-01")).offset, 3600);
}

TEST(Zone, OnlyNamesAreTaken) {
  for (auto name : {"/etc/passwd", "../zoneinfo/Europe/Berlin", "posix/Europe/Berlin", "localtime",
                    "file:Europe/Berlin", "Europe", "europe/berlin", "tzdata.zi", "Europe//Berlin",
                    "Europe///Berlin", "Europe/./Berlin", "/Europe/Berlin", "Europe/Berlin/",
                    "Europe/../Europe/Berlin"}) {
    auto found = Zone::find(name);
    ASSERT_FALSE(found.ok()) << name;
    EXPECT_EQ(found.error().code(), "RUL-0004") << name;
  }
}

// As when the system's package of them is renewed while a server runs.
TEST(Zone, AFileThatIsReplacedIsReadAnew) {
  namespace fs = std::filesystem;
  const fs::path all = "/usr/share/zoneinfo";
  char name[] = "/tmp/millrace-zones-XXXXXX";
  fs::path own = mkdtemp(name);
  fs::create_directories(own / "Europe");
  fs::copy_file(all / "Europe/Berlin", own / "Europe/Andorra");
  setenv("TZDIR", own.c_str(), 1);
  Zone::forget_changed();  // another test may have read the system's
  Zone before = zone("Europe/Andorra");
  EXPECT_FALSE(Zone::forget_changed());
  EXPECT_EQ(before.at(utc("2026-07-01")).offset, 7200);
  fs::copy_file(all / "Asia/Tokyo", own / "new");
  fs::rename(own / "new", own / "Europe/Andorra");
  EXPECT_TRUE(Zone::forget_changed());
  EXPECT_EQ(zone("Europe/Andorra").at(utc("2026-07-01")).offset, 9 * 3600);
  EXPECT_FALSE(Zone::forget_changed());
  EXPECT_EQ(before.at(utc("2026-07-01")).offset, 7200) << "who has it keeps it";
  fs::remove(own / "Europe/Andorra");
  EXPECT_FALSE(Zone::forget_changed());
  EXPECT_EQ(zone("Europe/Andorra").at(utc("2026-07-01")).offset, 9 * 3600) << "gone for a moment";
  unsetenv("TZDIR");
  EXPECT_TRUE(Zone::forget_changed());
  fs::remove_all(own);
}

// A pack can name a thousand zones that are none.
TEST(Zone, TheFolderIsNotWalkedForEachWrongName) {
  namespace fs = std::filesystem;
  char name[] = "/tmp/millrace-zones-XXXXXX";
  fs::path own = mkdtemp(name);
  fs::copy_file("/usr/share/zoneinfo/Asia/Tokyo", own / "Moon");
  setenv("TZDIR", own.c_str(), 1);
  auto hint = [](std::string_view of) { return Zone::find(of).error().message(); };
  EXPECT_NE(hint("Mooon").find("did you mean 'Moon'?"), std::string::npos);
  fs::rename(own / "Moon", own / "Titan");
  EXPECT_NE(hint("Mooon").find("did you mean 'Moon'?"), std::string::npos) << "walked again";
  EXPECT_TRUE(Zone::find("Titan").ok());
  unsetenv("TZDIR");
  Zone::forget_changed();
  fs::remove_all(own);
}

// glibc reads the same files with code of its own.
TEST(Zone, EveryZoneOfTheSystemIsAsGlibcHasIt) {
  namespace fs = std::filesystem;
  const fs::path folder = "/usr/share/zoneinfo";
  int zones = 0;
  for (const auto& file : fs::recursive_directory_iterator(folder)) {
    auto name = file.path().lexically_relative(folder).string();
    if (!file.is_regular_file() || name[0] < 'A' || name[0] > 'Z') continue;
    auto found = Zone::find(name);
    ASSERT_TRUE(found.ok()) << name;
    ++zones;
    setenv("TZ", (":" + name).c_str(), 1);
    tzset();
    for (int64_t at = utc("2020-01-01"); at < utc("2041-01-01"); at += 29 * 86'400 + 4'021) {
      auto stretch = found->at(at);
      for (int64_t when : {at, std::max(stretch.begin, int64_t{0}), stretch.end}) {
        if (when > utc("2041-01-01")) continue;
        time_t seconds = when;
        tm local{};
        localtime_r(&seconds, &local);
        ASSERT_EQ(found->at(when).offset, local.tm_gmtoff) << name << " at " << when;
      }
    }
  }
  unsetenv("TZ");
  tzset();
  EXPECT_GT(zones, 400);
}

}  // namespace
}  // namespace millrace::rules
