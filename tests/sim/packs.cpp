// SPDX-License-Identifier: Apache-2.0
#include "packs.h"

#include <array>

#include "workflow_harness.h"

namespace millrace::sim {

namespace {

constexpr const char* kWaits = R"(
tasks:
  wait: {action: core.sleep, input: {seconds: 7}, next: [{do: after}]}
  after: {action: ci.check}
)";
constexpr const char* kNested = R"(
tasks:
  left: {action: ci.fork, next: [{do: last}]}
  right: {action: ci.above_one, next: [{do: last}]}
  last: {join: all, action: ci.build}
)";
constexpr const char* kTells = R"(
tasks:
  tell: {action: core.inject_trigger, input: {trigger: ci.push, payload: {branch: other}},
    next: [{do: again}]}
  again: {action: core.inject_trigger, input: {trigger: ci.push, payload: {branch: main}}}
)";
// Some ends inside the server in one decision.
constexpr const char* kLoop = R"(
vars: [{i: 0}]
tasks:
  begin: {action: core.noop, next: [{do: turn}]}
  turn:
    action: core.noop
    next: [{when: <% ctx().i < 6 %>, publish: [{i: <% ctx().i + 1 %>}], do: turn}]
)";
constexpr const char* kExpires = R"(
tasks:
  ask: {action: core.ask, input: {ttl: 1}, next: [{when: <% succeeded() %>, do: after},
    {when: <% failed() %>, do: after}]}
  after: {action: core.noop}
)";

// The same in each release: what was let in by one counts for the next.
constexpr int64_t kFew = 2;

std::vector<PolicySpec> policies() {
  PolicySpec few{.ref = "ci.few", .action = "ci.check"};
  few.concurrency = {.limit = kFew};
  few.retry = {.count = 1, .delay_ms = 2000};
  PolicySpec newest{.ref = "ci.newest", .action = "ci.build"};
  newest.concurrency = {.limit = 1, .by = {"branch"}, .then = WhenFull::CancelOldest};
  PolicySpec calm{.ref = "ci.calm", .action = "core.sleep"};
  calm.rate = {.limit = 1, .per_ms = 5000};
  PolicySpec forks{.ref = "ci.forks", .action = "ci.fork"};
  forks.concurrency = {.limit = 1};
  return {few, newest, calm, forks};
}

std::shared_ptr<const Pack> make_release(int number, bool limited) {
  using namespace engine;
  auto pack = std::make_shared<Pack>(*workflow_pack("d" + std::to_string(number)));
  auto add = [&](const char* ref, const char* text) {
    pack->actions.push_back(workflow(ref, text, "workflow"));
  };
  add("ci.waits", kWaits);
  add("ci.nested", kNested);
  add("ci.tells", kTells);
  add("ci.loop", kLoop);
  add("ci.expires", kExpires);
  if (limited) pack->policies = policies();
  if (number > 0) {
    RuleSpec rule;
    rule.ref = "ci.of_the_pack";
    rule.trigger = "ci.push";
    rule.criteria = Value::map();
    rule.action = number == 1 ? "core.noop" : "ci.check";
    rule.action_parameters = Value::map();
    pack->rules.push_back(rule);
  }
  return pack;
}

}  // namespace

std::shared_ptr<const Pack> core_pack() {
  static const auto pack = engine::core_pack();
  return pack;
}

std::shared_ptr<const Pack> release(int number, bool limited) {
  static const auto all = [] {
    std::array<std::shared_ptr<const Pack>, 2 * kReleases> packs;
    for (int i = 0; i < 2 * kReleases; ++i) {
      packs[static_cast<size_t>(i)] = make_release(i % kReleases, i >= kReleases);
    }
    return packs;
  }();
  return all[static_cast<size_t>(number + (limited ? kReleases : 0))];
}

std::shared_ptr<const engine::Catalog> catalog_of(int number, bool limited) {
  static std::array<std::shared_ptr<const engine::Catalog>, 2 * kReleases> made;
  auto& catalog = made[static_cast<size_t>(number + (limited ? kReleases : 0))];
  if (!catalog) {
    catalog = engine::Catalog()
                  .with_system({core_pack()})
                  ->with_packs(kDefaultTenant, {release(number, limited)});
  }
  return catalog;
}

int64_t most_at_once(std::string_view gauge) {
  if (gauge.starts_with("ci.few/")) return kFew;
  return gauge.starts_with("ci.newest/") || gauge.starts_with("ci.forks/") ? 1 : INT64_MAX;
}

const std::vector<Startable>& startables() {
  static const auto all = [] {
    auto n = [](int64_t value) { return Value::map({{"n", value}}); };
    Value xs = Value::map({{"xs", Value(ValueList{Value(1), Value(2), Value(3)})}});
    Value maps = Value::map({{"xs", Value(ValueList{Value::map({{"nix", 1}}), Value::map()})}});
    Value none = Value::map();
    Value main = Value::map({{"branch", "main"}});
    return std::vector<Startable>{
        {"ci.build", main, 3},       {"ci.check", main, 3},
        {"ci.shell", none, 1},       {"core.noop", none, 1},
        {"core.fail", none, 1},      {"core.sleep", Value::map({{"seconds", 3}}), 2},
        {"core.ask", none, 2},       {"core.ask", Value::map({{"ttl", 1}}), 1},
        {"ci.pure", n(4), 1},        {"ci.sequence", none, 2},
        {"ci.fork", none, 2},        {"ci.items", xs, 2},
        {"ci.some_items", none, 1},  {"ci.bad_items", maps, 1},
        {"ci.retry", none, 3},       {"ci.cycle", none, 1},
        {"ci.parent", none, 2},      {"ci.parents", xs, 1},
        {"ci.above_one", none, 2},   {"ci.approval", none, 2},
        {"ci.saga", none, 3},        {"ci.hold", none, 3},
        {"ci.timeout", none, 2},     {"ci.orquesta_ask", none, 2},
        {"ci.misspelt", none, 1},    {"ci.unknown_action", none, 1},
        {"ci.endless", none, 1},     {"ci.reads", none, 2},
        {"ci.chain", none, 1},       {"ci.waits", none, 2},
        {"ci.nested", none, 2},      {"ci.tells", none, 1},
        {"ci.loop", none, 1},        {"ci.expires", none, 1},
        {"ci.delayed", none, 2},     {"ci.delayed_items", none, 1},
        {"ci.below_later", none, 1}, {"ci.above_delayed", none, 1},
        {"ci.hold_beside", none, 2}, {"ci.orquesta_ask_beside", none, 1},
    };
  }();
  return all;
}

}  // namespace millrace::sim
