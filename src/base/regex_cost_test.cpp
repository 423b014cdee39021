// SPDX-License-Identifier: Apache-2.0
#include "base/regex_cost.h"

#include <gtest/gtest.h>
#include <re2/re2.h>

#include <string>

#include "base/test_support.h"

namespace millrace {
namespace {

std::string refusal(const std::string& pattern) {
  return regex_demand(pattern, false, pattern.size()).refusal;
}
uint64_t steps(const std::string& pattern, bool ignore_case = false) {
  auto demand = regex_demand(pattern, ignore_case, pattern.size());
  EXPECT_EQ(demand.refusal, "") << pattern;
  return demand.steps;
}

TEST(RegexDemand, TellsTheLimitAndWhatWasFound) {
  EXPECT_EQ(refusal(std::string(10'000, 'a')), "");
  EXPECT_EQ(refusal(std::string(10'001, 'a')),
            "expected at most 10000 bytes in a pattern, found 10001");
  EXPECT_EQ(regex_demand("short", false, 20'000).refusal,
            "expected at most 10000 bytes in a pattern, found 20000");
  EXPECT_EQ(refusal(repeated("\\pL", 64)), "");
  EXPECT_EQ(refusal(repeated("\\pL", 65)),
            "expected at most 64 classes of Unicode (\\p, and what \\w, \\d and \\s make) in a "
            "pattern, found 65");
  EXPECT_EQ(refusal(repeated("a{9}", 256)), "");
  EXPECT_EQ(refusal(repeated("a{1000}", 257)),
            "expected at most 256 counted repetitions in a pattern, found 257");
}

TEST(RegexDemand, FindsClassesWhereverRe2ReadsThem) {
  for (const char* one : {"\\p{Greek}", "[\\PL-]", "[^\\\\\\pL]", "(?i:\\pN)", "\\Q\\\\E\\pL"}) {
    EXPECT_NE(refusal(repeated(one, 100)), "") << one;
  }
  // A backslash that is meant, a quotation, numbers of characters: none is a class or repeats.
  for (const char* none : {"C:\\\\programs", "\\Q\\pL{9}\\E", "\\x{10ffff}", "{a}", "\\{1"}) {
    EXPECT_EQ(refusal(repeated(none, 300)), "") << none;
  }
  for (const char* end : {"\\", "(?", "(?i", "{", "\\p{", "\\Q", "\\x{"}) EXPECT_GT(steps(end), 0U);
}

TEST(RegexDemand, CostsMoreWhereCaseIsIgnored) {
  std::string classes = repeated("\\pL", 60);
  EXPECT_GE(steps(classes), 60U * 4000);
  EXPECT_GE(steps(classes, true), 60U * 8000);
  EXPECT_EQ(steps("(?si)" + classes), steps("(?si)" + classes, true));
  EXPECT_EQ(steps("(?U-i)x"), steps("(?U-i)x"));
  EXPECT_LT(steps("^[0-9a-f]{40}$"), 5000U);
}

// What is not refused takes at most some 60 ms, in steps.
TEST(RegexDemand, IsBoundedForWhatIsNotRefused) {
  std::string worst = "(?i)" + repeated("\\PL", 64) + repeated("a{1000}", 256);
  worst += std::string(10'000 - worst.size(), '.');
  EXPECT_LT(steps(worst), 1'200'000U);
}

}  // namespace
}  // namespace millrace
