// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "api_fixture.h"
#include "base/json.h"
#include "store/read.h"

namespace millrace::api {
namespace {

class KeyTest : public ApiTest {
 protected:
  Answer put(const std::string& path, const std::string& json, Lines headers = {}) {
    headers.emplace_back("Content-Type", "application/json");
    return send("PUT", "/api/v1/keys/" + path, json, std::move(headers));
  }
  Answer show(const std::string& path) { return get("/api/v1/keys/" + path); }
  kernel::KeyRow stored(const std::string& scope, const std::string& name) {
    auto reader = store_->open_reader();
    auto row = store::find_key(**reader, {kDefaultTenant, scope, name});
    return row.ok() && *row ? **row : kernel::KeyRow{};
  }
};

TEST_F(KeyTest, AValueIsAnyJson) {
  auto first = put("system/limits", R"({"value":{"cpu":[1,2]}})");
  ASSERT_EQ(first.status, 200) << first.text;
  EXPECT_EQ(first.header("ETag"), "\"1\"");
  auto shown = show("system/limits");
  EXPECT_EQ(shown.data()["value"], Value::map({{"cpu", Value(ValueList{1, 2})}}));
  EXPECT_EQ(shown.data()["encrypted"], Value(false));
  EXPECT_EQ(show("system/nix").code(), "KEY-0001");
  EXPECT_EQ(show("system/nix").status, 404);
}

// One that was damaged is listed with the others, and deleted.
TEST_F(KeyTest, AValueThatCannotBeReadSaysSo) {
  for (const char* name : {"system/a", "system/b"}) {
    ASSERT_EQ(put(name, R"({"value":1})").status, 200);
  }
  {
    auto writer = std::move(*store_->open_writer());
    ASSERT_TRUE(writer->run("UPDATE key_value SET value = x'7b' WHERE name = 'a'").ok());
  }
  auto listed = get("/api/v1/keys?scope=system");
  ASSERT_EQ(listed.status, 200) << listed.text;
  ASSERT_EQ(listed.data().size(), 2u);
  const auto& bad = listed.data().as_list()[0];
  EXPECT_TRUE(bad["value"].is_null());
  EXPECT_TRUE(bad.string_or("fault", "").starts_with("what is stored cannot be read"))
      << listed.text;
  EXPECT_EQ(listed.data().as_list()[1].find("fault"), nullptr);
  EXPECT_EQ(show("system/a").status, 200);
  EXPECT_EQ(send("DELETE", "/api/v1/keys/system/a").status, 204);
}

TEST_F(KeyTest, ScopesAndNamesArePercentEncoded) {
  ASSERT_EQ(put("user%3Aalice/a%20b%3F", R"({"value":1})").status, 200);
  EXPECT_EQ(stored("user:alice", "a b?").value_json, "1");
  EXPECT_EQ(show("user%3Aalice/a%20b%3F").data()["name"], Value("a b?"));
  auto refused = put("sytem/x", R"({"value":1})");
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(refused.code(), "KEY-0004");
}

TEST_F(KeyTest, AnEncryptedValueIsSealedAndShownOnlyToWhoMayDecrypt) {
  auto written = put("system/token", R"({"value":"s3cret-token","encrypted":true})");
  ASSERT_EQ(written.status, 200) << written.text;
  EXPECT_EQ(written.text.find("s3cret-token"), std::string::npos);
  EXPECT_EQ(stored("system", "token").value_json.find("s3cret"), std::string::npos);
  EXPECT_EQ(show("system/token").data()["value"], Value("********"));
  EXPECT_EQ(get("/api/v1/keys").text.find("s3cret"), std::string::npos);
  EXPECT_EQ(show("system/token?decrypt=true").data()["value"], Value("s3cret-token"));
  auto reader = bearer(token("keys:read"));
  auto denied = send("GET", "/api/v1/keys/system/token?decrypt=true", {}, reader);
  EXPECT_EQ(denied.status, 403);
  EXPECT_EQ(denied.code(), "API-0011");
  EXPECT_EQ(send("GET", "/api/v1/keys/system/token", {}, reader).status, 200);
}

TEST_F(KeyTest, WhatIsSealedStaysSoUntilSomebodySaysOtherwise) {
  auto write = [&](std::string body) { return put("system/pw", body).data(); };
  write(R"({"value":"first","encrypted":true})");
  auto second = write(R"({"value":"second"})");
  EXPECT_EQ(second["encrypted"], Value(true)) << to_json(second);
  EXPECT_EQ(show("system/pw").data()["value"], Value("********"));
  EXPECT_EQ(show("system/pw?decrypt=true").data()["value"], Value("second"));
  EXPECT_EQ(write(R"({"value":"third","encrypted":false})")["encrypted"], Value(false));
  EXPECT_EQ(write(R"({"value":"fourth"})")["encrypted"], Value(false));
}

TEST_F(KeyTest, ASealedValueOpensOnlyInItsOwnPlaceAndVersion) {
  ASSERT_EQ(put("system/token", R"({"value":"old","encrypted":true})").status, 200);
  auto row = stored("system", "token");
  auth::SealedFor owner{row.key.tenant, "system", "token", 1};
  EXPECT_TRUE(keys_.open(owner, row.value_json).ok());
  owner.version = 2;
  EXPECT_FALSE(keys_.open(owner, row.value_json).ok());
  owner = {row.key.tenant, "user:alice", "token", 1};
  EXPECT_FALSE(keys_.open(owner, row.value_json).ok());
  ASSERT_EQ(put("system/token", R"({"value":"new","encrypted":true})").status, 200);
  EXPECT_EQ(show("system/token?decrypt=true").data()["value"], Value("new"));
}

TEST_F(KeyTest, IfMatchHoldsAWriteToTheVersionThatWasRead) {
  ASSERT_EQ(put("system/x", R"({"value":1})", {{"If-Match", "\"0\""}}).status, 200);
  auto stale = put("system/x", R"({"value":2})", {{"If-Match", "\"0\""}});
  EXPECT_EQ(stale.status, 412);
  EXPECT_EQ(stale.code(), "KEY-0002");
  EXPECT_EQ(put("system/x", R"({"value":2})", {{"If-Match", "\"1\""}}).header("ETag"), "\"2\"");
  EXPECT_EQ(send("DELETE", "/api/v1/keys/system/x", {}, {{"If-Match", "\"1\""}}).status, 412);
  EXPECT_EQ(send("DELETE", "/api/v1/keys/system/x", {}, {{"If-Match", "\"2\""}}).status, 204);
  EXPECT_EQ(send("DELETE", "/api/v1/keys/system/x").status, 404);
}

TEST_F(KeyTest, AnIdempotencyKeyMakesOneVersion) {
  Lines lines{{"Idempotency-Key", "k1"}, {"If-Match", "\"0\""}};
  std::string body = R"({"value":"a","encrypted":true})";
  ASSERT_EQ(put("system/x", body, lines).status, 200);
  auto again = put("system/x", body, lines);
  EXPECT_EQ(again.status, 200) << again.text;
  EXPECT_EQ(again.header("ETag"), "\"1\"");
  EXPECT_EQ(put("system/x", R"({"value":"b"})", lines).status, 422);
  Lines removes{{"Idempotency-Key", "k2"}};
  EXPECT_EQ(send("DELETE", "/api/v1/keys/system/x", {}, removes).status, 204);
  EXPECT_EQ(send("DELETE", "/api/v1/keys/system/x", {}, removes).status, 204);
}

TEST_F(KeyTest, ListsGoPageByPageThroughTheScopes) {
  for (const char* path : {"user:b/x", "system/y", "system/x"}) {
    ASSERT_EQ(put(path, R"({"value":1})").status, 200);
  }
  std::string seen;
  std::string cursor;
  do {
    auto page = get("/api/v1/keys?limit=1&cursor=" + cursor);
    ASSERT_EQ(page.status, 200) << page.text;
    for (const auto& key : page.data().as_list()) {
      seen += fmt::format("{}/{} ", key.string_or("scope", ""), key.string_or("name", ""));
    }
    cursor = page.body.string_or("next_cursor", "");
  } while (!cursor.empty());
  EXPECT_EQ(seen, "system/x system/y user:b/x ");
  EXPECT_EQ(get("/api/v1/keys?scope=system").data().size(), 2u);
  auto rest = get("/api/v1/keys?scope=system&limit=1");
  auto last = get("/api/v1/keys?scope=system&cursor=" +
                  std::string(rest.body.string_or("next_cursor", "")));
  EXPECT_EQ(last.data().size(), 1u);
}

TEST_F(KeyTest, AValueIsGoneWhenItsTimeIsOver) {
  ASSERT_EQ(put("system/x", R"({"value":1,"ttl_s":60})").status, 200);
  EXPECT_FALSE(show("system/x").data()["expires"].is_null());
  now_ms_ += 60'000;
  EXPECT_EQ(show("system/x").status, 404);
  EXPECT_EQ(get("/api/v1/keys").data().size(), 0u);
}

TEST_F(KeyTest, ALargeValueIsRefused) {
  auto refused = put("system/x", fmt::format(R"({{"value":"{}"}})", std::string(65'536, 'x')));
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(refused.code(), "KEY-0005");
}

TEST_F(KeyTest, WritesAreToldOnTheStreamByName) {
  ASSERT_EQ(put("system/x", R"({"value":"quiet"})").status, 200);
  auto text = stream("/api/v1/stream?topics=key&from=0",
                     [](const std::string& t) { return t.find("system/x") != std::string::npos; });
  EXPECT_EQ(text.find("quiet"), std::string::npos);
}

// A value is kept as it came, or refused: never another one.
TEST_F(ApiTest, AKeysValueIsKeptOrRefused) {
  auto put = [&](const std::string& json) {
    return send("PUT", "/api/v1/keys/system/kept", R"({"value":)" + json + "}",
                {{"Content-Type", "application/json"}});
  };
  for (const char* kept : {"9223372036854775807", "-9223372036854775808", "0.1",
                           R"("M\u00fcnchen")", R"("\ud83d\ude00")", R"("a\u0000b")", "null"}) {
    auto answer = put(kept);
    EXPECT_EQ(answer.status, 200) << kept << answer.text;
    EXPECT_EQ(get("/api/v1/keys/system/kept").data()["value"], *parse_json(kept)) << kept;
  }
  for (const char* refused : {"9223372036854775808", "-9223372036854775809", "1e400",
                              "\"M\xfcnchen\"", R"("\ud83d")", "NaN", "1e-400x"}) {
    EXPECT_EQ(put(refused).status, 400) << refused;
  }
  EXPECT_EQ(get("/api/v1/keys/system/kept").data()["value"], Value());
}

}  // namespace
}  // namespace millrace::api
