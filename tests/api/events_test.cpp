// SPDX-License-Identifier: Apache-2.0
// Webhooks, events, and what they cause.
#include "api_fixture.h"
#include "auth/crypto.h"
#include "base/text.h"

namespace millrace::api {
namespace {

const char* const kSecret = "a secret of the hook";
const char* const kPushRule =
    R"({"ref":"ci.on_push","trigger":{"ref":"core.webhook","parameters":{"name":"ci"}},)"
    R"("criteria":{"trigger.body.ref":{"type":"equals","pattern":"main"}},)"
    R"("action":{"ref":"core.echo","parameters":{"message":"{{ trigger.body.ref }}"}}})";

class WebhookTest : public ApiTest {
 protected:
  void SetUp() override {
    ApiTest::SetUp();
    auto created =
        post("/api/v1/webhook-endpoints",
             R"({"name":"ci","scheme":"github","secrets":[")" + std::string(kSecret) + R"("]})");
    ASSERT_EQ(created.status, 201) << created.text;
    ASSERT_EQ(post("/api/v1/rules", kPushRule).status, 201);
  }

  Answer deliver(const std::string& body, const std::string& id,
                 const std::string& secret = kSecret) {
    auto signature = hex_encode(auth::bytes_of(auth::hmac_sha256(secret, {body})));
    return send("POST", "/api/v1/webhooks/ci", body,
                {{"Authorization", ""},
                 {"Content-Type", "application/json"},
                 {"X-GitHub-Event", "push"},
                 {"X-GitHub-Delivery", id},
                 {"X-Hub-Signature-256", "sha256=" + signature}});
  }
  static std::string event_of(const Answer& answer) {
    return std::string(answer.data().string_or("event", ""));
  }
  size_t events() { return get("/api/v1/events").data().size(); }
};

TEST_F(WebhookTest, ASignedDeliveryBecomesAFinishedExecution) {
  auto answer = deliver(R"({"ref":"main"})", "d1");
  ASSERT_EQ(answer.status, 202) << answer.text;
  EXPECT_EQ(answer.data()["duplicate"], Value(false));
  auto event = get("/api/v1/events/" + event_of(answer));
  EXPECT_EQ(event.data()["payload"]["body"]["ref"], Value("main"));
  EXPECT_EQ(event.data()["source"], Value("webhook:ci"));
  auto enforcements = get("/api/v1/enforcements?event=" + event_of(answer));
  ASSERT_EQ(enforcements.data().size(), 1u);
  auto id = std::string(enforcements.data().as_list()[0].string_or("execution", ""));
  auto execution = get("/api/v1/executions/" + id + "?wait=10s");
  EXPECT_EQ(execution.data()["status"], Value("succeeded")) << execution.text;
  EXPECT_EQ(execution.data()["parameters"]["message"], Value("main"));
}

// Above 64 KiB a body is read beside the loop; what comes of it is the same.
TEST_F(WebhookTest, ALongBodyIsReadAsAShortOne) {
  std::string filler(200'000, 'x');
  auto answer = deliver(R"({"ref":"main","text":")" + filler + "\"}", "long");
  ASSERT_EQ(answer.status, 202) << answer.text;
  auto event = get("/api/v1/events/" + event_of(answer));
  EXPECT_EQ(event.data()["payload"]["body"]["text"], Value(filler));
  EXPECT_EQ(deliver("{\"ref\":\"" + filler, "broken").status, 400);
  auto echo = post("/api/v1/executions",
                   R"({"action":"core.echo","parameters":{"message":")" + filler + "\"}}");
  EXPECT_EQ(echo.status, 201) << echo.text;
  EXPECT_EQ(post("/api/v1/executions", R"({"action":")" + filler).status, 400);
}

TEST_F(WebhookTest, AnObjectHasAtMostTenThousandKeys) {
  std::string body = "{";
  for (int i = 0; i <= 10'000; ++i) body += "\"k" + std::to_string(i) + "\":1,";
  body.back() = '}';
  auto refused = deliver(body, "keys");
  EXPECT_EQ(refused.status, 400);
  EXPECT_NE(refused.text.find("at most 10000 keys"), std::string::npos) << refused.text;
}

TEST_F(WebhookTest, TheTraceShowsTheWholeWayFromEitherEnd) {
  auto event = event_of(deliver(R"({"ref":"main"})", "d1"));
  auto trace = get("/api/v1/traces/" + event);
  ASSERT_EQ(trace.status, 200) << trace.text;
  EXPECT_EQ(trace.data()["event"]["id"], Value(event));
  const auto& first = trace.data()["enforcements"].as_list()[0];
  EXPECT_EQ(first["enforcement"]["rule_ref"], Value("ci.on_push"));
  EXPECT_GT(first["enforcement"]["verdicts"].size(), 0u);
  auto execution = std::string(first["started"]["execution"].string_or("id", ""));
  EXPECT_EQ(get("/api/v1/traces/" + execution).data(), trace.data());
  EXPECT_EQ(get("/api/v1/traces/1").status, 404);
}

TEST_F(WebhookTest, AWrongSignatureStoresNothingAndConsumesNoKey) {
  EXPECT_EQ(deliver(R"({"ref":"main"})", "d1", "another secret").status, 401);
  EXPECT_EQ(events(), 0u);
  auto right = deliver(R"({"ref":"main"})", "d1");
  EXPECT_EQ(right.status, 202);
  EXPECT_EQ(right.data()["duplicate"], Value(false));
}

TEST_F(WebhookTest, TheSameDeliveryTwiceIsOneEvent) {
  auto first = deliver(R"({"ref":"main"})", "d1");
  auto again = deliver(R"({"ref":"main"})", "d1");
  EXPECT_EQ(again.status, 202);
  EXPECT_EQ(again.data()["duplicate"], Value(true));
  EXPECT_EQ(event_of(again), event_of(first));
  auto other_id = deliver(R"({"ref":"main"})", "d2");
  EXPECT_EQ(event_of(other_id), event_of(first)) << "the same body is the same delivery";
  EXPECT_EQ(deliver(R"({"ref":"dev"})", "d3").data()["duplicate"], Value(false));
  EXPECT_EQ(events(), 2u);
}

TEST_F(WebhookTest, BothSecretsCountWhileTheSenderChangesOver) {
  auto path = std::string("/api/v1/webhook-endpoints/ci");
  auto updated = send("PUT", path,
                      R"({"scheme":"github","secrets":["the hook's new secret",")" +
                          std::string(kSecret) + R"("]})",
                      {{"Content-Type", "application/json"}});
  ASSERT_EQ(updated.status, 200) << updated.text;
  EXPECT_EQ(deliver(R"({"ref":"1"})", "d1").status, 202);
  EXPECT_EQ(deliver(R"({"ref":"2"})", "d2", "the hook's new secret").status, 202);
  send("PUT", path, R"({"scheme":"github","secrets":["the hook's new secret"]})",
       {{"Content-Type", "application/json"}});
  EXPECT_EQ(deliver(R"({"ref":"3"})", "d3").status, 401);
  EXPECT_EQ(deliver(R"({"ref":"4"})", "d4", "the hook's new secret").status, 202);
  EXPECT_EQ(get(path).text.find("secret of the hook"), std::string::npos);
}

