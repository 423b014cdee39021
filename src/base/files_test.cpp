// SPDX-License-Identifier: Apache-2.0
#include "base/files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace millrace {
namespace {

namespace fs = std::filesystem;

class Files : public ::testing::Test {
 protected:
  Files() {
    std::string pattern = fs::temp_directory_path() / "millrace-files-XXXXXX";
    folder_ = mkdtemp(pattern.data());
  }
  ~Files() override { fs::remove_all(folder_); }

  std::string at(const std::string& name) const { return folder_ + "/" + name; }
  void put(const std::string& name, const std::string& bytes) { std::ofstream(at(name)) << bytes; }
  static unsigned mode_of(const std::string& path) {
    struct stat about{};
    stat(path.c_str(), &about);
    return about.st_mode & 0777;
  }

  std::string folder_;
};

TEST_F(Files, ReadFileStopsAtItsCap) {
  put("a", "12345");
  EXPECT_EQ(*read_file(at("a"), 5), "12345");
  auto larger = read_file(at("a"), 4);
  ASSERT_FALSE(larger.ok());
  EXPECT_EQ(larger.error().kind(), ErrorKind::TooLarge);
}

TEST_F(Files, ReadFileReadsWhatStatGivesNoSizeFor) {
  auto status = read_file("/proc/self/status", 1 << 20);
  ASSERT_TRUE(status.ok());
  EXPECT_NE(status->find("Pid:"), std::string::npos);
}

TEST_F(Files, ReadFileRefusesAFolderAndAFifo) {
  EXPECT_EQ(read_file(folder_, 10).error().kind(), ErrorKind::Invalid);
  ASSERT_EQ(mkfifo(at("fifo").c_str(), 0600), 0);
  EXPECT_EQ(read_file(at("fifo"), 10).error().kind(), ErrorKind::Invalid);
}

TEST_F(Files, ReadFileOfNothingIsNotFound) {
  auto missing = read_file(at("missing"), 10);
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().kind(), ErrorKind::NotFound);
  EXPECT_EQ(missing.error().message(),
            "cannot read '" + at("missing") + "': No such file or directory");
}

TEST_F(Files, OpenBeneathStaysBelowItsRoot) {
  fs::create_directory(at("root"));
  put("secret", "s");
  put("root/inside", "i");
  fs::create_symlink("inside", at("root/link"));
  fs::create_symlink("../secret", at("root/escape"));
  fs::create_symlink("/etc/passwd", at("root/absolute"));
  auto root = open_folder(at("root"));
  ASSERT_TRUE(root.ok());
  EXPECT_TRUE(open_beneath(*root, "inside", O_RDONLY).ok());
  EXPECT_TRUE(open_beneath(*root, "link", O_RDONLY).ok());
  for (const char* path : {"../secret", "escape", "absolute", "/etc/passwd", "x/../../secret"}) {
    auto opened = open_beneath(*root, path, O_RDONLY);
    ASSERT_FALSE(opened.ok()) << path;
    bool refused =
        opened.error().kind() == ErrorKind::Invalid || opened.error().kind() == ErrorKind::NotFound;
    EXPECT_TRUE(refused) << opened.error().message();
  }
  EXPECT_EQ(open_beneath(*root, "escape", O_RDONLY).error().message(),
            "path 'escape' leads out of its folder");
}

TEST_F(Files, ReplaceFileLeavesTheNewBytesItsModeAndNothingElse) {
  put("token", "old and longer");
  umask(0022);
  ASSERT_TRUE(replace_file(at("token"), "new", 0640).ok());
  EXPECT_EQ(*read_file(at("token"), 100), "new");
  EXPECT_EQ(mode_of(at("token")), 0640U);
  EXPECT_FALSE(fs::exists(at("token.new")));
}

TEST_F(Files, ReplaceFileThatFailsKeepsTheOldFile) {
  fs::create_directory(at("taken"));
  EXPECT_FALSE(replace_file(at("taken"), "new").ok());
  EXPECT_TRUE(fs::is_directory(at("taken")));
  EXPECT_FALSE(fs::exists(at("taken.new")));
}

TEST_F(Files, ASecondProcessIsRefusedAndToldWhoHoldsTheFolder) {
  auto lock = lock_folder(folder_);
  ASSERT_TRUE(lock.ok());
  EXPECT_EQ(lock->folder(), folder_);
  // A second open file description stands for a second process.
  auto second = lock_folder(folder_);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().kind(), ErrorKind::Conflict);
  std::string expected = "data folder '" + folder_ + "' is in use by process " +
                         std::to_string(getpid()) + " (started 2";
  EXPECT_EQ(second.error().message().substr(0, expected.size()), expected);
}

TEST_F(Files, TheLockOfADeadProcessIsFree) {
  pid_t child = fork();
  if (child == 0) {
    auto lock = lock_folder(folder_);
    _exit(lock.ok() ? 0 : 1);  // without giving it back
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  EXPECT_TRUE(lock_folder(folder_).ok());
}

TEST_F(Files, AStartedProgramDoesNotInheritTheLock) {
  pid_t child = 0;
  {
    auto lock = lock_folder(folder_);
    ASSERT_TRUE(lock.ok());
    child = fork();
    if (child == 0) {
      execlp("sleep", "sleep", "30", nullptr);
      _exit(127);
    }
    // The fork shares the lock until it execs: its name tells when it has.
    std::string comm = "/proc/" + std::to_string(child) + "/comm";
    while (read_file(comm, 100).ok() && *read_file(comm, 100) != "sleep\n") usleep(1000);
  }
  EXPECT_TRUE(lock_folder(folder_).ok());
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
}

}  // namespace
}  // namespace millrace
