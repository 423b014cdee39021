// SPDX-License-Identifier: Apache-2.0
#include "services/worker/mask.h"

#include <gtest/gtest.h>

#include <random>

namespace millrace::worker {
namespace {

std::shared_ptr<const SecretSet> secrets(std::vector<std::string> list) {
  return std::make_shared<const SecretSet>(std::move(list));
}

std::string mask(const std::shared_ptr<const SecretSet>& set, std::string_view text) {
  Masker masker(set);
  std::string out(masker.feed(text));
  return out += masker.finish();
}

// The definition, written the slow way: a byte is hidden when an occurrence covers it.
std::string mask_slowly(const std::vector<std::string>& list, std::string_view text) {
  std::vector<bool> hidden(text.size());
  for (const auto& secret : list) {
    for (size_t at = text.find(secret); at != text.npos; at = text.find(secret, at + 1)) {
      std::fill_n(hidden.begin() + static_cast<ptrdiff_t>(at), secret.size(), true);
    }
  }
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (!hidden[i]) {
      out += text[i];
    } else if (i == 0 || !hidden[i - 1]) {
      out += kMask;
    }
  }
  return out;
}

TEST(Masker, HidesEverySecretAndItsOverlaps) {
  auto set = secrets({"abcd", "cdef", "abcdxyz"});
  EXPECT_EQ(mask(set, "1abcd2"), "1********2");
  EXPECT_EQ(mask(set, "1abcdef2"), "1********2");
  EXPECT_EQ(mask(set, "1abcdxyz2"), "1********2");
  EXPECT_EQ(mask(set, "abc abcdx"), "abc ********x");
  EXPECT_EQ(mask(set, "abcdabcd"), "********");
}

// What was printed, put together again from what is stored and what was hidden.
std::string reveal(std::string_view stored, const std::vector<kernel::Hidden>& hidden,
                   const std::vector<std::string>& list) {
  return kernel::reveal(stored, hidden, list);
}

TEST(Masker, TellsWhatItHasHidden) {
  const std::vector<std::string> list = {"no", "abcd", "cdef", "abcdxyz", "********"};
  for (std::string_view text : {"1abcd2", "1abcdef2", "abcdxyz", "abcdabcd cdef", "a ******** b",
                                "nothing", "", "abcdefabcdef x cdefcdef"}) {
    Masker masker(secrets(list));
    std::string stored;
    for (char c : text) stored += masker.feed({&c, 1});
    stored += masker.finish();
    EXPECT_EQ(reveal(stored, masker.take_hidden(), list), text);
  }
}

// Counted in bytes of secrets and text, not in one times the other: slow machines end this too.
TEST(Masker, CostsWhatTheTextIsLong) {
  std::vector<std::string> many;
  for (int i = 0; i < 50'000; ++i) many.push_back("a" + std::to_string(10'000 + i));
  std::string text(4 << 20, 'a');
  EXPECT_EQ(mask(secrets(many), text), text);
  // One that nearly matches at every place, in pieces.
  Masker masker(secrets({std::string(100'000, 'a') + "c"}));
  std::string out;
  for (int i = 0; i < 20'000; ++i) out += masker.feed("aaaaaaaaab");
  out += masker.finish();
  EXPECT_EQ(out.size(), 200'000U);
  // Secrets within secrets.
  std::vector<std::string> nested;
  for (size_t length = 4; length < 600; ++length) nested.emplace_back(length, 'a');
  EXPECT_EQ(mask(secrets(nested), std::string(1 << 20, 'a')), kMask);
}

TEST(Masker, LeavesShortSecretsAlone) {
  auto set = secrets({"", "1", "yes"});
  EXPECT_TRUE(set->empty());
  EXPECT_EQ(mask(set, "yes, 1"), "yes, 1");
}

TEST(Masker, HoldsBackOnlyWhatMayBecomeASecret) {
  Masker masker(secrets({"password"}));
  EXPECT_EQ(masker.feed("enter: pass"), "enter: ");
  EXPECT_EQ(masker.feed("port\n"), "passport\n");
  EXPECT_EQ(masker.feed("passw"), "");
  EXPECT_EQ(masker.finish(), "passw");
}

TEST(Masker, HidesSecretsWithBytesThatAreNoText) {
  EXPECT_EQ(mask(secrets({std::string("\0\xff\0k", 4)}), std::string_view("a\0\xff\0kb", 6)),
            "a********b");
}

TEST(Masker, GivesTheSameForEverySplit) {
  std::mt19937 random(20260730);
  auto below = [&](size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random); };
  auto word = [&](size_t length) {
    std::string text;
    while (text.size() < length) text += "ab"[below(2)];  // few letters, many overlaps
    return text;
  };
  for (int round = 0; round < 3000; ++round) {
    std::vector<std::string> list;
    for (size_t i = 0; i <= below(4); ++i) list.push_back(word(4 + below(6)));
    std::string text = word(below(80));
    std::string expected = mask_slowly(list, text);

    Masker masker(secrets(list));
    std::string out;
    for (size_t at = 0; at < text.size();) {
      size_t piece = std::min(1 + below(12), text.size() - at);
      out += masker.feed(std::string_view(text).substr(at, piece));
      ASSERT_TRUE(expected.starts_with(out)) << "round " << round;
      at += piece;
    }
    out += masker.finish();
    ASSERT_EQ(out, expected) << "round " << round;
    ASSERT_EQ(reveal(out, masker.take_hidden(), list), text) << "round " << round;
  }
}

}  // namespace
}  // namespace millrace::worker
