// SPDX-License-Identifier: Apache-2.0
#include "services/grpc/rates.h"

#include <gtest/gtest.h>

namespace millrace::rpc {
namespace {

TEST(Rates, EachClientHasItsOwn) {
  Rates rates({.limit = 1, .per_ms = 1000, .burst = 1});
  EXPECT_TRUE(rates.take("a", 0).ok());
  EXPECT_FALSE(rates.take("a", 0).ok());
  EXPECT_TRUE(rates.take("b", 0).ok());
}

TEST(Rates, TheOneThatCalledLongestAgoIsForgotten) {
  Rates rates({.limit = 1, .per_ms = 1'000'000, .burst = 1}, 2);
  EXPECT_TRUE(rates.take("a", 0).ok());
  EXPECT_TRUE(rates.take("b", 0).ok());
  EXPECT_FALSE(rates.take("a", 0).ok());
  EXPECT_TRUE(rates.take("c", 0).ok());
  EXPECT_EQ(rates.known(), 2u);
  EXPECT_FALSE(rates.take("a", 0).ok());
  EXPECT_TRUE(rates.take("b", 0).ok());
}

}  // namespace
}  // namespace millrace::rpc
