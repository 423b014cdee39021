// SPDX-License-Identifier: Apache-2.0
// Commands of a chat over HTTP: what they mean, what they start, what is said of it.
#include <fmt/format.h>

#include "api_fixture.h"
#include "base/json.h"
#include "packs/alias_format.h"

namespace millrace::api {
namespace {

AliasForm form(const std::string& display, const std::vector<std::string>& texts,
               bool is_loose = false) {
  AliasForm out{display, texts, is_loose, {}};
  for (const auto& text : texts) {
    auto format =
        is_loose ? packs::AliasFormat::compile_loose(text) : packs::AliasFormat::compile(text);
    EXPECT_TRUE(format.ok()) << text;
    if (format.ok()) out.formats.push_back(*format);
  }
  return out;
}

Alias alias(const std::string& name, const std::string& action, std::vector<AliasForm> forms) {
  Alias out;
  out.ref = "chat." + name;
  out.name = name;
  out.action = action;
  out.forms = std::move(forms);
  return out;
}

std::shared_ptr<const Pack> chat_pack() {
  auto pack = std::make_shared<Pack>();
  pack->ref = "chat";
  pack->version = "1.0.0";
  pack->digest = "ch1";
  Action tag;
  tag.ref = "chat.tag";
  tag.runner = Runner::Builtin;
  tag.runner_type = "noop";
  for (const auto& [name, type] :
       {std::pair("names", "array"), {"by", "string"}, {"n", "integer"}}) {
    Parameter parameter;
    parameter.name = name;
    parameter.schema = Value::map({{"type", type}});
    tag.parameters.push_back(parameter);
  }
  tag.parameters[1].default_value = Value("{{ action_context.api_user }}");
  pack->actions.push_back(tag);

  Alias say = alias("say", "core.echo", {form("say <message>", {"say {{ message }}"})});
  say.description = "Says it";
  say.ack.format = "hold on: {{ execution.parameters.message }}";
  say.ack.extra = Value::map({{"slack", Value::map({{"color", "{{ execution.action.name }}"}})}});
  say.result.format =
      "{% if execution.status == 'succeeded' %}\nit said *{{ execution.result.stdout }}*\n"
      "{% endif %}";
  Alias mark = alias("mark", "chat.tag",
                     {form("tag <names>", {"tag {{ names }} {{ n=3 }}", "tag {{ names }}"})});
  mark.ack.enabled = false;
  Alias fixed = alias("fixed", "chat.tag", {form("fix", {"fix"})});
  fixed.immutable_parameters = Value::map({{"by", "{{ action_context.source_channel }}"}});
  fixed.result.format = "{{ execution.result.nothing.there }}";
  Alias each = alias("each", "core.echo", {form("AB-1", {"(?P<message>[A-Z]+-\\d+)"}, true)});
  Alias twin = alias("twin", "core.noop", {form("say twice", {"say twice {{ message }}"})});
  Alias off = alias("off", "core.noop", {form("off", {"say off"})});
  off.enabled = false;
  pack->aliases = {say, mark, fixed, each, twin, off};
  return pack;
}

class AliasTest : public ApiTest {
 protected:
  void SetUp() override {
    ApiTest::SetUp();
    load_packs(kDefaultTenant, {ci_pack(), chat_pack()});
  }
  Answer ask(const std::string& route, const std::string& command, const std::string& more = "") {
    return post("/api/v1/aliases/" + route,
                fmt::format(R"({{"command":{}{}}})", to_json(Value(command)), more));
  }
  Answer message_of(const Value& started) {
    return get("/api/v1/executions/" + std::string(started["execution"].string_or("id", "")) +
               "/message?wait=10s");
  }
};

TEST_F(AliasTest, AreListedAndShownByRefAndByName) {
  EXPECT_EQ(get("/api/v1/aliases").data().size(), 6u);
  EXPECT_EQ(get("/api/v1/aliases?pack=ci").data().size(), 0u);
  EXPECT_EQ(get("/api/v1/aliases/chat.say").data()["action"], Value("core.echo"));
  EXPECT_EQ(get("/api/v1/aliases/say").data()["ref"], Value("chat.say"));
  EXPECT_EQ(get("/api/v1/aliases/chat.sey").code(), "API-0070");
  auto help = get("/api/v1/aliases/help?filter=SAY").data();
  EXPECT_EQ(help["available"], Value(2)) << "the one that is off is not told";
  EXPECT_EQ(help["helpstrings"].as_list()[0]["display"], Value("say <message>"));
  auto page = get("/api/v1/aliases/help?limit=1&offset=1").data();
  EXPECT_EQ(page["helpstrings"].size(), 1u);
  EXPECT_EQ(page["available"], Value(5));
}

TEST_F(AliasTest, ACommandMeansOneAliasOrIsRefused) {
  auto match = ask("match", "say \"hello there\"").data();
  EXPECT_EQ(match["alias"]["ref"], Value("chat.say"));
  EXPECT_EQ(to_json(match["parameters"]), R"([{"message":"hello there"}])");
  auto both = ask("match", "say twice it");
  EXPECT_EQ(both.status, 409);
  EXPECT_EQ(both.code(), "API-0141");
  for (const char* name : {"chat.say (say {{ message }})", "chat.twin"}) {
    EXPECT_NE(both.text.find(name), std::string::npos) << both.text;
  }
  auto none = ask("match", "sya <message>");
  EXPECT_EQ(none.code(), "API-0140");
  EXPECT_NE(none.text.find("did you mean 'say <message>'?"), std::string::npos) << none.text;
  EXPECT_EQ(ask("match", std::string(5000, 'x')).code(), "API-0142");
  EXPECT_EQ(ask("execute", "walk").code(), "API-0140");
}

TEST_F(AliasTest, ExecuteStartsTheActionAndSaysTheAck) {
  auto answer = ask("execute", "say hello");
  ASSERT_EQ(answer.status, 201) << answer.text;
  ASSERT_EQ(answer.data().size(), 1u);
  const Value& started = answer.data().as_list()[0];
  EXPECT_EQ(started["message"], Value("hold on: hello"));
  EXPECT_EQ(to_json(started["extra"]), R"({"slack":{"color":"echo"}})");
  EXPECT_EQ(started["execution"]["action"], Value("core.echo"));
  auto outcome = message_of(started);
  EXPECT_EQ(outcome.data()["message"], Value("it said *hello*\n")) << outcome.text;
  EXPECT_EQ(outcome.data()["status"], Value("succeeded"));
}

TEST_F(AliasTest, ListsCastsAndWhoAskedReachTheAction) {
  auto answer = ask("execute", "tag [a,b] 7", R"(,"user":"ann","source_channel":"#ops")");
  ASSERT_EQ(answer.status, 201) << answer.text;
  const Value& started = answer.data().as_list()[0];
  EXPECT_EQ(to_json(started["execution"]["parameters"]), R"({"names":["a","b"],"n":7,"by":"ann"})");
  EXPECT_EQ(started["ack"], Value(false));
  auto outcome = message_of(started).data();
  EXPECT_NE(outcome["message"].as_string().find("chat.tag has succeeded, execution "),
            std::string::npos);
  auto bad = ask("execute", "tag a seven");
  EXPECT_EQ(bad.code(), "PCK-0003") << "the action says what it takes";
}

TEST_F(AliasTest, ImmutableParametersAreTheAliasOwn) {
  auto answer = ask("execute", "fix", R"(,"source_channel":"#ops")");
  ASSERT_EQ(answer.status, 201) << answer.text;
  const Value& started = answer.data().as_list()[0];
  EXPECT_EQ(started["execution"]["parameters"]["by"], Value("#ops"));
  EXPECT_EQ(ask("execute", "fix by=me").code(), "API-0143");
  auto outcome = message_of(started).data();
  EXPECT_NE(outcome["message"].as_string().find("Cannot render \"format\" in field \"result\""),
            std::string::npos);
}

TEST_F(AliasTest, ALooseFormStartsOnceForEachPlace) {
  auto answer = ask("execute", "what of AB-1 and CD-22?");
  ASSERT_EQ(answer.status, 201) << answer.text;
  ASSERT_EQ(answer.data().size(), 2u);
  EXPECT_EQ(answer.data().as_list()[1]["execution"]["parameters"]["message"], Value("CD-22"));
  std::string many;
  for (int i = 0; i < 101; ++i) many += fmt::format("AB-{} ", i);
  EXPECT_EQ(ask("execute", many).code(), "API-0142");
}

TEST_F(AliasTest, ARepeatedRequestStartsNothingTwice) {
  auto once = [&] {
    return send("POST", "/api/v1/aliases/execute", R"({"command":"AB-1 CD-2"})",
                {{"Content-Type", "application/json"}, {"Idempotency-Key", "k"}});
  };
  auto first = once(), second = once();
  ASSERT_EQ(second.status, 201) << second.text;
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(first.data().as_list()[i]["execution"]["id"],
              second.data().as_list()[i]["execution"]["id"]);
  }
}

TEST_F(AliasTest, NeedsThePermissionThatItsActionNeeds) {
  auto say = [&](const std::string& permissions) {
    auto lines = bearer(token(permissions));
    lines.emplace_back("Content-Type", "application/json");
    return send("POST", "/api/v1/aliases/execute", R"({"command":"say x"})", lines).status;
  };
  EXPECT_EQ(say("actions:read"), 403);
  EXPECT_EQ(say("executions:run"), 201);
}

TEST_F(AliasTest, AnExecutionOfNoAliasHasNoMessage) {
  auto run = post("/api/v1/executions", R"({"action":"core.noop"})");
  EXPECT_EQ(message_of(Value::map({{"execution", run.data()}})).code(), "API-0145");
}

// It comes back with each event of an end.
TEST_F(AliasTest, WhatABotAddsToACommandIsAtMost4KiB) {
  auto say = [&](size_t length) {
    return post("/v1/aliasexecution", R"({"name":"say","command":"say x","source_context":")" +
                                          std::string(length, 'x') + "\"}");
  };
  EXPECT_LT(say(4094).status, 300) << "with its quotes 4,096";
  auto longer = say(4095);
  EXPECT_EQ(longer.status, 400);
  EXPECT_NE(longer.text.find("/source_context"), std::string::npos) << longer.text;
}

TEST_F(AliasTest, StackStormsPathsAndShapes) {
  auto all = get("/v1/actionalias");
  ASSERT_TRUE(all.body.is_list()) << all.text;
  EXPECT_EQ(all.body.as_list()[0]["action_ref"], Value("core.echo"));
  EXPECT_EQ(all.body.as_list()[0]["formats"].as_list()[0]["display"], Value("say <message>"));
  auto count = [&](std::string query) {
    return get("/v1/actionalias?" + query).body.as_list().size();
  };
  EXPECT_EQ(count("limit=-1"), all.body.as_list().size());  // as hubot-stackstorm asks
  EXPECT_EQ(count("limit=1"), 1U);
  EXPECT_EQ(count("offset=1"), all.body.as_list().size() - 1);
  auto match = post("/v1/actionalias/match", R"({"command":"say it"})");
  EXPECT_EQ(match.body["actionalias"]["name"], Value("say")) << match.text;
  EXPECT_EQ(match.body["representation"], Value("say {{ message }}"));
  EXPECT_EQ(get("/v1/actionalias/help?limit=1").body["available"], Value(5));
  auto one = post("/v1/aliasexecution",
                  R"({"name":"say","format":"say {{ message }}","command":"say it","user":"ann",)"
                  R"("source_channel":"c","notification_route":"hubot"})");
  ASSERT_EQ(one.status, 201) << one.text;
  EXPECT_EQ(one.body["message"], Value("hold on: it"));
  EXPECT_EQ(one.body["execution"]["context"]["api_user"], Value("ann"));
  EXPECT_EQ(one.body["execution"]["context"]["notification_route"], Value("hubot"));
  Lines as_bot = {{"Authorization", ""}, {"St2-Api-Key", token("actions:read").reveal()}};
  EXPECT_EQ(send("GET", "/v1/actionalias", "", as_bot).status, 200);
  EXPECT_EQ(send("GET", "/api/v1/aliases", "", as_bot).status, 401) << "ours have one header";
  auto any = post("/v1/aliasexecution/match_and_execute",
                  R"({"command":"say it","user":"ann","source_channel":"c"})");
  EXPECT_EQ(any.body["results"].as_list()[0]["actionalias"]["name"], Value("say")) << any.text;
  auto off = post("/v1/aliasexecution", R"({"name":"off","command":"say off"})");
  EXPECT_EQ(off.code(), "API-0144");
}

}  // namespace
}  // namespace millrace::api
