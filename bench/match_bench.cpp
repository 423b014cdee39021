// SPDX-License-Identifier: Apache-2.0
// CPU time to match a stream of distinct pushes against so many rules on one trigger, for each kind
// of test and a mix of them; beside rules that nothing leads to; and to add a rule to so many.
#include <fmt/format.h>

#include <string>
#include <vector>

#include "base/time.h"
#include "figure.h"
#include "process.h"
#include "rules/index.h"

namespace millrace::bench {
namespace {

using namespace rules;

constexpr int64_t kNow = 1'700'000'000'000;

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

std::string repository(int number) { return fmt::format("stone/repo{:07}.git", number); }

Value on_repository(std::string_view op, Value pattern) {
  return Value::map({{"trigger.body.repository.full_name", test(op, std::move(pattern))}});
}

// A kind of rules: the criteria of each, number by number. Of texts every second event has that of
// one rule; of numbers and times an event is matched by at most three; so that a match costs the
// same however many rules there are.
struct RuleKind {
  std::string_view name;
  Value (*criteria)(int number);
};

constexpr RuleKind kKinds[] = {
    {"equals",
     [](int i) {
       return on_repository("equals", repository(i))
           .set("trigger.body.ref", test("equals", "refs/heads/main"));
     }},
    {"in",
     [](int i) {
       return on_repository("in", ValueList{repository(i), fmt::format("stone/fork{}", i)});
     }},
    {"iequals",
     [](int i) { return on_repository("iequals", fmt::format("Stone/Repo{:07}.GIT", i)); }},
    {"contains", [](int i) { return on_repository("contains", fmt::format("/repo{:07}", i)); }},
    {"icontains", [](int i) { return on_repository("icontains", fmt::format("/REPO{:07}", i)); }},
    {"startswith",
     [](int i) { return on_repository("startswith", fmt::format("stone/repo{:07}", i)); }},
    {"istartswith",
     [](int i) { return on_repository("istartswith", fmt::format("Stone/Repo{:07}", i)); }},
    {"endswith", [](int i) { return on_repository("endswith", fmt::format("{:07}.git", i)); }},
    {"iendswith", [](int i) { return on_repository("iendswith", fmt::format("{:07}.Git", i)); }},
    {"matchwildcard",
     [](int i) { return on_repository("matchwildcard", fmt::format("*/repo{:07}*", i)); }},
    {"regex",
     [](int i) { return on_repository("regex", fmt::format("/repo{:07}\\.(git|hg)$", i)); }},
    {"iregex", [](int i) { return on_repository("iregex", fmt::format("/REPO{:07}\\b", i)); }},
    {"matchregex",
     [](int i) { return on_repository("matchregex", fmt::format("[a-z]+/repo{:07}", i)); }},
    {"greaterthan",
     [](int i) { return Value::map({{"trigger.body.few", test("greaterthan", i)}}); }},
    {"lessthan", [](int i) { return Value::map({{"trigger.body.minus", test("lessthan", -i)}}); }},
    {"a range",
     [](int i) {
       return Value::map({{"trigger.body.number#low", test("greaterthan", i - 0.5)},
                          {"trigger.body.number#high", test("lessthan", i + 0.5)}});
     }},
    {"timediff_gt",
     [](int i) { return Value::map({{"trigger.body.past", test("timediff_gt", i)}}); }},
    {"timediff_lt",
     [](int i) { return Value::map({{"trigger.body.future", test("timediff_lt", -i)}}); }},
    {"exists, each elsewhere",
     [](int i) {
       return Value::map(
           {{fmt::format("trigger.body.keys.k{}", i), Value::map({{"type", "exists"}})}});
     }},
    {"any of a tree",
     [](int i) {
       Value either = Value::list();
       either.push_back(on_repository("equals", repository(i)));
       either.push_back(Value::map({{"trigger.body.ref", test("endswith", fmt::format("/{}", i))},
                                    {"trigger.body.few", test("greaterthan", 0)}}));
       return Value::map({{"any", either}});
     }},
};

RulePtr rule(int number, Value criteria, expr::Engine& engine) {
  RuleSpec spec{.ref = fmt::format("p.r{}", number), .trigger = "core.webhook"};
  spec.criteria = std::move(criteria);
  return compile(std::move(spec), RuleId(number), 1, engine).value();
}

// Pushes that differ. Every second is of the repository of one of so many rules.
std::vector<EventScope> pushes(int rules) {
  constexpr int kPushes = 512;
  std::vector<EventScope> out;
  for (int e = 0; e < kPushes; ++e) {
    int number = static_cast<int>(int64_t{e} * 7919 % rules);
    bool is_of_a_rule = e % 2 == 0;
    int few = e % 4;
    Value commits = Value::list();
    for (int i = 0; i < 20; ++i) {
      commits.push_back(
          Value::map({{"id", fmt::format("{:040x}", e * 20 + i)}, {"message", "mend it"}}));
    }
    std::string name = repository(is_of_a_rule ? number : 5'000'000 + e);
    Value body = Value::map({{"ref", "refs/heads/main"},
                             {"before", std::string(40, 'a')},
                             {"repository", Value::map({{"id", e}, {"full_name", name}})},
                             {"few", few},
                             {"minus", -few},
                             {"number", is_of_a_rule ? number : -1},
                             {"past", to_rfc3339(kNow - few * 1000)},
                             {"future", to_rfc3339(kNow + few * 1000)},
                             {"keys", Value::map({{fmt::format("k{}", number), true}})},
                             {"commits", commits}});
    out.push_back(
        {.event = event_value(EventId(e + 1), "core.webhook", 0, Value::map({{"body", body}}), {}),
         .now_ms = kNow});
  }
  return out;
}

// Microseconds an event, and how many matched.
std::pair<double, size_t> match_cost(const RuleIndex& index, const std::vector<EventScope>& events,
                                     expr::Engine& engine, bool smoke) {
  size_t matched = 0;
  double us = cost_us(smoke, [&] {
    matched = 0;
    for (const EventScope& event : events) matched += index.match(event, engine).value().size();
  });
  return {us / static_cast<double>(events.size()), matched};
}

// `kind` is null: each rule of the next kind.
std::vector<RulePtr> rules_of(const RuleKind* kind, int first, int count, expr::Engine& engine) {
  std::vector<RulePtr> rules;
  for (int i = first; i < first + count; ++i) {
    // By sevens: ten rules of a mix are of kinds that differ.
    const RuleKind& own = kind ? *kind : kKinds[static_cast<size_t>(i) * 7 % std::size(kKinds)];
    rules.push_back(rule(i, own.criteria(i), engine));
  }
  return rules;
}

void kind_lines(const RuleKind* kind, const Options& options, std::vector<Line>& lines) {
  expr::Engine engine;
  std::string name(kind ? kind->name : "a mix");
  double of_ten = 0;
  size_t matched_of_ten = 0;
  for (int count : {10, 1'000, 10'000, 100'000}) {
    if (options.smoke && count > 100) break;
    std::vector<RulePtr> rules = rules_of(kind, 0, count, engine);
    RuleIndex index(std::move(rules));
    auto [us, matched] = match_cost(index, pushes(count), engine, options.smoke);
    if (count == 10) {
      of_ten = us;
      matched_of_ten = matched;
    }
    // Of a mix every rule number is of one kind.
    if (kind && matched != matched_of_ten) give_up(name + ": the matches differ");
    lines.push_back({.figure = fmt::format("match, {} rules by {}, CPU per event", count, name),
                     .unit = "us",
                     .ours = us,
                     .floor = of_ten,
                     .aim = count == 10'000 ? 3.0 : 0});
  }
}

void add_lines(const Options& options, std::vector<Line>& lines) {
  expr::Engine engine;
  double of_ten = 0;
  for (int count : {10, 1'000, 10'000, 100'000}) {
    if (options.smoke && count > 100) break;
    int kMore = options.smoke ? 20 : 500;
    RuleIndex index(rules_of(nullptr, 0, count, engine));
    std::vector<RulePtr> more = rules_of(nullptr, count, kMore, engine);
    RuleIndex grown;
    double us = cost_us(options.smoke,
                        [&] {
                          grown = index;
                          for (const RulePtr& one : more) grown = grown.with({one});
                        }) /
                kMore;
    if (count == 10) of_ten = us;
    lines.push_back({.figure = fmt::format("add one rule to {}, CPU", count),
                     .unit = "us",
                     .ours = us,
                     .floor = of_ten,
                     .aim = count == 10'000 ? 1.5 : 0});
    if (count != 10'000) continue;
    std::vector<EventScope> events = pushes(count);
    double at_once = match_cost(index, events, engine, options.smoke).first;
    lines.push_back({.figure = "match, 10,000 rules and 500 that came one by one, CPU per event",
                     .unit = "us",
                     .ours = match_cost(grown, events, engine, options.smoke).first,
                     .floor = at_once});
  }
}

// What nothing leads to.
void one_by_one_lines(const Options& options, std::vector<Line>& lines) {
  expr::Engine engine;
  int count = options.smoke ? 100 : 10'000;
  for (std::string_view op : {"nequals", "ncontains", "incontains", "regex"}) {
    std::vector<RulePtr> rules;
    for (int i = 0; i < count; ++i) {
      Value pattern = op == "regex"     ? Value(fmt::format("^[^s][a-z]{{{}}}", i % 9 + 1))
                      : op == "nequals" ? Value(repository(7))
                                        : Value("stone");
      rules.push_back(rule(i, on_repository(op, pattern), engine));
    }
    EventScope event = std::move(pushes(8)[1]);
    event.event = event_value(
        EventId(1), "core.webhook", 0,
        Value::map(
            {{"body", Value::map({{"repository", Value::map({{"full_name", repository(7)}})}})}}),
        {});
    lines.push_back(
        {.figure = fmt::format("match, CPU per rule with {} (one by one)", op),
         .unit = "us",
         .ours = match_cost(RuleIndex(rules), {event}, engine, options.smoke).first / count,
         .aim = 0.3,
         .aim_of = Line::AimOf::Ours});
  }
}

}  // namespace

std::vector<Line> match_figure(const Options& options) {
  std::vector<Line> lines;
  for (const RuleKind& kind : kKinds) {
    if (options.wants(kind.name)) kind_lines(&kind, options, lines);
  }
  if (options.wants("a mix")) kind_lines(nullptr, options, lines);
  if (options.wants("add one rule")) add_lines(options, lines);
  if (options.wants("one by one")) one_by_one_lines(options, lines);
  return lines;
}

}  // namespace millrace::bench
