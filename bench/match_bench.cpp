// SPDX-License-Identifier: Apache-2.0
// CPU time to match one GitHub push against so many rules on one trigger, one of which matches by
// equality; against rules that no index can find; and to add a rule to so many.
#include <fmt/format.h>

#include <string>
#include <vector>

#include "figure.h"
#include "process.h"
#include "rules/index.h"

namespace millrace::bench {
namespace {

using namespace rules;

// CPU microseconds of one call, over at least a fifth of a second.
template <typename Work>
double cost_us(bool smoke, Work work) {
  const double kLongEnoughUs = smoke ? 1'000 : 200'000;
  work();
  for (int64_t calls = 1;; calls *= 2) {
    double start = own_cpu_seconds() * 1e6;
    for (int64_t i = 0; i < calls; ++i) work();
    double spent = own_cpu_seconds() * 1e6 - start;
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

double match_cost(const RuleIndex& index, const EventScope& scope, size_t expected,
                  expr::Engine& engine, bool smoke) {
  return cost_us(smoke, [&] {
    auto matches = index.match(scope, engine);
    ASSERT(matches && matches->size() == expected);
  });
}

double add_cost(const RuleIndex& index, int first_number, expr::Engine& engine) {
  constexpr int kMore = 500;
  std::vector<RulePtr> more;
  for (int i = 0; i < kMore; ++i) more.push_back(rule(first_number + i, Value(), engine));
  return cost_us(false,
                 [&] {
                   RuleIndex grown = index;
                   for (const RulePtr& one : more) grown = grown.with({one});
                 }) /
         kMore;
}

}  // namespace

std::vector<Line> match_figure(const Options& options) {
  expr::Engine engine;
  EventScope scope = push();
  std::vector<Line> lines;
  double of_ten = 0;
  for (int count : {10, 1'000, 10'000}) {
    RuleIndex index(by_equality(count, engine));
    double us = match_cost(index, scope, 1, engine, options.smoke);
    if (count == 10) of_ten = us;
    lines.push_back({.figure = fmt::format("match, {} rules, CPU per event", count),
                     .unit = "us",
                     .ours = us,
                     .floor = of_ten,
                     .aim = count == 10'000 ? 3.0 : 0});
    if (options.smoke) continue;
    lines.push_back({.figure = fmt::format("add one rule to {}, CPU", count),
                     .unit = "us",
                     .ours = add_cost(index, count, engine)});
  }
  int count = options.smoke ? 100 : 10'000;
  for (const char* op :
       {"contains", "lessthan", "endswith", "icontains", "regex", "matchwildcard"}) {
    RuleIndex index(not_indexable(count, op, engine));
    lines.push_back({.figure = fmt::format("match, CPU per rule with {} (not indexed)", op),
                     .unit = "us",
                     .ours = match_cost(index, scope, 0, engine, options.smoke) / count,
                     .aim = 0.3,
                     .aim_of = Line::AimOf::Ours});
  }
  return lines;
}

}  // namespace millrace::bench