TEST_F(WebhookTest, APingIsAnEventAndAnotherBranchMatchesNothing) {
  auto ping = deliver(R"({"zen":"Keep it logically awesome.","hook_id":1})", "p1");
  EXPECT_EQ(ping.status, 202);
  auto other = deliver(R"({"ref":"dev"})", "d1");
  EXPECT_EQ(get("/api/v1/enforcements?event=" + event_of(other)).data().size(), 0u);
  auto why = get("/api/v1/rules/ci.on_push/why?event=" + event_of(other));
  ASSERT_EQ(why.status, 200) << why.text;
  EXPECT_EQ(why.data()["matched"], Value(false));
}

TEST_F(WebhookTest, UnknownEndpointsAreNotFoundWithoutHints) {
  auto answer = send("POST", "/api/v1/webhooks/c", "{}", {{"Authorization", ""}});
  EXPECT_EQ(answer.status, 404);
  EXPECT_EQ(answer.text.find("'ci'"), std::string::npos);
  EXPECT_EQ(send("DELETE", "/api/v1/webhook-endpoints/ci").status, 204);
  EXPECT_EQ(deliver("{}", "d1").status, 404);
}

TEST_F(WebhookTest, AnEndpointWithoutASchemeAsksForAToken) {
  ASSERT_EQ(post("/api/v1/webhook-endpoints", R"({"name":"plain","scheme":"token"})").status, 201);
  auto body = R"({"a":1})";
  Lines json = {{"Content-Type", "application/json"}};
  auto with = [&](const Secret& token) {
    auto lines = bearer(token);
    lines.insert(lines.end(), json.begin(), json.end());
    return send("POST", "/api/v1/webhooks/plain", body, lines).status;
  };
  EXPECT_EQ(with(token("events:send")), 202);
  EXPECT_EQ(with(token("events:read")), 403);
  EXPECT_EQ(send("POST", "/api/v1/webhooks/plain", body, {{"Authorization", ""}}).status, 401);
}

