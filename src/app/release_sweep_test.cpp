// SPDX-License-Identifier: Apache-2.0
#include "app/release_sweep.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

namespace millrace::app {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kOneDay = 86'400'000;

class ReleaseSweepTest : public ::testing::Test {
 protected:
  ReleaseSweepTest() {
    char name[] = "/tmp/millrace-sweep-XXXXXX";
    data_ = ::mkdtemp(name);
    for (const auto& release : {old_, now_, milk_}) {
      fs::create_directories(folder_of(release));
      std::ofstream(folder_of(release) / "pack.yaml") << "ref: x\n";
    }
    fs::create_directories(data_ + "/envs/tea/0123");
    fs::create_directories(data_ + "/envs/milk/0123");
  }
  ~ReleaseSweepTest() override { fs::remove_all(data_); }

  fs::path folder_of(const ReleaseName& release) const {
    return fs::path(data_) / "packs" / release.first / release.second;
  }
  std::vector<ReleaseName> sweep(const std::set<ReleaseName>& needed, int64_t now) {
    auto gone = sweep_releases(data_, needed, now, 30 * kOneDay);
    EXPECT_TRUE(gone.ok()) << gone.error().describe();
    return gone.ok() ? *gone : std::vector<ReleaseName>();
  }

  std::string data_;
  ReleaseName old_{"tea", std::string(64, 'a')}, now_{"tea", std::string(64, 'b')},
      milk_{"milk", std::string(64, 'c')};
};

TEST_F(ReleaseSweepTest, WhatNothingNeedsGoesAfterItsTime) {
  EXPECT_TRUE(sweep({now_, milk_}, 100 * kOneDay).empty());
  EXPECT_TRUE(sweep({now_, milk_}, 129 * kOneDay).empty());
  EXPECT_EQ(sweep({now_, milk_}, 130 * kOneDay), std::vector{old_});
  EXPECT_FALSE(fs::exists(folder_of(old_)));
  EXPECT_TRUE(fs::exists(folder_of(now_)));
  EXPECT_TRUE(fs::exists(data_ + "/envs/tea/0123"));
}

TEST_F(ReleaseSweepTest, WhatIsNeededStaysHoweverOldItIs) {
  for (int64_t day = 0; day < 1000; day += 100) {
    EXPECT_TRUE(sweep({old_, now_, milk_}, day * kOneDay).empty());
  }
  // Its time begins when nothing needs it any more.
  EXPECT_TRUE(sweep({now_, milk_}, 901 * kOneDay).empty());
  EXPECT_EQ(sweep({now_, milk_}, 930 * kOneDay), std::vector{old_});
}

TEST_F(ReleaseSweepTest, WhatIsNeededAgainBeginsAnew) {
  EXPECT_TRUE(sweep({now_, milk_}, 0).empty());
  EXPECT_TRUE(sweep({old_, now_, milk_}, 29 * kOneDay).empty());
  EXPECT_TRUE(sweep({now_, milk_}, 58 * kOneDay).empty());
  EXPECT_EQ(sweep({now_, milk_}, 59 * kOneDay), std::vector{old_});
}

TEST_F(ReleaseSweepTest, EnvironmentsGoWithTheLastRelease) {
  EXPECT_TRUE(sweep({now_, old_}, 0).empty());
  EXPECT_EQ(sweep({now_, old_}, 31 * kOneDay), std::vector{milk_});
  EXPECT_FALSE(fs::exists(data_ + "/envs/milk"));
  EXPECT_FALSE(fs::exists(data_ + "/packs/milk"));
  EXPECT_TRUE(fs::exists(data_ + "/envs/tea/0123"));
}

TEST_F(ReleaseSweepTest, NothingElseIsTouchedAndADamagedFileIsNoReason) {
  fs::create_directories(data_ + "/packs/tea/notes");
  std::ofstream(data_ + "/releases.json") << "not json";
  EXPECT_TRUE(sweep({now_}, 0).empty());
  EXPECT_EQ(sweep({now_}, 40 * kOneDay).size(), 2U);
  EXPECT_TRUE(fs::exists(data_ + "/packs/tea/notes"));
}

}  // namespace
}  // namespace millrace::app
