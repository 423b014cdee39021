// SPDX-License-Identifier: Apache-2.0
#include "cli/st2_plan.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "base/time.h"

namespace millrace::cli {
namespace {

const int64_t kNow = *parse_rfc3339("2026-01-31T12:00:00Z");

ValueList rows_of(std::string_view text) { return parse_json(text, kOwnJson)->as_list(); }

// "key system a: moves (encrypted)", one line for each thing.
std::string told_of(const Stackstorm& from, const St2Known& known = {}) {
  std::string out;
  for (const St2Item& item : plan_import(from, known, kNow)) {
    out += fmt::format("{} {}: {}{}\n", item.kind, item.name, to_string(item.fate),
                       item.why.empty() ? "" : " (" + item.why + ")");
  }
  return out;
}

TEST(St2Plan, PacksComeFromTheirFolderOrTheIndexOrStay) {
  Stackstorm from;
  from.packs = rows_of(R"([{"ref": "core"}, {"ref": "chatops"}, {"ref": "csv", "version": "1.0.1"},
                        {"ref": "mine"}, {"ref": "lost"}, {"name": "email"}])");
  from.pack_folders = {{"mine", "/packs/mine"}};
  from.pack_urls = {{"csv", "https://example.org/csv"}};
  EXPECT_EQ(told_of(from, {.packs = {"core", "email"}, .keys = {}, .rules = {}}),
            "pack core: is there (core is built in)\n"
            "pack csv: moves (from https://example.org/csv v1.0.1)\n"
            "pack mine: moves (from /packs/mine)\n"
            "pack email: is there\n"
            "pack chatops: stays (belongs to StackStorm itself)\n"
            "pack lost: stays (StackStorm does not say where it is from: give a copy of "
            "/opt/stackstorm/packs by --packs, or millrace pack install)\n");
}

TEST(St2Plan, ConfigurationsLeaveOutWhatIsHidden) {
  Stackstorm from;
  from.configs = rows_of(R"([{"pack": "a", "values": {"host": "h", "in": {"key": "********"}}},
                          {"pack": "b", "values": {"token": "********"}},
                          {"pack": "c", "values": {"x": 1}}, {"pack": "d", "values": {}}])");
  St2Known known{.packs = {"a", "b", "d"}, .keys = {}, .rules = {}};
  EXPECT_EQ(told_of(from, known),
            "config a: moves (without key: hidden by StackStorm)\n"
            "config b: stays (hidden by StackStorm: token; give --decrypt)\n"
            "config c: stays (its pack is not here)\n");
  auto item = plan_import(from, known, kNow).front();
  EXPECT_EQ(item.path, "/api/v1/packs/a/config");
  EXPECT_EQ(to_json(item.body), R"({"values":{"host":"h","in":{}}})");
}

TEST(St2Plan, KeysKeepScopeTimeAndSecrecy) {
  Stackstorm from;
  from.keys = rows_of(R"([
    {"name": "plain", "value": "v", "scope": "st2kv.system"},
    {"name": "mine", "value": "v", "scope": "st2kv.user", "user": "ann"},
    {"name": "whose", "value": "v", "scope": "st2kv.user"},
    {"name": "sealed", "value": "0A1B", "secret": true, "encrypted": true},
    {"name": "opened", "value": "hush", "secret": true, "encrypted": false},
    {"name": "short", "value": "v", "expire_timestamp": "2026-01-31T12:01:00.000000Z"},
    {"name": "gone", "value": "v", "expire_timestamp": "2026-01-31T11:59:00.000000Z"},
    {"name": "a/b", "value": "v"}, {"name": "here", "value": "v"}])");
  St2Known known{.packs = {}, .keys = {"system here"}, .rules = {}};
  EXPECT_EQ(told_of(from, known),
            "key system plain: moves\n"
            "key user:ann mine: moves\n"
            "key system opened: moves (encrypted)\n"
            "key system short: moves\n"
            "key system here: is there\n"
            "key user: whose: stays (StackStorm does not say whose it is)\n"
            "key system sealed: stays (encrypted; give --decrypt and an administrator's token)\n"
            "key system gone: stays (it is over)\n"
            "key system a/b: stays (a name has no '/' here: copy it under another)\n");
  auto items = plan_import(from, known, kNow);
  EXPECT_EQ(items[1].path, "/api/v1/keys/user%3Aann/mine");
  EXPECT_EQ(to_json(items[2].body), R"({"value":"hush","encrypted":true})");
  EXPECT_EQ(items[3].body.int_or("ttl_s", 0), 60);
}

TEST(St2Plan, RulesAreWrittenUnlessTheirPackBringsThem) {
  Stackstorm from;
  from.packs = rows_of(R"([{"ref": "csv"}])");
  from.pack_folders = {{"csv", "/packs/csv"}};
  from.rules = rows_of(R"([
    {"name": "hook", "pack": "ops", "ref": "ops.hook", "enabled": true,
     "trigger": {"type": "core.st2.webhook", "parameters": {"url": "/sample"}, "ref": "x"},
     "criteria": {"trigger.body.a": {"type": "equals", "pattern": 1}},
     "action": {"ref": "core.local", "parameters": {"cmd": "{{ trigger.body.b }}"}}},
    {"name": "on", "pack": "csv", "metadata_file": "rules/on.yaml", "enabled": false},
    {"name": "on", "pack": "lost", "metadata_file": "rules/on.yaml"},
    {"name": "tell", "pack": "ops", "trigger": {"type": "core.st2.action.file_writen"}},
    {"name": "here", "pack": "ops"}])");
  St2Known known{.packs = {}, .keys = {}, .rules = {"ops.here"}};
  EXPECT_EQ(told_of(from, known),
            "pack csv: moves (from /packs/csv)\n"
            "rule ops.hook: moves (deliveries go to /v1/webhooks/sample with a token of here, in a "
            "header)\n"
            "rule csv.on: comes with its pack (off in StackStorm: look whether it is here)\n"
            "rule ops.here: is there\n"
            "rule lost.on: stays (its pack is not here)\n"
            "rule ops.tell: stays (nothing fires core.st2.action.file_writen here)\n");
  EXPECT_EQ(to_json(plan_import(from, known, kNow)[1].body),
            R"({"ref":"ops.hook","description":"","enabled":true,"type":"standard",)"
            R"("trigger":{"ref":"core.st2.webhook","parameters":{"url":"sample"}},)"
            R"("criteria":{"trigger.body.a":{"type":"equals","pattern":1}},)"
            R"("action":{"ref":"core.local","parameters":{"cmd":"{{ trigger.body.b }}"}}})");
}

TEST(St2Plan, WhatIsNotCarriedIsNamed) {
  Stackstorm from;
  from.aliases = rows_of(R"([{"name": "deploy", "pack": "ops"}])");
  from.policies = rows_of(R"([{"name": "once", "pack": "ops", "ref": "ops.once"}])");
  from.api_keys = rows_of(R"([{"user": "robot", "key_hash": "x"}])");
  EXPECT_EQ(
      told_of(from),
      "alias ops.deploy: stays (it comes with its pack)\n"
      "policy ops.once: stays (it comes with its pack)\n"
      "api key robot: stays (nobody can read it; make a token: millrace auth token create)\n");
}

}  // namespace
}  // namespace millrace::cli
