// SPDX-License-Identifier: Apache-2.0
#include "packs/folder.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace millrace::packs {
namespace {

namespace fs = std::filesystem;

class ReadPackFolder : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "millrace-pack-XXXXXX").string();
    ASSERT_TRUE(mkdtemp(name.data()));
    root_ = name;
    fs::create_directories(root_ / "pack/actions");
    write("secret", "outside");
    write("pack/pack.yaml", "ref: x\n");
  }
  void TearDown() override { fs::remove_all(root_); }

  void write(const std::string& path, std::string_view text) {
    std::ofstream(root_ / path) << text;
  }
  std::string problems(const FolderLimits& limits = {}) {
    auto files = read_pack_folder((root_ / "pack").string(), limits);
    std::string out;
    if (files) return out;
    for (const Problem& p : files.error().problems()) out += p.path + ": " + p.message + "\n";
    return out;
  }

  fs::path root_;
};

TEST_F(ReadPackFolder, GivesFilesByTheirPaths) {
  write("pack/actions/a.sh", "echo\n");
  fs::create_directories(root_ / "pack/.git");
  write("pack/.git/HEAD", "x");
  fs::create_symlink("a.sh", root_ / "pack/actions/b.sh");
  auto files = read_pack_folder((root_ / "pack").string());
  ASSERT_TRUE(files) << files.error().describe();
  EXPECT_EQ(*files, (PackFiles{{"actions/a.sh", "echo\n"},
                               {"actions/b.sh", "echo\n"},
                               {"pack.yaml", "ref: x\n"}}));
}

TEST_F(ReadPackFolder, RefusesLinksOutAndWhatIsNoFile) {
  fs::create_symlink("../../secret", root_ / "pack/actions/out");
  fs::create_symlink((root_ / "secret").string(), root_ / "pack/absolute");
  fs::create_symlink("actions", root_ / "pack/folder");
  ASSERT_EQ(mkfifo((root_ / "pack/pipe").c_str(), 0600), 0);
  std::string found = problems();
  EXPECT_NE(found.find("actions/out: path 'actions/out' leads out of its folder\n"),
            std::string::npos)
      << found;
  EXPECT_NE(found.find("absolute: "), std::string::npos) << found;
  EXPECT_NE(found.find("folder: "), std::string::npos) << found;
  EXPECT_NE(found.find("pipe: is no file"), std::string::npos) << found;
  EXPECT_EQ(found.find("outside"), std::string::npos);
}

TEST_F(ReadPackFolder, StopsAtItsLimits) {
  write("pack/big", std::string(100, 'x'));
  EXPECT_NE(problems({.max_file_bytes = 99}).find("big"), std::string::npos);
  EXPECT_NE(problems({.max_total_bytes = 50}), "");
  EXPECT_NE(problems({.max_files = 1}), "");
  fs::create_directories(root_ / "pack/a/b/c");
  EXPECT_NE(problems({.max_depth = 2}).find("nested deeper"), std::string::npos);
  EXPECT_EQ(problems(), "");
}

TEST_F(ReadPackFolder, SaysThatAFolderIsMissing) {
  auto files = read_pack_folder((root_ / "nowhere").string());
  ASSERT_FALSE(files);
  EXPECT_EQ(files.error().kind(), ErrorKind::NotFound);
}

}  // namespace
}  // namespace millrace::packs
