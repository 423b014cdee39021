// SPDX-License-Identifier: Apache-2.0
#include "packs/native_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <iterator>

namespace millrace::packs {
namespace {

std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(NativeFile, TellsTheMachineAndTheNewestGlibc) {
  auto found = read_native_file(bytes_of(MILLRACE_SOURCE_DIR "/src/packs/corpus/native_file/two"));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->machine, "x86_64");
  EXPECT_EQ(found->glibc, "2.17");
}

TEST(NativeFile, ReadsAProgramOfThisMachine) {
  auto found = read_native_file(bytes_of("/proc/self/exe"));
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->glibc.starts_with("2.")) << found->glibc;
  char own[64] = {};
  ASSERT_GT(::confstr(_CS_GNU_LIBC_VERSION, own, sizeof own), 0U);  // "glibc 2.36"
  EXPECT_FALSE(is_newer_version(found->glibc, std::string_view(own).substr(6)));
}

TEST(NativeFile, IsNothingElse) {
  for (std::string text : {"", "#!/bin/sh\necho\n",
                           "\x7f"
                           "ELF",
                           "\x7f"
                           "ELF\x01\x01"}) {
    EXPECT_FALSE(read_native_file(text + std::string(text.size() > 4 ? 100 : 0, '\0')));
  }
}

TEST(NativeFile, DamagedOnesArePassedOver) {
  auto whole = bytes_of(MILLRACE_SOURCE_DIR "/src/packs/corpus/native_file/two");
  for (size_t i = 0; i < whole.size(); ++i) {
    (void)read_native_file(whole.substr(0, i));
    auto changed = whole;
    changed[i] = '\xff';
    (void)read_native_file(changed);
  }
}

TEST(NativeFile, VersionsAreNumbers) {
  EXPECT_TRUE(is_newer_version("2.34", "2.9"));
  EXPECT_TRUE(is_newer_version("2.3.1", "2.3"));
  EXPECT_FALSE(is_newer_version("2.17", "2.17"));
  EXPECT_TRUE(is_newer_version("2.2", ""));
}

TEST(NativeFile, IsHeldAgainstThisMachine) {
  auto two = bytes_of(MILLRACE_SOURCE_DIR "/src/packs/corpus/native_file/two");
  PackFiles files{{"actions/tool", two}, {"lib/other", two}, {"actions/a.sh", "#!/bin/sh\n"}};
  EXPECT_TRUE(native_problems(files, "x86_64", "2.17").empty());
  auto older = native_problems(files, "x86_64", "2.12");
  ASSERT_EQ(older.size(), 1U);
  EXPECT_EQ(older[0].path, "actions/tool");
  EXPECT_TRUE(older[0].message.starts_with("needs GLIBC 2.17, and this machine has 2.12"));
  EXPECT_EQ(native_problems(files, "aarch64", "2.40").size(), 1U);
}

}  // namespace
}  // namespace millrace::packs