TEST_F(WebhookTest, ANumberThatCannotBeKeptIsRefusedAndNothingIsStored) {
  ASSERT_EQ(post("/api/v1/webhook-endpoints", R"({"name":"plain","scheme":"token"})").status, 201);
  for (const char* body : {R"({"id":13835058055282163713})", R"({"x":1e400})"}) {
    auto answer = post("/api/v1/webhooks/plain", body);
    EXPECT_EQ(answer.status, 400) << answer.text;
    EXPECT_NE(answer.text.find("expected a"), std::string::npos) << answer.text;
  }
  EXPECT_EQ(get("/api/v1/events").data().size(), 0U);
  EXPECT_EQ(post("/api/v1/webhooks/plain", R"({"id":9223372036854775807})").status, 202);
}

TEST_F(ApiTest, AnIdempotencyKeyMakesOneEndpoint) {
  const std::string endpoint = R"({"name":"gl","scheme":"token"})";
  Lines lines{{"Content-Type", "application/json"}, {"Idempotency-Key", "k1"}};
  auto made = send("POST", "/api/v1/webhook-endpoints", endpoint, lines);
  ASSERT_EQ(made.status, 201) << made.text;
  auto again = send("POST", "/api/v1/webhook-endpoints", endpoint, lines);
  EXPECT_EQ(again.status, 201) << again.text;
  EXPECT_EQ(again.data(), made.data());
  EXPECT_EQ(post("/api/v1/webhook-endpoints", endpoint).code(), "WHK-0103");
  Lines removes{{"Idempotency-Key", "k2"}};
  EXPECT_EQ(send("DELETE", "/api/v1/webhook-endpoints/gl", {}, removes).status, 204);
  EXPECT_EQ(send("DELETE", "/api/v1/webhook-endpoints/gl", {}, removes).status, 204);
}

TEST_F(WebhookTest, BadEndpointsAreToldInFull) {
  auto answer = post("/api/v1/webhook-endpoints", R"({"name":"A B","scheme":"githbu"})");
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(answer.body["errors"].size(), 3u) << answer.text;
  EXPECT_NE(answer.text.find("did you mean 'github'?"), std::string::npos);
  EXPECT_EQ(post("/api/v1/webhook-endpoints",
                 R"({"name":"ci","scheme":"github","secrets":["1234567812345678"]})")
                .status,
            409);
}

TEST_F(WebhookTest, AWeakSecretIsRefusedWithItsReason) {
  auto with = [&](const std::string& scheme, const std::string& secret) {
    return post("/api/v1/webhook-endpoints",
                R"({"name":"weak","scheme":")" + scheme + R"(","secrets":[")" + secret + R"("]})");
  };
  for (const char* secret : {"12345678", "                        ",
                             R"(\u0001\u0001\u0001\u0001\u0001\u0001\u0001\u0001\u0001\u0001\u0001)"
                             R"(\u0001\u0001\u0001\u0001\u0001)"}) {
    auto refused = with("github", secret);
    EXPECT_EQ(refused.code(), "API-0062") << refused.text;
    EXPECT_NE(refused.text.find("/secrets/0"), std::string::npos) << refused.text;
  }
  EXPECT_NE(with("standard", "whsec_AA==").text.find("found 1"), std::string::npos);

  // Kept over a change of the scheme, it is another key.
  ASSERT_EQ(with("github", "whsec_AAECAwQFBgc=").status, 201);
  auto moved = send("PUT", "/api/v1/webhook-endpoints/weak", R"({"scheme":"standard"})",
                    {{"Content-Type", "application/json"}});
  EXPECT_EQ(moved.code(), "API-0062") << moved.text;
}

TEST_F(ApiTest, CloudEventsAreAcceptedOnceEach) {
  Lines type = {{"Content-Type", "application/cloudevents-batch+json"}};
  auto batch = R"([{"specversion":"1.0","id":"1","source":"s","type":"ci.push","data":{"n":1}},)"
               R"({"specversion":"1.0","id":"2","source":"s","type":"other","data":{"n":2}}])";
  auto answer = send("POST", "/api/v1/events", batch, type);
  ASSERT_EQ(answer.status, 202) << answer.text;
  ASSERT_EQ(answer.data().size(), 2u);
  auto again = send("POST", "/api/v1/events", batch, type);
  EXPECT_EQ(again.data().as_list()[0]["duplicate"], Value(true));
  EXPECT_EQ(again.data().as_list()[0]["event"], answer.data().as_list()[0]["event"]);
  EXPECT_EQ(get("/api/v1/events").data().size(), 2u);
  EXPECT_EQ(get("/api/v1/events?trigger=core.cloudevent").data().size(), 1u);
  EXPECT_EQ(send("POST", "/api/v1/events", "{}", {{"Content-Type", "text/plain"}}).status, 415);
}

