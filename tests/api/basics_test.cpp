// SPDX-License-Identifier: Apache-2.0
// What holds for every route: who may, what is well formed, how errors look.
#include <fmt/format.h>

#include "api_fixture.h"
#include "services/api/shared.h"

namespace millrace::api {
namespace {

const char* const kRule =
    R"({"ref":"ci.on_push","trigger":{"ref":"core.webhook","parameters":{"name":"ci"}},)"
    R"("criteria":{"trigger.body.ref":{"type":"equals","pattern":"main"}},)"
    R"("action":{"ref":"core.echo","parameters":{"message":"{{ trigger.body.ref }}"}}})";

TEST_F(ApiTest, WithoutATokenOnlyHealthAnswers) {
  ApiTest::Lines nobody = {{"Authorization", ""}};
  EXPECT_EQ(send("GET", "/health", "", nobody).status, 200);
  EXPECT_EQ(send("GET", "/ready", "", nobody).status, 200);
  for (auto path : {"/api/v1/rules", "/metrics", "/info", "/api/v1/openapi.json",
                    "/api/v1/executions/1", "/api/v1/stream"}) {
    auto answer = send("GET", path, "", nobody);
    EXPECT_EQ(answer.status, 401) << path;
    EXPECT_EQ(answer.header("WWW-Authenticate"), "Bearer") << path;
  }
}

TEST_F(ApiTest, ATokenOpensOnlyWhatItIsAllowed) {
  auto reader = token("rules:read");
  EXPECT_EQ(send("GET", "/api/v1/rules", "", bearer(reader)).status, 200);
  auto denied = send("GET", "/api/v1/executions", "", bearer(reader));
  EXPECT_EQ(denied.status, 403);
  EXPECT_EQ(denied.body.string_or("detail", ""), "'ada' lacks the permission 'executions:read'");
  EXPECT_EQ(send("GET", "/api/v1/identity", "", bearer(reader)).data()["permissions"].size(), 1u);
}

TEST_F(ApiTest, UnknownAndExpiredTokensAreRefused) {
  auto expired = token("*", now_ms_ + 1000);
  EXPECT_EQ(send("GET", "/info", "", bearer(expired)).status, 200);
  now_ms_ += 1000;
  EXPECT_EQ(send("GET", "/info", "", bearer(expired)).code(), "AUT-0003");
  EXPECT_EQ(send("GET", "/info", "", bearer(Secret("mr_00"))).code(), "AUT-0002");
  EXPECT_EQ(send("GET", "/info", "", {{"Authorization", "Basic YTpi"}}).code(), "API-0008");
}

TEST_F(ApiTest, EachAnswerCarriesTheRequestsId) {
  auto given = send("GET", "/health", "", {{"X-Request-Id", "my-id.1_2"}});
  EXPECT_EQ(given.header("X-Request-Id"), "my-id.1_2");
  auto bad = send("GET", "/nowhere", "", {{"X-Request-Id", "a b\"c"}});
  EXPECT_EQ(bad.header("X-Request-Id").size(), 24u);
  EXPECT_EQ(bad.body.string_or("request_id", ""), bad.header("X-Request-Id"));
  EXPECT_NE(get("/health").header("X-Request-Id"), get("/health").header("X-Request-Id"));
}

TEST_F(ApiTest, UnknownRoutesAndMethodsSaySo) {
  auto missing = get("/api/v1/rule");
  EXPECT_EQ(missing.status, 404);
  EXPECT_EQ(missing.code(), "API-0006");
  auto method = send("PATCH", "/api/v1/rules");
  EXPECT_EQ(method.status, 405);
  EXPECT_EQ(method.header("Allow"), "GET, POST");
  EXPECT_EQ(send("HEAD", "/health").status, 200);
}

TEST_F(ApiTest, BadJsonIsToldWithItsPosition) {
  auto answer = post("/api/v1/executions", "{\"action\":\n \"core.echo\",}");
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(answer.code(), "BAS-0002");
  EXPECT_NE(answer.body.string_or("detail", "").find("line 2"), std::string::npos) << answer.text;
}

TEST_F(ApiTest, UnknownFieldsAndParametersAreRefusedWithTheNearest) {
  auto body = post("/api/v1/executions", R"({"action":"core.echo","parametres":{}})");
  EXPECT_EQ(body.status, 400);
  EXPECT_EQ(body.body["errors"].as_list()[0]["path"], Value("/parametres"));
  EXPECT_EQ(body.body["errors"].as_list()[0]["message"],
            Value("unknown field (did you mean 'parameters'?)"));
  auto query = get("/api/v1/executions?statsu=running");
  EXPECT_EQ(query.status, 400);
  EXPECT_EQ(query.body["errors"].as_list()[0]["path"], Value("?statsu"));
  EXPECT_EQ(get("/api/v1/executions?limit=5&limit=6").code(), "API-0004");
  EXPECT_EQ(get("/info?verbose=1").code(), "API-0017");
  EXPECT_EQ(get("/api/v1/executions?limit=0").status, 400);
  EXPECT_EQ(get("/api/v1/executions/abc").status, 400);
}

TEST_F(ApiTest, WrongContentAndOversizeAreRefused) {
  EXPECT_EQ(send("POST", "/api/v1/executions", "action=x",
                 {{"Content-Type", "application/x-www-form-urlencoded"}})
                .status,
            415);
  EXPECT_EQ(send("POST", "/api/v1/executions", "{}").status, 415);
  auto large = send("POST", "/api/v1/events", std::string(100'001, ' '),
                    {{"Content-Type", "application/cloudevents+json"}});
  EXPECT_EQ(large.status, 413);
  EXPECT_EQ(large.header("Content-Type"), "application/problem+json");
  EXPECT_EQ(large.body.string_or("request_id", ""), large.header("X-Request-Id"));
}

TEST_F(ApiTest, WritesAreRefusedWhileDraining) {
  api_->set_phase(Phase::Draining);
  EXPECT_EQ(get("/ready").status, 503);
  EXPECT_EQ(get("/health").status, 200);
  auto answer = post("/api/v1/rules", kRule);
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.header("Retry-After"), "5");
  EXPECT_EQ(get("/api/v1/rules").data().size(), 0u);
}

TEST_F(ApiTest, RulesAreWrittenWithRevisions) {
  auto created = post("/api/v1/rules", kRule);
  ASSERT_EQ(created.status, 201) << created.text;
  EXPECT_EQ(created.header("ETag"), "\"1\"");
  EXPECT_EQ(created.data()["action"]["ref"], Value("core.echo"));
  EXPECT_EQ(post("/api/v1/rules", kRule).status, 409);

  ApiTest::Lines json = {{"Content-Type", "application/json"}};
  auto stale = json;
  stale.emplace_back("If-Match", "\"7\"");
  EXPECT_EQ(send("PUT", "/api/v1/rules/ci.on_push", kRule, stale).status, 412);
  auto current = json;
  current.emplace_back("If-Match", "\"1\"");
  EXPECT_EQ(send("PUT", "/api/v1/rules/ci.on_push", kRule, current).header("ETag"), "\"2\"");

  EXPECT_EQ(send("POST", "/api/v1/rules/ci.on_push/disable").data()["enabled"], Value(false));
  EXPECT_EQ(get("/api/v1/rules?enabled=true").data().size(), 0u);
  EXPECT_EQ(get("/api/v1/rules?enabled=false").data().size(), 1u);
  EXPECT_EQ(send("POST", "/api/v1/rules/ci.on_push/enable").data()["revision"], Value(4));
  EXPECT_EQ(send("DELETE", "/api/v1/rules/ci.on_push").status, 204);
  EXPECT_EQ(get("/api/v1/rules/ci.on_push").status, 404);
}

TEST_F(ApiTest, AnIdempotencyKeyMakesOneRevision) {
  const std::string rule =
      R"({"ref":"ci.r","trigger":{"ref":"ci.push"},"action":{"ref":"core.noop"}})";
  auto as = [](const char* key, Lines more = {}) {
    more.emplace_back("Content-Type", "application/json");
    more.emplace_back("Idempotency-Key", key);
    return more;
  };
  auto made = send("POST", "/api/v1/rules", rule, as("k1"));
  ASSERT_EQ(made.status, 201) << made.text;
  auto again = send("POST", "/api/v1/rules", rule, as("k1"));
  EXPECT_EQ(again.status, 201) << again.text;
  EXPECT_EQ(again.data(), made.data());
  EXPECT_EQ(send("POST", "/api/v1/rules", rule, as("k2")).status, 409);
  EXPECT_EQ(send("PUT", "/api/v1/rules/ci.r", rule, as("k1")).status, 422);
  Lines on_first = as("k3", {{"If-Match", "\"1\""}});
  EXPECT_EQ(send("PUT", "/api/v1/rules/ci.r", rule, on_first).data()["revision"], Value(2));
  auto updated = send("PUT", "/api/v1/rules/ci.r", rule, on_first);
  EXPECT_EQ(updated.status, 200) << updated.text;
  EXPECT_EQ(updated.data()["revision"], Value(2));
  EXPECT_EQ(send("DELETE", "/api/v1/rules/ci.r", {}, as("k4")).status, 204);
  EXPECT_EQ(send("DELETE", "/api/v1/rules/ci.r", {}, as("k4")).status, 204);
  EXPECT_EQ(send("DELETE", "/api/v1/rules/ci.r", {}, as("k5")).status, 404);
}

TEST_F(ApiTest, ARuleWithAnUnknownActionIsRefusedWithTheNearest) {
  auto answer = post("/api/v1/rules",
                     R"({"ref":"ci.x","trigger":{"ref":"ci.push"},"action":{"ref":"ci.biuld"}})");
  EXPECT_EQ(answer.status, 400);
  EXPECT_NE(answer.text.find("did you mean 'ci.build'?"), std::string::npos) << answer.text;
  EXPECT_EQ(post("/api/v1/rules", R"({"ref":"nodot","trigger":{"ref":"ci.push"},)"
                                  R"("action":{"ref":"ci.build"}})")
                .code(),
            "API-0040");
}

TEST_F(ApiTest, ListsGoPageByPage) {
  for (int i = 0; i < 5; ++i) {
    auto rule = fmt::format(
        R"({{"ref":"ci.r{}","trigger":{{"ref":"ci.push"}},"action":{{"ref":"ci.build"}}}})", i);
    ASSERT_EQ(post("/api/v1/rules", rule).status, 201);
  }
  std::vector<std::string> refs;
  std::string cursor;
  do {
    auto page = get("/api/v1/rules?limit=2&cursor=" + cursor);
    ASSERT_EQ(page.status, 200) << page.text;
    for (const auto& rule : page.data().as_list()) refs.emplace_back(rule.string_or("ref", ""));
    cursor = page.body.string_or("next_cursor", "");
  } while (!cursor.empty());
  EXPECT_EQ(refs, (std::vector<std::string>{"ci.r0", "ci.r1", "ci.r2", "ci.r3", "ci.r4"}));
  auto packs = get("/api/v1/packs?limit=1");
  EXPECT_EQ(packs.data().as_list()[0]["ref"], Value("ci"));
  auto rest = get("/api/v1/packs?cursor=" + std::string(packs.body.string_or("next_cursor", "")));
  EXPECT_EQ(rest.data().as_list()[0]["ref"], Value("core"));
  EXPECT_EQ(rest.body["next_cursor"], Value());
  EXPECT_EQ(get("/api/v1/events?cursor=" +
                std::string(get("/api/v1/rules?limit=2").body.string_or("next_cursor", "")))
                .code(),
            "API-0002");
}

TEST_F(ApiTest, HistoryIsListedFromEitherEnd) {
  std::vector<std::string> made;
  for (int i = 0; i < 5; ++i) {
    auto run = post("/api/v1/executions", R"({"action":"core.echo"})");
    made.emplace_back(run.data().string_or("id", ""));
  }
  auto listed = [&](const std::string& sort) {
    std::vector<std::string> ids;
    std::string cursor;
    do {
      auto page = get("/api/v1/executions?limit=2" + sort + "&cursor=" + cursor);
      EXPECT_EQ(page.status, 200) << page.text;
      for (const auto& run : page.data().as_list()) ids.emplace_back(run.string_or("id", ""));
      cursor = page.body.string_or("next_cursor", "");
    } while (!cursor.empty());
    return ids;
  };
  std::vector<std::string> newest(made.rbegin(), made.rend());
  EXPECT_EQ(listed(""), newest);
  EXPECT_EQ(listed("&sort=-created"), newest);
  EXPECT_EQ(listed("&sort=created"), made);
  auto first = get("/api/v1/executions?limit=2&sort=created");
  auto cursor = std::string(first.body.string_or("next_cursor", ""));
  EXPECT_EQ(get("/api/v1/executions?cursor=" + cursor).code(), "API-0002") << "of another order";
  EXPECT_EQ(get("/api/v1/executions?sort=status").code(), "BAS-0004");
  for (auto list : {"events", "enforcements"}) {
    EXPECT_EQ(get(fmt::format("/api/v1/{}?sort=created", list)).status, 200) << list;
  }
}

TEST_F(ApiTest, TokensAreShownOnceAndDieWhenRevoked) {
  auto made = post("/api/v1/tokens",
                   R"({"identity":"bob","permissions":["rules:*"],"roles":["sre"],"ttl_s":60})");
  ASSERT_EQ(made.status, 201) << made.text;
  Secret token(std::string(made.data().string_or("token", "")));
  auto identity = send("GET", "/api/v1/identity", "", bearer(token)).data();
  EXPECT_EQ(identity["identity"], Value("bob"));
  EXPECT_EQ(identity["roles"], Value(ValueList{"sre"}));
  EXPECT_EQ(
      post("/api/v1/tokens", R"({"identity":"x","permissions":["*"],"roles":["a,*"]})").code(),
      "API-0089");
  auto list = get("/api/v1/tokens");
  EXPECT_EQ(list.text.find(token.reveal()), std::string::npos);
  EXPECT_EQ(list.data().size(), 2u);
  auto id = std::string(made.data().string_or("id", ""));
  EXPECT_EQ(send("DELETE", "/api/v1/tokens/" + id).status, 204);
  EXPECT_EQ(send("GET", "/api/v1/identity", "", bearer(token)).status, 401);
  EXPECT_EQ(send("DELETE", "/api/v1/tokens/" + id).status, 404);
}

TEST_F(ApiTest, NobodyGivesAwayWhatTheyLack) {
  auto limited = token("admin,rules:read");
  auto lines = bearer(limited);
  lines.emplace_back("Content-Type", "application/json");
  EXPECT_EQ(send("POST", "/api/v1/tokens", R"({"identity":"x","permissions":["*"]})", lines).code(),
            "API-0080");
  EXPECT_EQ(
      send("POST", "/api/v1/tokens", R"({"identity":"x","permissions":["rules:raed"]})", lines)
          .code(),
      "AUT-0001");
}

TEST_F(ApiTest, CataloguesAndSystemAnswer) {
  EXPECT_EQ(get("/api/v1/packs").data().size(), 2u);
  EXPECT_EQ(get("/api/v1/packs/ci").data()["actions"], Value(2));
  EXPECT_EQ(get("/api/v1/actions?pack=core").data().size(), 3u);
  EXPECT_EQ(get("/api/v1/actions/ci.build").data()["parameters"].as_list()[1]["secret"],
            Value(true));
  auto missing = get("/api/v1/actions/ci.biuld");
  EXPECT_EQ(missing.status, 404);
  EXPECT_NE(missing.text.find("'ci.build'"), std::string::npos);
  EXPECT_EQ(get("/api/v1/triggers").data().size(), 5u);
  EXPECT_EQ(get("/metrics").text, "millrace_up 1\n");
  EXPECT_EQ(get("/info").data()["phase"], Value("ready"));
  EXPECT_EQ(get("/api/v1/openapi.json").body["openapi"], Value("3.1.0"));
  EXPECT_EQ(get("/api/v1/workers").status, 200);
  EXPECT_EQ(get("/api/v1/queues").status, 200);
  EXPECT_EQ(get("/api/v1/quarantine").status, 200);
  EXPECT_NE(get("/api/docs").text.find("run_execution"), std::string::npos);
}

}  // namespace
}  // namespace millrace::api
