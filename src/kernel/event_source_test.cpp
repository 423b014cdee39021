// SPDX-License-Identifier: Apache-2.0
#include "kernel/event_source.h"

#include <gtest/gtest.h>

namespace millrace::kernel {
namespace {

TEST(EventSource, WhatTheServerSaysNobodyElseMay) {
  for (auto kind : {SourceKind::Webhook, SourceKind::Timer, SourceKind::Execution}) {
    auto own = own_source(kind, "x");
    auto prefix = reserved_prefix(own);
    EXPECT_FALSE(prefix.empty()) << own;
    EXPECT_EQ(own, std::string(prefix) + "x");
    EXPECT_EQ(reserved_prefix("\t" + own), prefix) << own;
  }
  EXPECT_EQ(reserved_prefix("EXECUTION:1"), "execution:");
  for (const char* free :
       {"", "webhook", "webhooks:x", "x-webhook:y", "https://timer:80", "millrace-cli"}) {
    EXPECT_EQ(reserved_prefix(free), "") << free;
  }
}

}  // namespace
}  // namespace millrace::kernel
