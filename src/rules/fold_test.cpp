// SPDX-License-Identifier: Apache-2.0
#include "rules/fold.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <re2/re2.h>

#include <map>
#include <set>
#include <vector>

#include "expr/unicode.h"

namespace millrace::rules {
namespace {

std::string letter(char32_t c) {
  std::string out;
  expr::unicode::append(out, c);
  return out;
}

TEST(Fold, LeavesNoCaseAndKeepsTheRest) {
  EXPECT_EQ(fold("Refs/HEADS/main 1.2 [x]"), "refs/heads/main 1.2 [x]");
  EXPECT_EQ(fold("ÄÖ Straße ΣΊΣΥΦΟΣ Σίσυφος ПРИВЕТ"), "äö straße σίσυφοσ σίσυφοσ привет");
  EXPECT_EQ(fold(letter(0x212A) + letter(0x17F)), "ks");
  EXPECT_EQ(fold("İstanbul ısı"), "istanbul ısı");
  EXPECT_EQ(fold("\xff\xc3"
                 "A"),
            "\xff\xc3"
            "a");
}

// Of each code point below U+20000 that one of the two knows a case of.
TEST(Fold, IsWhatRe2TakesForEqual) {
  RE2::Options plain, ignoring;
  ignoring.set_case_sensitive(false);
  std::vector<char32_t> cased;
  for (char32_t c = 1; c < 0x20000; ++c) {
    if (expr::unicode::is_half(c) || c == 0x130) continue;
    bool known = fold(letter(c)) != letter(c) || expr::unicode::upper(letter(c)) != letter(c);
    auto text = RE2::QuoteMeta(letter(c));
    bool known_to_re2 = RE2(text, ignoring).ProgramSize() != RE2(text, plain).ProgramSize();
    if (known || known_to_re2) cased.push_back(c);
  }
  ASSERT_GT(cased.size(), 2500u);
  std::string all;
  std::map<std::string, std::set<std::string>> by_fold;
  for (char32_t c : cased) {
    all += letter(c);
    by_fold[fold(letter(c))].insert(letter(c));
  }
  for (char32_t c : cased) {
    RE2 regex("(" + RE2::QuoteMeta(letter(c)) + ")", ignoring);
    std::set<std::string> equal;
    re2::StringPiece rest(all);
    std::string found;
    while (RE2::FindAndConsume(&rest, regex, &found)) equal.insert(found);
    EXPECT_EQ(equal, by_fold[fold(letter(c))]) << fmt::format("U+{:04X}", static_cast<uint32_t>(c));
  }
}

}  // namespace
}  // namespace millrace::rules
