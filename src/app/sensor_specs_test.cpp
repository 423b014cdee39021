// SPDX-License-Identifier: Apache-2.0
#include "app/sensor_specs.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/json.h"
#include "expr/expr.h"
#include "rules/rule.h"

namespace millrace::app {
namespace {

Value json(std::string_view text) { return *parse_json(text); }

std::shared_ptr<const Pack> tide_pack(const std::string& name = "harbour") {
  auto pack = std::make_shared<Pack>();
  pack->ref = name;
  pack->digest = name;
  pack->triggers.resize(2);
  pack->triggers[0].ref = name + ".ship";
  pack->triggers[1].ref = name + ".tide";
  pack->triggers[1].parameters.push_back({.name = "mark"});
  pack->runtimes.push_back({.ref = name + ".python"});
  Sensor sensor;
  sensor.ref = name + ".eye";
  sensor.runtime = name + ".python";
  sensor.triggers = {name + ".ship", name + ".tide", "other.gone"};
  pack->sensors.push_back(sensor);
  return pack;
}

std::shared_ptr<const engine::RuleEntry> rule(const std::string& ref, const std::string& trigger,
                                              Value parameters, bool enabled = true) {
  expr::Engine expressions;
  auto entry = std::make_shared<engine::RuleEntry>();
  entry->row.tenant = kDefaultTenant;
  entry->row.ref = ref;
  entry->spec = {.ref = ref,
                 .trigger = trigger,
                 .trigger_parameters = std::move(parameters),
                 .action = "core.noop",
                 .enabled = enabled};
  entry->compiled = *rules::compile(entry->spec, RuleId{1}, 1, expressions);
  return entry;
}

std::set<std::string> refs(const SensorSpec& spec) {
  std::set<std::string> out;
  for (const auto& [ref, instance] : spec.instances) out.insert(ref);
  return out;
}

TEST(SensorSpecs, ASensorIsToldOfWhatRulesWaitFor) {
  auto catalog = engine::Catalog().with_packs(kDefaultTenant, {tide_pack()});
  auto spec = find_sensor(*catalog, {kDefaultTenant, "harbour.eye"});
  ASSERT_TRUE(spec);
  EXPECT_TRUE(spec->can_run());
  EXPECT_EQ(refs(*spec), std::set<std::string>{"harbour.ship"}) << "one without parameters";
  catalog = catalog->with_rules({rule("a.one", "harbour.tide", json(R"({"mark":"pier"})")),
                                 rule("a.two", "harbour.tide", json(R"({"mark":"pier"})")),
                                 rule("a.three", "harbour.tide", json(R"({"mark":"buoy"})")),
                                 rule("a.off", "harbour.tide", json(R"({"mark":"x"})"), false),
                                 rule("a.any", "harbour.tide", Value())});
  spec = find_sensor(*catalog, {kDefaultTenant, "harbour.eye"});
  EXPECT_EQ(spec->instances.size(), 4u) << "equal parameters are one trigger";
  EXPECT_TRUE(spec->instances.contains("harbour.tide"));
  for (const auto& [ref, instance] : spec->instances) {
    auto shown = trigger_object(ref, instance);
    EXPECT_EQ(shown["ref"], Value(ref));
    EXPECT_EQ(shown["pack"], Value("harbour"));
    EXPECT_EQ(std::string(shown["pack"].as_string()) + "." + std::string(shown["name"].as_string()),
              ref);
    EXPECT_TRUE(shown["parameters"].is_map());
  }
}

TEST(SensorSpecs, WithoutItsRuntimeItDoesNotRun) {
  auto pack = std::make_shared<Pack>(*tide_pack());
  pack->runtimes.clear();
  auto catalog = engine::Catalog().with_packs(kDefaultTenant, {pack});
  EXPECT_FALSE(sensors_of(*catalog, kDefaultTenant).front().can_run());
}

TEST(SensorSpecs, TheSystemsSensorsRunOnceAndTenantsHaveTheirOwn) {
  constexpr TenantId kOther{2};
  auto catalog = engine::Catalog().with_system({tide_pack("core")});
  catalog = catalog->with_packs(kOther, {tide_pack()});
  EXPECT_EQ(tenants_of(*catalog).size(), 2u);
  ASSERT_EQ(sensors_of(*catalog, kDefaultTenant).size(), 1u);
  EXPECT_EQ(sensors_of(*catalog, kDefaultTenant).front().key.ref, "core.eye");
  ASSERT_EQ(sensors_of(*catalog, kOther).size(), 1u);
  EXPECT_EQ(sensors_of(*catalog, kOther).front().key.ref, "harbour.eye");
  EXPECT_FALSE(find_sensor(*catalog, {kOther, "core.eye"}));
}

engine::ServerView server(const std::string& name, const std::string& roles) {
  engine::ServerView view;
  view.row.name = name;
  view.row.roles = roles;
  return view;
}

sensor::SensorKey key_of(int number) {
  return {kDefaultTenant, "harbour.eye" + std::to_string(number)};
}

TEST(SensorSpecs, SensorsSpreadAndOnlyThoseOfALostServerMove) {
  constexpr auto kRoles = "api,executor,sensor";
  std::vector<engine::ServerView> servers{server("a", kRoles), server("b", kRoles),
                                          server("c", kRoles), server("d", "api,executor"),
                                          server("e", "sensor")};
  std::map<int, std::string> before;
  std::map<std::string, int> share;
  for (int i = 0; i < 300; ++i) {
    before[i] = runner_of(servers, key_of(i))->row.name;
    ++share[before[i]];
  }
  EXPECT_EQ(share.size(), 3u);
  for (const auto& [name, count] : share) EXPECT_GT(count, 60) << name;
  servers[1].lives = false;
  for (int i = 0; i < 300; ++i) {
    auto now = runner_of(servers, key_of(i))->row.name;
    EXPECT_NE(now, "b");
    if (before[i] != "b") EXPECT_EQ(now, before[i]);
  }
  servers[0].row.draining = true;
  EXPECT_EQ(runner_of(servers, key_of(1))->row.name, "c");
  servers[2].lives = false;
  EXPECT_EQ(runner_of(servers, key_of(1)), nullptr);
}

}  // namespace
}  // namespace millrace::app
