// SPDX-License-Identifier: Apache-2.0
#include "app/folder_watch.h"

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "app/test_support.h"

namespace millrace::app {
namespace {

namespace fs = std::filesystem;

class FolderWatchTest : public ::testing::Test {
 protected:
  FolderWatchTest() {
    char name[] = "/tmp/millrace-watch-XXXXXX";
    home_ = ::mkdtemp(name);
    fs::create_directories(home_ + "/packs/tea/actions");
    write("packs/tea/pack.yaml");
  }
  ~FolderWatchTest() override { fs::remove_all(home_); }

  void write(const std::string& file) const {
    fs::create_directories(fs::path(home_ + "/" + file).parent_path());
    std::ofstream(home_ + "/" + file) << "x\n";
  }
  // Whether it was told so often within a generous time, and not more often in a short one.
  bool is_told(int times) const {
    using namespace std::chrono_literals;
    for (int i = 0; i < 500 && told_ < times; ++i) std::this_thread::sleep_for(10ms);
    std::this_thread::sleep_for(150ms);
    return told_ == times;
  }

  std::string home_;
  std::atomic<int> told_ = 0;
  FolderWatch watch_{[this] { ++told_; }, {.quiet_ms = 50, .longest_ms = 1000}};
};

TEST_F(FolderWatchTest, TellsOnceOfManyChanges) {
  ASSERT_TRUE(watch_.watch({home_ + "/packs"}).ok());
  for (int i = 0; i < 200; ++i) write("packs/tea/actions/" + std::to_string(i) + ".yaml");
  EXPECT_TRUE(is_told(1)) << told_;
  fs::remove(home_ + "/packs/tea/actions/7.yaml");
  EXPECT_TRUE(is_told(2)) << told_;
}

TEST_F(FolderWatchTest, HearsOfWhatIsNewToo) {
  ASSERT_TRUE(watch_.watch({home_ + "/packs"}).ok());
  write("packs/milk/pack.yaml");
  ASSERT_TRUE(is_told(1)) << told_;
  write("packs/milk/actions/workflows/pour.yaml");
  ASSERT_TRUE(is_told(2)) << told_;
  write("packs/milk/actions/workflows/pour.yaml");
  EXPECT_TRUE(is_told(3)) << told_;
}

TEST_F(FolderWatchTest, EditorsAndCachesAreNotHeard) {
  fs::create_directories(home_ + "/packs/tea/actions/__pycache__");
  ASSERT_TRUE(watch_.watch({home_ + "/packs/tea"}).ok());
  for (const char* name : {".brew.yaml.swp", "brew.yaml~", "#brew.yaml#", ".#brew.yaml", "4913",
                           "__pycache__/brew.pyc"}) {
    write(std::string("packs/tea/actions/") + name);
  }
  EXPECT_TRUE(is_told(0)) << told_;
  write("packs/tea/actions/brew.yaml");
  EXPECT_TRUE(is_told(1)) << told_;
}

TEST_F(FolderWatchTest, OthersAreForgottenAndAFolderThatIsNotThereIsNoFault) {
  ASSERT_TRUE(watch_.watch({home_ + "/packs", home_ + "/none"}).ok());
  EXPECT_EQ(watch_.watched(), 3U);
  fs::create_directories(home_ + "/configs");
  ASSERT_TRUE(watch_.watch({home_ + "/configs"}).ok());
  EXPECT_EQ(watch_.watched(), 1U);
  write("packs/tea/pack.yaml");
  EXPECT_TRUE(is_told(0)) << told_;
}

TEST_F(FolderWatchTest, WhatNeverStopsIsToldAllTheSame) {
  ASSERT_TRUE(watch_.watch({home_ + "/packs"}).ok());
  for (int i = 0; i < 130 && told_ == 0; ++i) {
    write("packs/tea/actions/log.yaml");
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_GE(told_, 1);
}

}  // namespace
}  // namespace millrace::app
