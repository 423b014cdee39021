// SPDX-License-Identifier: Apache-2.0
#include "shrink.h"

#include <algorithm>

namespace millrace::sim {

std::optional<Violation> run_plan(SimStore& store, const Plan& plan, Coverage& coverage,
                                  std::function<void(std::string)> trace, uint64_t* hash) {
  World world(store, plan.seed, coverage);
  auto violation = world.run(plan, std::move(trace));
  if (hash) *hash = world.hash();
  return violation;
}

bool same_kind(const Violation& a, const Violation& b) {
  auto words = [](const Violation& violation) {
    std::string text = violation.promise + ' ';
    int depth = 0;
    for (char c : violation.what) {
      if (c == '(') ++depth;
      if (depth == 0 && (c < '0' || c > '9')) text += c;
      if (c == ')') --depth;
    }
    return text;
  };
  return words(a) == words(b);
}

Plan shrink(SimStore& store, Plan plan, const Violation& wanted, int most) {
  Coverage ignored;
  auto still_fails = [&](const Plan& candidate) {
    if (--most < 0) return false;
    auto violation = run_plan(store, candidate, ignored);
    return violation && same_kind(*violation, wanted);
  };
  for (size_t part = std::max<size_t>(1, plan.ops.size() / 2); part >= 1 && most > 0;) {
    bool any = false;
    for (size_t at = 0; at < plan.ops.size() && most > 0;) {
      Plan without = plan;
      auto from = without.ops.begin() + static_cast<ptrdiff_t>(at);
      without.ops.erase(
          from, without.ops.begin() + static_cast<ptrdiff_t>(std::min(at + part, plan.ops.size())));
      if (still_fails(without)) {
        plan = std::move(without);
        any = true;
      } else {
        at += part;
      }
    }
    if (part == 1 && !any) break;
    part = std::max<size_t>(1, part / 2);
  }
  return plan;
}

}  // namespace millrace::sim
