// SPDX-License-Identifier: Apache-2.0
// StackStorm's webhooks: endpoints that come with rules, and its ways to deliver.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <set>

#include "api_fixture.h"
#include "auth/crypto.h"
#include "base/json.h"
#include "base/text.h"

namespace millrace::api {
namespace {

class RuleWebhooks : public ApiTest {
 protected:
  Answer write(const std::string& ref, const std::string& url) {
    return post("/api/v1/rules",
                fmt::format(R"({{"ref":"{}","trigger":{{"ref":"core.st2.webhook",)"
                            R"("parameters":{{"url":"{}"}}}},"action":{{"ref":"core.noop"}}}})",
                            ref, url));
  }
  Answer deliver(const std::string& path, Lines headers = {}, const std::string& body = "{}") {
    headers.emplace_back("Content-Type", "application/json");
    return send("POST", path, body, std::move(headers));
  }
  std::string matched(const Answer& delivered) {
    auto event = std::string(delivered.data().string_or("event", ""));
    auto list = get("/api/v1/enforcements?event=" + event);
    std::set<std::string> rules;
    for (const auto& each : list.data().as_list()) rules.emplace(each.string_or("rule_ref", ""));
    return fmt::format("{}", fmt::join(rules, " "));
  }
};

TEST_F(RuleWebhooks, ComeAndGoWithTheirRules) {
  EXPECT_EQ(deliver("/api/v1/webhooks/git/push").status, 404);
  ASSERT_EQ(write("ci.first", "/git/push").status, 201);
  ASSERT_EQ(write("ci.second", "git/push/").status, 201);
  auto shown = get("/api/v1/webhook-endpoints/git/push");
  ASSERT_EQ(shown.status, 200) << shown.text;
  EXPECT_EQ(to_json(shown.data()["rules"]), R"(["ci.first","ci.second"])");
  EXPECT_EQ(shown.data()["of_rules"], Value(true));
  EXPECT_EQ(get("/api/v1/webhook-endpoints").data().size(), 1u);
  for (const char* path :
       {"/api/v1/webhooks/git/push", "/v1/webhooks/git/push", "/v1/webhooks/git/push/"}) {
    auto delivered = deliver(path);
    EXPECT_EQ(delivered.status, 202) << delivered.text;
    EXPECT_EQ(matched(delivered), "ci.first ci.second") << path;
  }
  EXPECT_EQ(send("DELETE", "/api/v1/webhook-endpoints/git/push").code(), "WHK-0104");
  EXPECT_EQ(send("DELETE", "/api/v1/rules/ci.first").status, 204);
  EXPECT_EQ(deliver("/v1/webhooks/git/push").status, 202);
  EXPECT_EQ(send("DELETE", "/api/v1/rules/ci.second").status, 204);
  EXPECT_EQ(deliver("/v1/webhooks/git/push").status, 404);
}

TEST_F(RuleWebhooks, TakeTheCredentialsOfStackStormInHeadersAndNotInUrls) {
  ASSERT_EQ(write("ci.first", "sample").status, 201);
  auto sends = token("events:send").reveal();
  auto reads = token("rules:read").reveal();
  auto status = [&](Lines headers) {
    headers.emplace_back("Authorization", "");
    if (headers.front().first == "Authorization") headers.pop_back();
    return deliver("/v1/webhooks/sample", std::move(headers)).status;
  };
  EXPECT_EQ(status({{"X-Auth-Token", sends}}), 202);
  EXPECT_EQ(status({{"St2-Api-Key", sends}}), 202);
  EXPECT_EQ(status({{"St2-Api-Key", reads}}), 403);
  EXPECT_EQ(status({{"St2-Api-Key", "mr_wrong"}}), 401);
  EXPECT_EQ(status({{"Authorization", ""}}), 401);
  auto in_url = deliver("/v1/webhooks/sample?st2-api-key=" + sends, {{"Authorization", ""}});
  EXPECT_EQ(in_url.status, 401);
  EXPECT_EQ(in_url.code(), "WHK-0105");
  EXPECT_EQ(in_url.text.find(sends), std::string::npos);
  for (const char* name : {"St2-Api-Key", "X-Auth-Token"}) {
    auto spelled = deliver(fmt::format("/v1/webhooks/sample?{}={}", name, sends));
    EXPECT_EQ(spelled.code(), "WHK-0105") << name;
  }
}

TEST_F(RuleWebhooks, AnEndpointOfTheSameNameTakesTheirPlace) {
  ASSERT_EQ(write("ci.first", "sample").status, 201);
  auto made = post("/api/v1/webhook-endpoints",
                   R"({"name":"/sample","scheme":"gitlab","secrets":["0123456789abcdef"]})");
  ASSERT_EQ(made.status, 201) << made.text;
  EXPECT_EQ(made.data()["trigger"], Value("core.st2.webhook"));
  EXPECT_EQ(made.data()["of_rules"], Value(false));
  EXPECT_EQ(to_json(made.data()["rules"]), R"(["ci.first"])");
  EXPECT_EQ(deliver("/v1/webhooks/sample").status, 401) << "it signs now";
  auto delivered = deliver("/v1/webhooks/sample", {{"X-Gitlab-Token", "0123456789abcdef"}});
  EXPECT_EQ(delivered.status, 202) << delivered.text;
  EXPECT_EQ(matched(delivered), "ci.first");
  EXPECT_EQ(send("DELETE", "/api/v1/webhook-endpoints/sample").status, 204);
  EXPECT_EQ(deliver("/v1/webhooks/sample").status, 202) << "and again with a token";
}

TEST_F(RuleWebhooks, AreNotNamedByWhatIsNoPath) {
  for (const char* url : {"/", "a//b", "a/../b", "a b", "a?b"}) {
    auto answer = write("ci.bad", url);
    EXPECT_EQ(answer.status, 400) << url << answer.text;
    EXPECT_NE(answer.text.find("/trigger/parameters/url"), std::string::npos) << answer.text;
  }
}

// StackStorm's own webhook takes what any trigger fires.
TEST_F(RuleWebhooks, St2FiresTheTriggerThatItsBodyNames) {
  auto fire = [&](const std::string& body, Lines headers = {}) {
    return deliver("/v1/webhooks/st2", std::move(headers), body);
  };
  auto sent = fire(R"({"trigger":"ci.push","payload":{"ref":"main"}})");
  ASSERT_EQ(sent.status, 202) << sent.text;
  auto event = get("/api/v1/events/" + std::string(sent.data().string_or("event", "")));
  EXPECT_EQ(event.data()["trigger"], Value("ci.push"));
  EXPECT_EQ(event.data()["payload"]["ref"], Value("main"));
  EXPECT_EQ(fire(R"({"trigger":"ci.psh"})").code(), "EVT-0001");
  EXPECT_EQ(fire(R"({"trigger":"core.webhook","payload":{}})").code(), "EVT-0003");
  EXPECT_EQ(fire("[]").status, 400);
  EXPECT_EQ(fire(R"({"trigger":"ci.push"})", {{"Authorization", ""}}).status, 401);
  EXPECT_EQ(fire(R"({"trigger":"ci.push"})", bearer(token("rules:read"))).status, 403);
}

// Twilio signs the address; behind a proxy the server does not see it.
TEST_F(RuleWebhooks, WhoSignsTheUrlNeedsOne) {
  auto make = [&](const std::string& more) {
    return post(
        "/api/v1/webhook-endpoints",
        R"({"name":"calls","scheme":"twilio","secrets":["12345678901234567890"])" + more + "}");
  };
  auto refused = make("");
  EXPECT_EQ(refused.status, 400);
  EXPECT_NE(refused.text.find("/api/v1/webhooks/calls"), std::string::npos) << refused.text;
  EXPECT_EQ(make(R"(,"url":"hooks.example.com")").status, 400);
  EXPECT_EQ(make(R"(,"url":"https://hooks.example.com/x?y=1")").status, 400);
  auto made = make(R"(,"url":"https://hooks.example.com/api/v1/webhooks/calls")");
  ASSERT_EQ(made.status, 201) << made.text;
  auto text = std::string("https://hooks.example.com/api/v1/webhooks/calls?a=1") + "BodyhiFrom+1";
  auto signature = base64_encode(auth::hmac_sha1("12345678901234567890", {text}));
  auto call = [&](const std::string& query) {
    return send("POST", "/api/v1/webhooks/calls" + query, "From=%2B1&Body=hi",
                {{"Authorization", ""},
                 {"Content-Type", "application/x-www-form-urlencoded"},
                 {"X-Twilio-Signature", signature}});
  };
  EXPECT_EQ(call("?a=1").status, 202) << call("?a=1").text;
  EXPECT_EQ(call("?a=2").code(), "AUT-0011");
  EXPECT_EQ(call("").code(), "AUT-0011");
}

TEST_F(RuleWebhooks, NoEndpointFiresWhatOnlyTheServerTells) {
  for (const char* trigger : {"core.st2.generic.actiontrigger", "core.st2.key_value_pair.create",
                              "core.pack_installed", "core.intervaltimer"}) {
    auto made = post("/api/v1/webhook-endpoints",
                     fmt::format(R"({{"name":"x","scheme":"token","trigger":"{}"}})", trigger));
    EXPECT_EQ(made.status, 400) << made.text;
    EXPECT_NE(made.text.find("\"/trigger\""), std::string::npos) << made.text;
  }
}

TEST_F(RuleWebhooks, TheNameOfStackStormsOwnWebhookIsTaken) {
  EXPECT_EQ(post("/api/v1/webhook-endpoints", R"({"name":"/st2","scheme":"token"})").status, 400);
  EXPECT_EQ(write("ci.first", "st2/").status, 400);
  EXPECT_EQ(write("ci.first", "st2/x").status, 201);
}

TEST_F(RuleWebhooks, ANewEndpointOfAnOldNameSwallowsNothing) {
  auto make = [&] {
    return post("/api/v1/webhook-endpoints",
                R"({"name":"a","scheme":"gitlab","secrets":["0123456789abcdef"]})");
  };
  auto call = [&] {
    auto done = deliver("/v1/webhooks/a", {{"X-Gitlab-Token", "0123456789abcdef"},
                                           {"X-Gitlab-Event-UUID", "u1"},
                                           {"Idempotency-Key", "u1"}});
    EXPECT_EQ(done.status, 202) << done.text;
    return done.data()["duplicate"];
  };
  ASSERT_EQ(make().status, 201);
  EXPECT_EQ(call(), Value(false));
  EXPECT_EQ(call(), Value(true));
  ASSERT_EQ(send("DELETE", "/api/v1/webhook-endpoints/a").status, 204);
  ASSERT_EQ(make().status, 201);
  EXPECT_EQ(call(), Value(false));
}

TEST_F(RuleWebhooks, ARuleWhoseEndpointFiresAnotherTriggerIsWarnedOf) {
  auto made = post("/api/v1/webhook-endpoints",
                   R"({"name":"other","scheme":"token","trigger":"core.webhook"})");
  ASSERT_EQ(made.status, 201) << made.text;
  auto rule = write("ci.first", "/other");
  ASSERT_EQ(rule.status, 201) << rule.text;
  EXPECT_NE(to_json(rule.data()["warnings"]).find("other"), std::string::npos) << rule.text;
  EXPECT_EQ(to_json(get("/api/v1/webhook-endpoints/other").data()["rules"]), "[]");
  EXPECT_EQ(to_json(write("ci.second", "mine").data()["warnings"]).find("mine"), std::string::npos);
}

}  // namespace
}  // namespace millrace::api
