// SPDX-License-Identifier: Apache-2.0
#include "auth/crypto.h"

#include <gtest/gtest.h>

#include "base/text.h"

namespace millrace::auth {
namespace {

std::string hex(const Digest& digest) { return hex_encode(bytes_of(digest)); }

TEST(Sha256, MatchesThePublishedVectors) {
  EXPECT_EQ(hex(sha256("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hex(sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(HmacSha256, MatchesRfc4231) {
  EXPECT_EQ(hex(hmac_sha256(std::string(20, '\x0b'), {"Hi There"})),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(hex(hmac_sha256("Jefe", {"what do ya want for nothing?"})),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(hex(hmac_sha256(std::string(131, '\xaa'),
                            {"Test Using Larger Than Block-Size Key - Hash Key First"})),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST(HmacSha256, PartsAreOneText) {
  EXPECT_EQ(hmac_sha256("k", {"ab", "", "c"}), hmac_sha256("k", {"abc"}));
}

TEST(HmacSha256, AnEmptyKeyDoesNotReuseTheLastOne) {
  auto empty_first = hmac_sha256("", {"x"});
  hmac_sha256("another key", {"x"});
  EXPECT_EQ(hmac_sha256("", {"x"}), empty_first);
}

TEST(AesGcm, MatchesTheVectorOfTheSpecification) {
  // McGrew and Viega, "The Galois/Counter Mode of Operation", test case 14.
  auto box = aes_gcm_seal(std::string(32, '\0'), std::string(12, '\0'), "", std::string(16, '\0'));
  EXPECT_EQ(hex_encode(box), "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919");
}

TEST(AesGcm, OpensOnlyWhatWasSealed) {
  std::string key(32, 'k'), nonce(12, 'n');
  auto box = aes_gcm_seal(key, nonce, "row 1", "secret");
  EXPECT_EQ(aes_gcm_open(key, nonce, "row 1", box), "secret");
  EXPECT_EQ(aes_gcm_open(key, nonce, "row 2", box), std::nullopt);
  EXPECT_EQ(aes_gcm_open(std::string(32, 'x'), nonce, "row 1", box), std::nullopt);
  EXPECT_EQ(aes_gcm_open(key, nonce, "row 1", box.substr(0, 10)), std::nullopt);
  for (size_t i = 0; i < box.size(); ++i) {
    auto damaged = box;
    damaged[i] ^= 1;
    EXPECT_EQ(aes_gcm_open(key, nonce, "row 1", damaged), std::nullopt) << "byte " << i;
  }
}

TEST(ConstantTime, ComparesWholeTexts) {
  EXPECT_TRUE(equal_in_constant_time("abc", "abc"));
  EXPECT_TRUE(equal_in_constant_time("", ""));
  EXPECT_FALSE(equal_in_constant_time("abc", "abd"));
  EXPECT_FALSE(equal_in_constant_time("abc", "ab"));
}

TEST(Random, GivesOtherBytesEachTime) {
  auto random = system_random();
  EXPECT_NE(random_bytes(random, 32), random_bytes(random, 32));
}

}  // namespace
}  // namespace millrace::auth
