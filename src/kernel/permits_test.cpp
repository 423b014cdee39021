// SPDX-License-Identifier: Apache-2.0
#include "kernel/permits.h"

#include <gtest/gtest.h>

namespace millrace::kernel {
namespace {

TEST(PermitUse, IsReadAsItWasWritten) {
  PermitUse use{.run = {ExecutionId{123456789012345}, 3, 7}, .home = 42, .number = 99};
  EXPECT_EQ(parse_permit_use(to_text(use)), use);
}

TEST(PermitUse, OfAnotherTextIsNone) {
  for (const char* text : {"", "run", "run ", "run 1 2 3 4", "run 1 2 3 4 5 6", "run 1 2 3 4 5 ",
                           "run  1 2 3 4 5", "run 1 2 3 4 x", "run 1 -2 3 4 5", "ran 1 2 3 4 5",
                           "run 1 2147483648 3 4 5", "run 99999999999999999999 2 3 4 5"}) {
    EXPECT_FALSE(parse_permit_use(text)) << text;
  }
}

}  // namespace
}  // namespace millrace::kernel
