// SPDX-License-Identifier: Apache-2.0
// Packs of many files, each of them wrong.
#include <fmt/format.h>

#include <algorithm>

#include "base/problems.h"
#include "base/suggestions.h"
#include "base/text.h"
#include "growth.h"
#include "packs/load.h"

namespace millrace {
namespace {

using cost::grows_no_faster;

packs::PackFiles pack_of(size_t count, const char* text) {
  packs::PackFiles files{{"pack.yaml",
                          "ref: many\nname: many\ndescription: For tests.\nversion: 1.0.0\n"
                          "author: a\n"}};
  for (size_t i = 0; i < count; ++i) {
    files.emplace(fmt::format("actions/some_name_{}.yaml", i), fmt::format(fmt::runtime(text), i));
  }
  return files;
}

// Each names a file that is not there, like all that are.
TEST(PacksCost, ManyWrongFiles) {
  for (const char* text : {"name: some_name_{}\nrunner_type: shell\nentry_point: some_name.sh\n",
                           "name: some_name_{}\nrunner_type: shel\nentry_point: x\nenabld: 1\n",
                           "name: some_name_{}\nrunner_type: shell\nentry_point: x\n"
                           "parameters: {{a: {{type: strin}}}}\n"}) {
    auto make = [&](size_t n) {
      return [files = pack_of(n, text)] {
        expr::Engine engine;
        auto report = packs::check(files, engine);
        EXPECT_EQ(std::max(report.errors.size(), report.warnings.size()), kMostProblems);
      };
    };
    grows_no_faster(text, 150, make);
  }
}

TEST(PacksCost, ManyWrongRules) {
  auto make = [&](size_t n) {
    packs::PackFiles files =
        pack_of(n, "name: some_name_{}\nrunner_type: shell\nentry_point: a.sh\n");
    files.emplace("actions/a.sh", "true\n");
    for (size_t i = 0; i < n; ++i) {
      files.emplace(fmt::format("rules/r{}.yaml", i),
                    fmt::format("name: r{}\ntrigger: {{type: core.webhook}}\n"
                                "action: {{ref: many.some_nam_{}}}\n",
                                i, i));
    }
    return [files = std::move(files)] {
      expr::Engine engine;
      auto judge = [&](const RuleSpec& rule, const Pack& pack) -> std::vector<Problem> {
        std::vector<std::string> names;
        for (const auto& action : pack.actions) {
          if (WithoutSuggestions::now()) break;
          names.push_back(action.ref);
        }
        return {{"/action/ref", "unknown" + did_you_mean(rule.action, names)}};
      };
      EXPECT_EQ(packs::check(files, engine, judge).errors.size(), kMostProblems);
    };
  };
  grows_no_faster("rules of unknown actions", 150, make);
}

}  // namespace
}  // namespace millrace
