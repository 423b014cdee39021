// SPDX-License-Identifier: Apache-2.0
// Every zone's clock from 2020 to 2040, held against what Python's zoneinfo says of it
// (testdata/zones.txt, written by tools/zones.py).
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <optional>
#include <sstream>

#include "rules/zone.h"

namespace millrace::rules {
namespace {

constexpr int64_t kTableBegin = 1577836800;  // 2020-01-01
constexpr int64_t kTableEnd = 2240611200;    // 2041-01-01
const std::filesystem::path kSystem = "/usr/share/zoneinfo";

struct Recorded {
  std::vector<std::string> names;
  std::vector<std::pair<int64_t, int64_t>> offsets;  // since when; the first since kTableBegin
};

struct Record {
  std::string version;
  std::vector<Recorded> lists;
};

std::vector<std::string> words_of(const std::string& line) {
  std::istringstream words(line);
  return {std::istream_iterator<std::string>(words), {}};
}

Record record() {
  std::ifstream file(MILLRACE_SOURCE_DIR "/src/rules/testdata/zones.txt");
  Record read;
  std::string names, changes;
  while (std::getline(file, names)) {
    if (names.starts_with("# tzdata ")) read.version = names.substr(9);
    if (names.starts_with('#')) continue;
    std::getline(file, changes);
    Recorded& list = read.lists.emplace_back(words_of(names));
    for (const auto& word : words_of(changes)) {
      auto equals = word.find('=');
      if (equals == std::string::npos) {
        list.offsets.emplace_back(kTableBegin, std::stoll(word));
      } else {
        list.offsets.emplace_back(std::stoll(word), std::stoll(word.substr(equals + 1)));
      }
    }
  }
  return read;
}

std::string version_of_system() {
  std::string line;
  std::getline(std::ifstream(kSystem / "tzdata.zi"), line);
  if (line.starts_with("# version ")) return line.substr(10);
  std::getline(std::ifstream(kSystem / "+VERSION"), line);
  return line;
}

// The first time that is not as recorded: at each change, the second before it, and in between.
std::optional<std::string> difference(const Zone& zone, const Recorded& recorded) {
  for (size_t i = 0; i < recorded.offsets.size(); ++i) {
    auto [begin, offset] = recorded.offsets[i];
    bool is_last = i + 1 == recorded.offsets.size();
    int64_t end = is_last ? kTableEnd : recorded.offsets[i + 1].first;
    for (int64_t at : {begin, begin + (end - begin) / 2, end - 1}) {
      auto stretch = zone.at(at);
      if (stretch.offset != offset) {
        return fmt::format("at {}: expected {}, found {}", at, offset, stretch.offset);
      }
      if (stretch.begin > at || stretch.end <= at) {
        return fmt::format("at {}: it is not in its stretch {} to {}", at, stretch.begin,
                           stretch.end);
      }
      // The wall clock shows it once, unless it is near a change.
      bool alone = at - begin > 86'400 && end - at > 86'400;
      if (alone && zone.to_unix(at + offset) != at) {
        return fmt::format("{} is {} on the wall and back {}", at, at + offset,
                           zone.to_unix(at + offset));
      }
    }
  }
  return std::nullopt;
}

TEST(ZoneTable, EveryZoneIsAsPythonHasIt) {
  Record recorded = record();
  ASSERT_GT(recorded.lists.size(), 50u);
  std::vector<std::string> different, missing;
  size_t same = 0;
  for (const auto& list : recorded.lists) {
    for (const auto& name : list.names) {
      // Some systems pack old names apart.
      if (!std::filesystem::exists(kSystem / name)) {
        missing.push_back(name);
        continue;
      }
      auto zone = Zone::find(name);
      ASSERT_TRUE(zone.ok()) << zone.error().describe();
      auto found = difference(*zone, list);
      if (found) {
        different.push_back(fmt::format("{} {}", name, *found));
      } else {
        ++same;
      }
    }
  }
  std::string told = fmt::format("{}\nnot on this system: {}", fmt::join(different, "\n"),
                                 fmt::join(missing, " "));
  if (!different.empty() || !missing.empty()) std::cerr << told << "\n";
  EXPECT_GT(same, 400u);
  // Governments change their minds: an other release of tzdata may tell it already.
  size_t may_differ = version_of_system() == recorded.version ? 0 : 12;
  EXPECT_LE(different.size(), may_differ)
      << "recorded: tzdata " << recorded.version << ", here: " << version_of_system() << "\n"
      << told;
}

}  // namespace
}  // namespace millrace::rules
