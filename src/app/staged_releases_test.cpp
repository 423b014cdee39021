// SPDX-License-Identifier: Apache-2.0
#include "app/staged_releases.h"

#include <fcntl.h>

#include <algorithm>
#include <filesystem>

#include "app/test_support.h"

namespace millrace::app {
namespace {

namespace fs = std::filesystem;

class StagedReleasesTest : public DataFolder {
 protected:
  void SetUp() override {
    open_store();
    auto db = reader();
    auto packs = PackStore(data_, {pack("tea", tea_pack())}).load(*db);
    ASSERT_TRUE(packs.ok()) << packs.error().describe();
    auto tea = std::ranges::find(*packs, "tea", [](const auto& p) { return p->ref; });
    digest_ = (*tea)->digest;
    folder_ = (*tea)->folder;
  }
  Result<std::string> entry() { return staged_.file("tea", digest_, "actions/brew.sh"); }
  // As long ago as files of a server usually are: what is just written is read again each time.
  void age() { usleep(250'000); }
  void change(const std::string& path, const std::string& text) {
    std::string file = folder_ + "/" + path;
    struct stat info{};
    bool is_there = stat(file.c_str(), &info) == 0;
    fs::permissions(fs::exists(file) ? file : fs::path(file).parent_path().string(),
                    fs::perms::owner_all);
    std::ofstream(file, std::ios::trunc) << text;
    timespec times[2] = {info.st_atim, info.st_mtim};
    if (is_there) utimensat(AT_FDCWD, file.c_str(), times, 0);
  }

  std::string digest_, folder_;
  StagedReleases staged_{data_};
};

TEST_F(StagedReleasesTest, AReleaseIsReadOnceAndLookedAtAfterwards) {
  age();
  for (int i = 0; i < 50; ++i) {
    auto file = entry();
    ASSERT_TRUE(file.ok()) << file.error().describe();
    EXPECT_EQ(*file, folder_ + "/actions/brew.sh");
  }
  EXPECT_EQ(staged_.reads(), 1);
  EXPECT_LE(staged_.sweeps(), 2);  // not for each run: a pack may have thousands of files
}

TEST_F(StagedReleasesTest, WhatWasJustWrittenIsReadUntilItsTimesCanTell) {
  ASSERT_TRUE(entry().ok());
  ASSERT_TRUE(entry().ok());
  EXPECT_GE(staged_.reads(), 2);
}

TEST_F(StagedReleasesTest, AnyChangeIsFoundWhateverItsTimesAndSizeSay) {
  std::string was = text_of(folder_ + "/actions/brew.sh");
  std::string other = was;
  other.back() = ' ';  // the same size
  struct Case {
    std::string path, text;
  };
  for (bool looked_before : {true, false}) {
    for (const auto& [path, text] : {Case{"actions/brew.sh", other}, Case{"pack.yaml", "ref: x\n"},
                                     Case{"actions/new.sh", "echo new\n"}, Case{"new.txt", ""}}) {
      std::string before = text_of(folder_ + "/" + path);
      bool was_there = fs::exists(folder_ + "/" + path);
      if (looked_before) age();
      if (looked_before) ASSERT_TRUE(entry().ok());
      change(path, text);
      auto file = entry();
      ASSERT_FALSE(file.ok()) << path;
      EXPECT_EQ(file.error().code(), "APP-0012");
      // Else what the round before has mended may be as new.
      if (looked_before) {
        EXPECT_NE(file.error().message().find(path), std::string::npos) << file.error().message();
      }
      if (was_there) {
        change(path, before);
      } else {
        fs::remove(folder_ + "/" + path);
      }
      EXPECT_TRUE(entry().ok()) << path << " is as it was";
    }
  }
}

TEST_F(StagedReleasesTest, FilesThatAreGoneAndLinksInTheirPlaceAreFound) {
  age();
  ASSERT_TRUE(entry().ok());
  std::string file = folder_ + "/actions/brew.sh";
  fs::rename(file, home_ + "/brew.sh");
  EXPECT_EQ(entry().error().code(), "APP-0012");
  fs::create_symlink(home_ + "/brew.sh", file);
  EXPECT_EQ(entry().error().code(), "APP-0012") << "a link that leads out";
  fs::remove_all(folder_);
  EXPECT_EQ(entry().error().code(), "APP-0011");
}

TEST_F(StagedReleasesTest, WhatPythonKeepsIsNotOfTheRelease) {
  age();
  ASSERT_TRUE(entry().ok());
  write(folder_ + "/actions/__pycache__/lib.pyc", "bytes");
  EXPECT_TRUE(entry().ok());
}

TEST_F(StagedReleasesTest, AChangedReleaseIsStagedAnewFromItsSourceAndGoneWithout) {
  change("actions/brew.sh", "echo poison\n");
  auto db = reader();
  auto again = PackStore(data_, {home_ + "/tea"}).load(*db);
  ASSERT_TRUE(again.ok()) << again.error().describe();
  EXPECT_EQ(text_of(folder_ + "/actions/brew.sh"), tea_pack()["actions/brew.sh"]);
  EXPECT_EQ(mode_of(folder_ + "/actions/brew.sh") & 0222, 0U);
  EXPECT_FALSE(fs::exists(folder_ + ".new"));
  remember(*again, 5);
  change("actions/brew.sh", "echo poison\n");
  auto without = PackStore(data_, {}).load(*db);
  ASSERT_TRUE(without.ok()) << without.error().describe();
  EXPECT_TRUE(std::ranges::none_of(*without, [](const auto& p) { return p->ref == "tea"; }));
  add_execution(1, digest_, ExecutionStatus::Requested);
  auto pinned = PackStore(data_, {}).load_pinned(*db, {});
  ASSERT_TRUE(pinned.ok());
  ASSERT_EQ(pinned->missing.size(), 1U);
  EXPECT_NE(pinned->missing[0].why.find("was changed"), std::string::npos);
}

}  // namespace
}  // namespace millrace::app
