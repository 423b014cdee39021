// SPDX-License-Identifier: Apache-2.0
#include "packs/templates.h"

#include <gtest/gtest.h>

#include "packs/load.h"
#include "rules/check.h"

namespace millrace::packs {
namespace {

TEST(Templates, OneOfEachKindChecksWithoutAWord) {
  expr::Engine engine;
  for (const auto& kind : template_kinds()) {
    auto files = new_pack("tea-shop");
    auto things = new_things("tea-shop", {kind});
    ASSERT_TRUE(things.ok()) << kind;
    EXPECT_FALSE(things->empty()) << kind;
    files.merge(*things);
    auto report = check(files, engine);
    EXPECT_TRUE(report.errors.empty()) << kind << ": " << report.errors.front().message;
    for (const auto& warning : report.warnings) {
      bool has_no_effect_yet = warning.message.find(" yet") != std::string::npos;
      EXPECT_TRUE(has_no_effect_yet) << kind << ": " << warning.path << warning.message;
    }
  }
}

TEST(Templates, AllKindsGoTogether) {
  expr::Engine engine;
  auto files = new_pack("tea");
  files.merge(*new_things("tea", template_kinds()));
  auto report = check(files, engine);
  EXPECT_TRUE(report.errors.empty());
  EXPECT_EQ(report.pack.actions.size(), 3U);
  EXPECT_TRUE(report.pack.find_trigger("tea.seen"));
}

TEST(Templates, SayWhatThereIs) {
  auto unknown = new_things("tea", {"shel"});
  ASSERT_FALSE(unknown.ok());
  EXPECT_NE(unknown.error().message().find("did you mean 'shell'"), std::string::npos);
  EXPECT_FALSE(new_things("Tea Shop", {}).ok());
}

}  // namespace
}  // namespace millrace::packs
