// SPDX-License-Identifier: Apache-2.0
#include <random>

#include "conductor/test_rig.h"

namespace millrace::conductor {
namespace {

// Maps, lists and plain values under few names, so that they meet.
Value random_value(std::mt19937& random, int depth) {
  switch (depth > 0 ? random() % 4 : random() % 2) {
    case 0: return static_cast<int64_t>(random() % 3);
    case 1: return Value::list().push_back(static_cast<int64_t>(random() % 2));
    default: break;
  }
  Value map = Value::map();
  for (unsigned i = random() % 3; i > 0; --i) {
    map.set(std::string(1, static_cast<char>('a' + random() % 2)), random_value(random, depth - 1));
  }
  return map;
}

// A loop that publishes what it is given merges as if no context had ever been left out.
TEST(Contexts, LeftOutOnesAreNotMissed) {
  std::mt19937 random(1);
  for (int round = 0; round < 50; ++round) {
    SCOPED_TRACE(round);
    Rig run(R"(
vars: [{x: {a: {a: 1}}}]
tasks:
  start: {next: [{do: a}]}
  a:
    next:
      - {when: <% result().k = x %>, publish: [{x: <% result().v %>}], do: b}
      - {when: <% result().k = y %>, publish: [{y: <% result().v %>}], do: b}
  b: {next: [{do: a}]}
)",
            Value::map(), expr::Mode::Native);
    run.succeed("start");
    for (int i = 0; i < 8; ++i) {
      std::string name = random() % 2 ? "x" : "y";
      Value value = random_value(random, 2);
      run.succeed("a", Value::map({{"k", name}, {"v", value}}));
      run.succeed("b");
      const State& state = run.state();
      Value merged = Value::map();
      for (const Value& context : state.contexts) merge_into(merged, context);
      ASSERT_EQ(run.offered("a").ctx, merged);
    }
  }
}

}  // namespace
}  // namespace millrace::conductor
