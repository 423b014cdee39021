// SPDX-License-Identifier: Apache-2.0
// What a tenant has set of a pack's configuration: runs, workflows and rules get it as it is when
// they begin.
#include <fmt/format.h>

#include "base/yaml.h"
#include "engine/machine/pack_config.h"
#include "harness.h"

namespace millrace::engine {
namespace {

std::string sealed_config(int64_t version, const std::string& json) {
  return fmt::format("sealed {} {}", version, json);
}

std::shared_ptr<const Pack> configured_pack() {
  auto pack = std::make_shared<Pack>(*test_pack());
  pack->config_schema = *parse_json(R"({"type":"object","properties":{
      "url":{"type":"string","default":"http://standard"},
      "token":{"type":"string","secret":true},
      "cups":{"type":"object","properties":{"size":{"type":"integer","default":3}}}}})");
  pack->config = *parse_json(R"({"url":"http://standard","cups":{"size":3}})");
  for (auto& action : pack->actions) {
    if (action.ref == "ci.build") action.sdk = Sdk::Python;
  }
  Action flow;
  flow.ref = "ci.flow";
  flow.runner_type = "workflow";
  flow.runner = Runner::Workflow;
  flow.timeout_ms = 0;
  flow.workflow = std::make_shared<const YamlNode>(*parse_yaml(
      "tasks: {a: {action: core.echo, input: {message: \"{{ config.url }}\"},"
      " next: [{publish: [{seen: <% result().output %>}]}]}}\noutput: [{seen: <% ctx(seen) %>}]\n",
      "flow"));
  pack->actions.push_back(std::move(flow));
  return pack;
}

class PackConfig : public EngineTest, public ::testing::WithParamInterface<bool> {
 protected:
  PackConfig() {
    open_key_ = [](const KeyRow& row) -> Result<Secret> {
      auto prefix = sealed_config(row.version, "");
      if (row.value_json.starts_with(prefix)) return Secret(row.value_json.substr(prefix.size()));
      return Error(ErrorKind::Internal, "AUT-0006", "does not open");
    };
  }
  std::vector<std::shared_ptr<const Pack>> packs() override {
    return {core_pack(), configured_pack()};
  }
  // In the second way of running the server dies here.
  void between() {
    settle();
    if (!GetParam()) return;
    engine_.reset();
    start();
  }
  void write(KeyWrite write, const std::string& json, bool seals) {
    auto reader = store_->open_reader();
    auto old = *store::find_key(**reader, write.key);
    write.version = old ? old->version + 1 : 1;
    write.encrypted = seals;
    write.value_json = seals ? sealed_config(write.version, json) : json;
    auto row = await<KeyRow>(
        [&](auto reply) { engine_->submit(command::write_key(kTester, write, reply)); });
    ASSERT_TRUE(row.ok()) << row.error().describe();
    between();
  }
  void set(const std::string& json, bool seals = false) {
    write({.key = config_key(kDefaultTenant, "ci"), .is_config = true}, json, seals);
  }
  void put(const std::string& name, const std::string& json, bool seals = false) {
    write({.key = {kDefaultTenant, "system", name}}, json, seals);
  }
  WorkOrder build() {
    open_worker(1);
    auto row = run("ci.build");
    EXPECT_TRUE(row.ok());
    return worker_.next();
  }
};

TEST_P(PackConfig, ARunGetsWhatIsSetOverWhatThePackSays) {
  set(R"({"url":"http://mine","cups":{"colour":"blue"}})");
  auto order = build();
  EXPECT_EQ(to_json(order.config), R"({"url":"http://mine","cups":{"size":3,"colour":"blue"}})");
  finish(order, 0);
  set("{}");
  order = build();
  EXPECT_EQ(order.config["url"], Value("http://standard"));
}

TEST_P(PackConfig, SecretsAreOpenedAndMasked) {
  set(R"({"token":"s3cret-leaf"})", true);
  auto order = build();
  EXPECT_EQ(order.config["token"], Value("s3cret-leaf"));
  ASSERT_FALSE(order.secrets.empty());
  EXPECT_EQ(order.secrets.front(), "s3cret-leaf");
}

TEST_P(PackConfig, KeysAreReadWhenTheRunBegins) {
  set(R"({"url":"{{ st2kv.system.place }}","token":"{{ st2kv.system.leaf }}"})");
  put("place", R"("http://one")");
  put("leaf", R"("s3cret-leaf")", true);
  auto order = build();
  EXPECT_EQ(order.config["url"], Value("http://one"));
  EXPECT_EQ(order.config["token"], Value("s3cret-leaf")) << "read in clear, since it is secret";
  EXPECT_EQ(order.secrets.front(), "s3cret-leaf");
  finish(order, 0);
  put("place", R"("http://two")");
  EXPECT_EQ(build().config["url"], Value("http://two"));
}

TEST_P(PackConfig, WhatCannotBeReadIsNull) {
  set(R"({"url":"{{ st2kv.system.nowhere }}"})");
  EXPECT_TRUE(build().config["url"].is_null());
}

TEST_P(PackConfig, WorkflowsAndRulesReadIt) {
  set(R"({"url":"http://mine"})");
  auto row = run("ci.flow");
  ASSERT_TRUE(row.ok()) << row.error().describe();
  EXPECT_EQ((*parse_json(stored(row->id).result_json))["output"],
            Value::map({{"seen", "http://mine"}}));
  RuleSpec spec{.ref = "ci.on_main", .trigger = "ci.push", .action = "core.echo"};
  spec.criteria =
      *parse_json(R"({"trigger.branch":{"type":"equals","pattern":"{{ pack.config.url }}"}})");
  spec.action_parameters = Value::map({{"message", "{{ pack.config.url }}"}});
  auto made = await<RuleRow>([&](auto reply) {
    engine_->submit(command::write_rule(kTester, {spec, std::nullopt, true}, reply));
  });
  ASSERT_TRUE(made.ok()) << made.error().describe();
  between();
  auto sent = send("http://mine", "e1");
  ASSERT_TRUE(sent.ok());
  auto reader = store_->open_reader();
  auto enforced = *store::enforcements_of(**reader, kDefaultTenant, sent->event);
  ASSERT_EQ(enforced.size(), 1U);
  EXPECT_EQ((*parse_json(stored(enforced[0].execution).result_json))["output"],
            Value("http://mine"));
}

TEST_P(PackConfig, NothingElseReadsOrWritesIt) {
  set(R"({"url":"http://mine"})");
  KeyWrite by_the_way{.key = config_key(kDefaultTenant, "ci"), .value_json = "1", .version = 2};
  auto row = await<KeyRow>(
      [&](auto reply) { engine_->submit(command::write_key(kTester, by_the_way, reply)); });
  ASSERT_FALSE(row.ok());
  EXPECT_EQ(row.error().code(), "KEY-0004");
  KeyRows rows;
  KeyRow stored{.key = config_key(kDefaultTenant, "ci"), .value_json = R"({"url":"x"})"};
  rows.emplace(stored.key, stored);
  OpenKey open;
  KeyLookup keys(rows, open, 0, {.tenant = kDefaultTenant, .pack = "ci"});
  for (const char* name : {"config:ci.values", "config.values", "config:ci/values"}) {
    EXPECT_FALSE(keys.kv(name, true).found()) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(AsItIsAndRestarted, PackConfig, ::testing::Bool());

}  // namespace
}  // namespace millrace::engine