// CloudEvents 1.0: a String has none; and a NUL is no text to PostgreSQL.
TEST_F(ApiTest, ACloudEventsAttributeHasNoControlCharacters) {
  Lines type = {{"Content-Type", "application/cloudevents+json"}};
  for (const char* bad : {R"(a\u0000b)", R"(a\nb)", R"(a\u0085b)", R"(\u007f)"}) {
    for (const char* name : {"id", "source", "type"}) {
      std::string event = R"({"specversion":"1.0","id":"1","source":"s","type":"t")";
      size_t at = event.find(std::string("\"") + name);
      size_t value = event.find(':', at) + 2;
      event.replace(value, 1, bad);
      auto answer = send("POST", "/api/v1/events", event + "}", type);
      EXPECT_EQ(answer.status, 400) << event;
      EXPECT_TRUE(answer.text.contains("control characters")) << answer.text;
    }
  }
  EXPECT_EQ(get("/api/v1/events").data().size(), 0u);
  // Data may hold any.
  auto fine = R"({"specversion":"1.0","id":"ä","source":"s","type":"t","data":"a\u0000b"})";
  EXPECT_EQ(send("POST", "/api/v1/events", fine, type).status, 202);
}

TEST_F(ApiTest, ATextOfARequestHasNoNul) {
  auto answer = send("POST", "/api/v1/rules",
                     R"({"ref":"a.\u0000b","trigger":{"ref":"core.cloudevent"},)"
                     R"("action":{"ref":"core.noop"}})",
                     {{"Content-Type", "application/json"}});
  EXPECT_EQ(answer.status, 400);
  EXPECT_TRUE(answer.text.contains("NUL character at byte 2")) << answer.text;
}

// security.md M2: who may send events cannot speak as a hook, nor take the key of its delivery.
TEST_F(WebhookTest, AStrangerCannotTakeADeliverysPlace) {
  auto sender = bearer(token("events:send"));
  auto send_as = [&](const std::string& source, const std::string& type) {
    auto lines = sender;
    lines.insert(lines.end(), {{"Content-Type", "application/json"},
                               {"ce-specversion", "1.0"},
                               {"ce-id", "d1"},
                               {"ce-source", source},
                               {"ce-type", type}});
    return send("POST", "/api/v1/events", "{}", lines);
  };
  for (const char* source : {"webhook:ci", "timer:core.crontimer", "execution:1"}) {
    auto refused = send_as(source, "ci.push");
    EXPECT_EQ(refused.status, 400) << source;
    EXPECT_NE(refused.text.find("ce-source"), std::string::npos) << refused.text;
  }
  auto forged = send_as("s", "core.webhook");
  EXPECT_EQ(forged.status, 400);
  EXPECT_NE(forged.text.find("ce-type"), std::string::npos) << forged.text;
  EXPECT_EQ(events(), 0U);
  EXPECT_EQ(send_as("s", "ci.push").status, 202);
  EXPECT_EQ(deliver(R"({"ref":"main"})", "d1").data()["duplicate"], Value(false));
}

