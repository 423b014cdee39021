// SPDX-License-Identifier: Apache-2.0
#include "auth/key_ring.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

namespace millrace::auth {
namespace {

const SealedFor kOwner{kDefaultTenant, "webhook", "ci", 3};

class KeyFile : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "millrace-key-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string path() const { return folder_ + "/keys.json"; }

  std::string folder_;
  Random random_ = system_random();
};

TEST(KeyRing, OpensWhatItSealed) {
  auto random = system_random();
  auto ring = KeyRing::create(random);
  auto sealed = ring.seal(kOwner, "hush", random);
  EXPECT_TRUE(sealed.starts_with("v1.k1."));
  EXPECT_EQ(sealed.find("hush"), std::string::npos);
  auto opened = ring.open(kOwner, sealed);
  ASSERT_TRUE(opened.ok());
  EXPECT_EQ(opened->reveal(), "hush");
}

TEST(KeyRing, TheSameTextIsSealedDifferentlyEachTime) {
  auto random = system_random();
  auto ring = KeyRing::create(random);
  EXPECT_NE(ring.seal(kOwner, "hush", random), ring.seal(kOwner, "hush", random));
}

TEST(KeyRing, ASealedTextOpensOnlyInItsPlace) {
  auto random = system_random();
  auto ring = KeyRing::create(random);
  auto sealed = ring.seal(kOwner, "hush", random);
  const SealedFor others[] = {
      {TenantId{2}, "webhook", "ci", 3},       {kDefaultTenant, "key", "ci", 3},
      {kDefaultTenant, "webhook", "other", 3}, {kDefaultTenant, "webhook", "ci", 2},
      {kDefaultTenant, "webhookc", "i", 3},
  };
  for (const auto& other : others) {
    auto opened = ring.open(other, sealed);
    ASSERT_FALSE(opened.ok());
    EXPECT_EQ(opened.error().code(), "AUT-0006");
  }
}

TEST(KeyRing, DamagedTextsAreRefused) {
  auto random = system_random();
  auto ring = KeyRing::create(random);
  auto sealed = ring.seal(kOwner, "hush", random);
  auto flipped = sealed;
  flipped[10] = flipped[10] == 'A' ? 'B' : 'A';
  for (const std::string& bad : {std::string(), std::string("v1.k1."), std::string("v2.k1.AAAA"),
                                 std::string("v1.k1.????"), flipped, sealed.substr(0, 14)}) {
    EXPECT_EQ(ring.open(kOwner, bad).error().code(), "AUT-0006") << bad;
  }
}

TEST(KeyRing, ARotationSealsWithTheNewKeyAndOpensTheOld) {
  auto random = system_random();
  auto old_ring = KeyRing::create(random);
  auto old_text = old_ring.seal(kOwner, "hush", random);
  auto ring = old_ring.rotated(random);
  auto new_text = ring.seal(kOwner, "hush", random);
  EXPECT_EQ(ring.active_id(), "k2");
  EXPECT_FALSE(ring.is_current(old_text));
  EXPECT_TRUE(ring.is_current(new_text));
  EXPECT_EQ(ring.open(kOwner, old_text)->reveal(), "hush");
  EXPECT_EQ(ring.open(kOwner, new_text)->reveal(), "hush");
  auto missing = old_ring.open(kOwner, new_text);
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code(), "AUT-0007");
}

TEST(KeyRing, ItsJsonReadsBack) {
  auto random = system_random();
  auto ring = KeyRing::create(random).rotated(random);
  auto sealed = ring.seal(kOwner, "hush", random);
  auto again = KeyRing::parse(ring.to_json());
  ASSERT_TRUE(again.ok()) << again.error().describe();
  EXPECT_EQ(again->open(kOwner, sealed)->reveal(), "hush");
  EXPECT_EQ(again->to_json(), ring.to_json());
}

TEST(KeyRing, DerivedKeysDependOnPurposeAndStartWithTheActive) {
  auto random = system_random();
  auto ring = KeyRing::create(random);
  auto rotated = ring.rotated(random);
  EXPECT_NE(ring.derive("a")[0].reveal(), ring.derive("b")[0].reveal());
  ASSERT_EQ(rotated.derive("a").size(), 2u);
  EXPECT_EQ(rotated.derive("a")[1].reveal(), ring.derive("a")[0].reveal());
}

TEST(KeyRing, BadFilesAreRefusedWithoutQuotingKeys) {
  struct Case {
    std::string json, message;
  };
  const Case cases[] = {
      {"{", "expected a JSON object"},
      {"[]", "expected a JSON object"},
      {R"({"active":"k1"})", "expected a list at /keys"},
      {R"({"active":"k1","keys":[{"id":"k1","key":"c2hvcnQ="}]})",
       "expected 32 bytes of base64 as key 'k1'"},
      {R"({"active":"k1","keys":[{"id":"a.b","key":""}]})",
       "expected an id without dots at /keys/0/id"},
      {R"({"active":"k1","keys":[]})", "the active key 'k1' is not in /keys"},
  };
  for (const auto& c : cases) {
    auto ring = KeyRing::parse(c.json);
    ASSERT_FALSE(ring.ok()) << c.json;
    EXPECT_EQ(ring.error().message(), "the key ring is not valid: " + c.message);
  }
}

TEST_F(KeyFile, IsMadeOnceAndReadAgain) {
  auto first = open_key_file(path(), random_);
  ASSERT_TRUE(first.ok()) << first.error().describe();
  struct stat info{};
  ASSERT_EQ(::stat(path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  auto second = open_key_file(path(), random_);
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(second->to_json(), first->to_json());
}

TEST_F(KeyFile, IsRefusedWhenOthersMayReadIt) {
  ASSERT_TRUE(open_key_file(path(), random_).ok());
  ASSERT_EQ(::chmod(path().c_str(), 0640), 0);
  auto ring = open_key_file(path(), random_);
  ASSERT_FALSE(ring.ok());
  EXPECT_EQ(ring.error().code(), "AUT-0008");
}

TEST_F(KeyFile, IsAFileAndNothingThatIsWaitedFor) {
  ASSERT_EQ(mkfifo(path().c_str(), 0600), 0);
  auto ring = open_key_file(path(), random_);
  ASSERT_FALSE(ring.ok());
  EXPECT_EQ(ring.error().code(), "AUT-0005");
}

TEST_F(KeyFile, ADamagedFileIsNotReplaced) {
  ASSERT_TRUE(open_key_file(path(), random_).ok());
  std::ofstream(path()) << "{}";
  auto ring = open_key_file(path(), random_);
  ASSERT_FALSE(ring.ok());
  EXPECT_EQ(ring.error().code(), "AUT-0005");
  EXPECT_EQ(std::filesystem::file_size(path()), 2u);
}

TEST_F(KeyFile, ARotatedRingReplacesTheFile) {
  auto ring = open_key_file(path(), random_);
  ASSERT_TRUE(ring.ok());
  ASSERT_TRUE(write_key_file(path(), ring->rotated(random_)).ok());
  EXPECT_EQ(open_key_file(path(), random_)->active_id(), "k2");
  EXPECT_FALSE(std::filesystem::exists(path() + ".new"));
}

}  // namespace
}  // namespace millrace::auth
