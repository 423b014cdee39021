// SPDX-License-Identifier: Apache-2.0
//
// index_bench: CPU time to match one GitHub push against so many rules on one trigger, one of which
// matches by equality; against rules that no index can find; and to add 500 rules to so many one by
// one.
#include <fmt/format.h>
#include <sys/resource.h>

#include <string>
#include <vector>

#include "rules/index.h"

namespace millrace::rules {
namespace {

double cpu_us() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
         static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

// CPU microseconds of one call, over at least a fifth of a second.
template <typename Work>
double cost_us(Work work) {
  constexpr double kLongEnoughUs = 200'000;
  work();
  for (int64_t calls = 1;; calls *= 2) {
    double start = cpu_us();
    for (int64_t i = 0; i < calls; ++i) work();
    double spent = cpu_us() - start;
    if (spent > kLongEnoughUs) return spent / static_cast<double>(calls);
  }
}

Value test(std::string_view op, Value pattern) {
  return Value::map({{"type", op}, {"pattern", std::move(pattern)}});
}

RulePtr rule(int number, Value criteria, expr::Engine& engine) {
  RuleSpec spec{.ref = fmt::format("p.r{}", number), .trigger = "core.webhook"};
  spec.criteria = std::move(criteria);
  return compile(std::move(spec), RuleId(number), 1, engine).value();
}

EventScope push() {
  Value commits = Value::list();
  for (int i = 0; i < 20; ++i) {
    commits.push_back(Value::map({{"id", fmt::format("{:040x}", i)}, {"message", "mend it"}}));
  }
  Value repository = Value::map({{"name", "repo7"}, {"full_name", "stone/repo7"}});
  Value body = Value::map({{"ref", "refs/heads/main"},
                           {"before", std::string(40, 'a')},
                           {"repository", repository},
                           {"commits", commits}});
  return {.event = event_value(EventId(1), "core.webhook", 0, Value::map({{"body", body}}), {})};
}

// Each rule wants another repository, on main.
std::vector<RulePtr> by_equality(int count, expr::Engine& engine) {
  std::vector<RulePtr> rules;
  for (int i = 0; i < count; ++i) {
    rules.push_back(rule(i,
                         Value::map({{"trigger.body.ref", test("equals", "refs/heads/main")},
                                     {"trigger.body.repository.full_name",
                                      test("equals", fmt::format("stone/repo{}", i))}}),
                         engine));
  }
  return rules;
}

std::vector<RulePtr> not_indexable(int count, std::string_view op, expr::Engine& engine) {
  std::vector<RulePtr> rules;
  for (int i = 0; i < count; ++i) {
    rules.push_back(rule(
        i, Value::map({{"trigger.body.repository.full_name", test(op, fmt::format("none{}$", i))}}),
        engine));
  }
  return rules;
}

void run() {
  expr::Engine engine;
  EventScope scope = push();
  auto match_cost = [&](const RuleIndex& index, size_t expected) {
    return cost_us([&] {
      auto matches = index.match(scope, engine);
      ASSERT(matches && matches->size() == expected);
    });
  };
  double of_ten = 0;
  for (int count : {10, 1'000, 10'000}) {
    RuleIndex index(by_equality(count, engine));
    double us = match_cost(index, 1);
    if (count == 10) of_ten = us;
    constexpr int kMore = 500;
    std::vector<RulePtr> more;
    for (int i = 0; i < kMore; ++i) more.push_back(rule(count + i, Value(), engine));
    double add = cost_us([&] {
      RuleIndex grown = index;
      for (const RulePtr& one : more) grown = grown.with({one});
    });
    fmt::print(
        "{:>6} rules, one match by equality: {:8.2f} us/event, {:.2f}x of 10 rules; "
        "adding one rule {:8.1f} us\n",
        count, us, us / of_ten, add / kMore);
  }
  for (const char* op :
       {"contains", "lessthan", "endswith", "icontains", "regex", "matchwildcard"}) {
    constexpr int kCount = 10'000;
    RuleIndex index(not_indexable(kCount, op, engine));
    double us = match_cost(index, 0);
    fmt::print("{:>6} rules with {:13}: {:.3f} us per rule that cannot be indexed\n", kCount, op,
               us / kCount);
  }
}

}  // namespace
}  // namespace millrace::rules

int main() { millrace::rules::run(); }
