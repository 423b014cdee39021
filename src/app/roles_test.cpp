// SPDX-License-Identifier: Apache-2.0
#include "app/roles.h"

#include <gtest/gtest.h>

namespace millrace::app {
namespace {

TEST(Roles, AreReadAndWrittenInOneOrder) {
  auto roles = Roles::parse(" worker,api").value();
  EXPECT_TRUE(roles.has(Role::Api));
  EXPECT_TRUE(roles.has(Role::Worker));
  EXPECT_FALSE(roles.has(Role::Executor));
  EXPECT_EQ(roles.text(), "api,worker");
  EXPECT_EQ(Roles::parse(Roles::all().text()).value(), Roles::all());
}

TEST(Roles, WhatIsNoneIsRefused) {
  for (const auto* text : {"", "api,", "apis", "api executor", "API"}) {
    auto roles = Roles::parse(text);
    ASSERT_FALSE(roles.ok()) << text;
    EXPECT_EQ(roles.error().code(), "APP-0036") << text;
  }
}

}  // namespace
}  // namespace millrace::app
