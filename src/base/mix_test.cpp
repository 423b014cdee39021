// SPDX-License-Identifier: Apache-2.0
#include "base/mix.h"

#include <gtest/gtest.h>

namespace millrace {
namespace {

// The first outputs of the reference implementation with seed 0: stored shards rest on them.
TEST(Mix, GivesWhatTheReferenceGives) {
  EXPECT_EQ(mix64(kGolden64), 0xE220A8397B1DCDAFULL);
  EXPECT_EQ(mix64(2 * kGolden64), 0x6E789E6AA1B965F4ULL);
  EXPECT_EQ(mix64(3 * kGolden64), 0x06C45D188009454FULL);
}

}  // namespace
}  // namespace millrace
