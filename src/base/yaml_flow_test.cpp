// SPDX-License-Identifier: Apache-2.0
#include "base/yaml_flow.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <random>
#include <string>

#include "base/test_support.h"
#include "base/yaml.h"

namespace millrace {
namespace {

long most_memory_kib() {
  rusage use{};
  getrusage(RUSAGE_SELF, &use);
  return use.ru_maxrss;
}

// A megabyte took 236 MiB before it was refused for its depth.
TEST(YamlFlow, AMegabyteOfBracketsIsRefusedBeforeItIsRead) {
  for (std::string_view part : {"[", "{", "[{", "[[],", "{a: ", "[a: ", "[1,", "{? ", "{\"a\":[",
                                "[*a,", "[!x [", "['it''s',"}) {
    for (std::string_view head :
         {"", "a: ", "- ", "? ", "- a: x\n  b: ", "a: |\n b\nc: ", "--- &x ", "'k': ", "a:\n  "}) {
      auto text = std::string(head) + repeated(part, (1 << 20) / part.size() - 20);
      long before = most_memory_kib();
      auto refused = parse_yaml(text, "x.yaml");
      ASSERT_FALSE(refused.ok()) << head << part;
      EXPECT_LT(most_memory_kib() - before, 32 << 10) << head << part;
    }
  }
}

TEST(YamlFlow, TheFaultNamesItsLine) {
  auto refused = parse_yaml("a: 1\nb: [\n" + repeated("[", 70), "x.yaml");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().problems().at(0).path, "x.yaml:3");
  EXPECT_EQ(refused.error().problems().at(0).message, "nested deeper than 64 levels");
}

TEST(YamlFlow, BracketsThatAreTextDoNotCount) {
  std::string many = repeated("[{", 500);
  for (const auto& text :
       {"a: |\n  " + many + "\n\n  " + many + "\nb: 1\n", "a: >-\n  " + many + "\n",
        "- - k: |\n      " + many + "\n    l: 1\n", "a: \"" + many + "\n  " + many + "\"\n",
        "a: '" + many + "'' " + many + "'\n", "a: x " + many + "\n", "a: x\n  " + many + "\n",
        "# " + many + "\na: 1 # " + many + "\n", "a: [\"" + many + "\", '" + many + "'] # " + many,
        "|\n  " + many + "\n", "a: [it's, don't, \"" + many + "\"]\n", "- x\n\n  " + many + "\n",
        "a: {b: \"\\\"" + many + "\"}\n", "a:\n  |\n  " + many + "\n", "? a\n: |\n  " + many + "\n",
        "a: !t |\n  " + many + "\n"}) {
    EXPECT_FALSE(find_flow_fault(text, 64, 100'000)) << text.substr(0, 40);
  }
}

size_t depth_of(const Value& value) {
  size_t deepest = 0;
  if (value.is_list()) {
    for (const auto& item : value.as_list()) deepest = std::max(deepest, depth_of(item));
  } else if (value.is_map()) {
    for (const auto& entry : value.as_map()) deepest = std::max(deepest, depth_of(entry.value));
  } else {
    return 0;
  }
  return deepest + 1;
}

size_t count_nodes(const YamlNode& node) {
  size_t count = 1;
  for (const YamlNode& child : node.children) {
    count += count_nodes(child) + (node.value.is_map() ? 1 : 0);
  }
  return count;
}

// What it finds fault with the parser refuses, or it nests so deep.
TEST(YamlFlow, NoGoodTextIsRefused) {
  constexpr std::string_view kParts[] = {
      "[",  "{",  "]", "}",  ",",   ":",   ": ", "a",    "\n",    "'",   "\"", "#",   " # ",
      "- ", "? ", " ", "  ", "|\n", ">\n", "b",  "\n  ", "\na: ", "&a ", "*a", "!t ", "\\"};
  std::mt19937 random(7);  // NOLINT(cert-msc51-cpp): the same texts each time
  int faults = 0, good = 0;
  for (int i = 0; i < 60'000; ++i) {
    std::string text = i % 2 == 0 ? "a: " : "";
    for (size_t n = random() % 14; n > 0; --n) text += kParts[random() % std::size(kParts)];
    auto fault = find_flow_fault(text, 2, 4);
    auto read = parse_yaml(text, "x");
    good += read.ok() ? 1 : 0;
    if (!fault) continue;
    ++faults;
    if (!read.ok()) continue;
    if (fault->fault == YamlFlow::Fault::TooDeep) {
      ASSERT_GE(depth_of(read->value), 2U) << text;
    } else {
      ASSERT_GT(count_nodes(*read), 4U) << text;
    }
  }
  EXPECT_GT(faults, 1000);
  EXPECT_GT(good, 1000);
}

}  // namespace
}  // namespace millrace
