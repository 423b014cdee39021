// SPDX-License-Identifier: Apache-2.0
#include "auth/passphrase.h"

#include <gtest/gtest.h>

#include <sys/resource.h>
#include <unistd.h>

#include <fstream>
#include <optional>

#include "base/json.h"

namespace millrace::auth {
namespace {

std::string sealed_by(const Secret& passphrase) {
  auto sealed = seal_with_passphrase(passphrase, "the keys", system_random());
  EXPECT_TRUE(sealed.ok());
  return sealed.ok() ? *sealed : std::string();
}

TEST(Passphrase, OpensWhatItHasSealedAndNothingElseDoes) {
  Secret right("correct horse");
  auto sealed = sealed_by(right);
  EXPECT_EQ(sealed.find("the keys"), std::string::npos);
  auto opened = open_with_passphrase(right, sealed);
  ASSERT_TRUE(opened.ok()) << opened.error().describe();
  EXPECT_EQ(opened->reveal(), "the keys");
  EXPECT_EQ(open_with_passphrase(Secret("correct horses"), sealed).error().code(), "AUT-0014");
  EXPECT_EQ(open_with_passphrase(Secret(), sealed).error().code(), "AUT-0014");
  EXPECT_NE(sealed_by(right), sealed) << "its own salt";
}

TEST(Passphrase, AChangedTextDoesNotOpen) {
  Secret right("correct horse");
  auto value = parse_json(sealed_by(right));
  ASSERT_TRUE(value.ok());
  auto changed = [&](const char* name, Value to) {
    Value other = *value;
    other.set(name, std::move(to));
    return open_with_passphrase(right, to_json(other)).error().code();
  };
  EXPECT_EQ(changed("passes", 2), "AUT-0014");
  EXPECT_EQ(changed("passes", 1'000'000), "AUT-0013") << "must not keep the processor for hours";
  EXPECT_EQ(changed("memory_kib", int64_t{1} << 40), "AUT-0013") << "nor take all memory";
  EXPECT_EQ(changed("box", ""), "AUT-0013");
  EXPECT_EQ(changed("kdf", "none"), "AUT-0013");
  EXPECT_EQ(open_with_passphrase(right, "{}").error().code(), "AUT-0013");
  EXPECT_EQ(open_with_passphrase(right, "no JSON").error().code(), "AUT-0013");
}

// At most `bytes` more than it has for the process, until the end of the block.
class LittleMemory {
 public:
  explicit LittleMemory(size_t bytes) {
    size_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    EXPECT_EQ(::getrlimit(RLIMIT_AS, &before_), 0);
    rlimit little = before_;
    little.rlim_cur = pages * static_cast<size_t>(::sysconf(_SC_PAGESIZE)) + bytes;
    EXPECT_EQ(::setrlimit(RLIMIT_AS, &little), 0);
  }
  ~LittleMemory() { ::setrlimit(RLIMIT_AS, &before_); }

 private:
  rlimit before_{};
};

TEST(Passphrase, SealingWithoutMemoryIsAnError) {
  std::optional<Error> error;
  {
    LittleMemory little(32 << 20);
    error = seal_with_passphrase(Secret("correct horse"), "the keys", system_random()).error();
  }
  EXPECT_EQ(error->code(), "AUT-0015");
  EXPECT_NE(error->message().find("64 MiB"), std::string::npos) << error->message();
}

// A backup from a larger machine, or one that was made to end ours.
TEST(Passphrase, MemoryThatIsNotThereIsAnError) {
  Secret right("correct horse");
  auto value = parse_json(sealed_by(right));
  ASSERT_TRUE(value.ok());
  value->set("memory_kib", 1 << 20);
  std::string sealed = to_json(*value);
  std::optional<Error> error;
  {
    LittleMemory little(512 << 20);
    error = open_with_passphrase(right, sealed).error();
  }
  EXPECT_EQ(error->code(), "AUT-0015");
  EXPECT_NE(error->message().find("1024 MiB"), std::string::npos) << error->message();
}

TEST(Sha256Test, TakesItsBytesInPieces) {
  Sha256 pieces;
  for (char c : std::string_view("abc")) pieces.add({&c, 1});
  EXPECT_EQ(pieces.finish(), sha256("abc"));
}

}  // namespace
}  // namespace millrace::auth