// security.md M1: a captured delivery, and the sender's own second try with a new time.
TEST_F(WebhookTest, WhoSignsATimeIsHeardOnce) {
  const std::string secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
  for (std::string scheme : {"stripe", "slack"}) {
    auto made =
        post("/api/v1/webhook-endpoints", R"({"name":")" + scheme + R"(","scheme":")" + scheme +
                                              R"(","secrets":[")" + secret + R"("]})");
    ASSERT_EQ(made.status, 201) << made.text;
    auto deliver_at = [&](const std::string& body, int later_s) {
      auto time = std::to_string(now_ms_ / 1000 + later_s);
      auto sign = [&](const std::string& before) {
        return hex_encode(auth::bytes_of(auth::hmac_sha256(secret, {before, body})));
      };
      Lines lines = {{"Authorization", ""}, {"Content-Type", "application/json"}};
      if (scheme == "stripe") {
        lines.emplace_back("Stripe-Signature", "t=" + time + ",v1=" + sign(time + "."));
      } else {
        lines.emplace_back("X-Slack-Request-Timestamp", time);
        lines.emplace_back("X-Slack-Signature", "v0=" + sign("v0:" + time + ":"));
      }
      auto answer = send("POST", "/api/v1/webhooks/" + scheme, body, lines);
      EXPECT_EQ(answer.status, 202) << answer.text;
      return answer;
    };
    const std::string name = scheme == "stripe" ? "id" : "event_id";
    for (const std::string& body :
         {R"({"n":1,")" + name + R"(":"e1"})", std::string(R"({"n":2})")}) {
      auto first = deliver_at(body, 0);
      EXPECT_EQ(first.data()["duplicate"], Value(false));
      for (int later : {0, 7}) {
        auto again = deliver_at(body, later);
        EXPECT_EQ(again.data()["duplicate"], Value(true)) << scheme << body;
        EXPECT_EQ(event_of(again), event_of(first));
      }
    }
    auto changed = deliver_at(R"({"n":3,")" + name + R"(":"e1"})", 9);
    EXPECT_EQ(changed.data()["duplicate"], Value(true)) << "the id is what tells them apart";
    EXPECT_EQ(deliver_at(R"({"n":3})", 9).data()["duplicate"], Value(false));
  }
}

// What is no UTF-8 is read in the charset that it names, kept as base64, or refused.
TEST_F(ApiTest, ACloudEventInHeadersKeepsItsBytes) {
  auto sent = [&](std::string subject, std::string type, const std::string& body) {
    static int id = 0;
    return send("POST", "/api/v1/events", body,
                {{"Content-Type", std::move(type)},
                 {"ce-specversion", "1.0"},
                 {"ce-id", std::to_string(++id)},
                 {"ce-source", "s"},
                 {"ce-type", "ci.push"},
                 {"ce-subject", std::move(subject)}});
  };
  auto data = [&](const Answer& answer) {
    EXPECT_EQ(answer.status, 202) << answer.text;
    return get("/api/v1/events/" + std::string(answer.data().string_or("event", "")))
        .data()["payload"];
  };
  EXPECT_EQ(data(sent("x", "text/plain; charset=iso-8859-1", "M\xFCnchen")), Value("München"));
  EXPECT_EQ(data(sent("x", "text/plain", "M\xFCnchen")), Value::map({{"base64", "TfxuY2hlbg=="}}));
  EXPECT_EQ(sent("x", "text/plain; charset=utf-8", "M\xFCnchen").status, 400);
  EXPECT_EQ(sent("x", "text/plain; charset=shift_jis", "\x83n").status, 415);
  EXPECT_EQ(sent("M%FCnchen", "application/json", "{}").status, 400);
}

TEST_F(ApiTest, APastEventCanBeReplayed) {
  auto sent = send("POST", "/api/v1/events", R"({"n":1})",
                   {{"Content-Type", "application/json"},
                    {"ce-specversion", "1.0"},
                    {"ce-id", "1"},
                    {"ce-source", "s"},
                    {"ce-type", "ci.push"}});
  ASSERT_EQ(sent.status, 202) << sent.text;
  auto id = std::string(sent.data().string_or("event", ""));
  auto replayed = send("POST", "/api/v1/events/" + id + "/replay");
  ASSERT_EQ(replayed.status, 202) << replayed.text;
  auto copy = get("/api/v1/events/" + std::string(replayed.data().string_or("event", "")));
  EXPECT_EQ(copy.data()["replay_of"], Value(id));
  EXPECT_EQ(copy.data()["payload"]["n"], Value(1));
  EXPECT_EQ(send("POST", "/api/v1/events/1/replay").status, 404);
}

TEST_F(ApiTest, ARuleCanBeTestedBeforeItExists) {
  auto test = [&](const std::string& payload) {
    return post("/api/v1/rules/test",
                R"({"rule":)" + std::string(kPushRule) + R"(,"payload":)" + payload + "}");
  };
  auto matched = test(R"({"name":"ci","body":{"ref":"main"}})");
  ASSERT_EQ(matched.status, 200) << matched.text;
  auto other = test(R"({"name":"ci","body":{"ref":"dev"}})");
  EXPECT_EQ(other.data()["matched"], Value(false)) << other.text;
  EXPECT_EQ(post("/api/v1/rules/test", "{}").code(), "API-0042");
  EXPECT_EQ(get("/api/v1/rules").data().size(), 0u);
}

}  // namespace
}  // namespace millrace::api
