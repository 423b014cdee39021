// SPDX-License-Identifier: Apache-2.0
// Joining: a token that counts once, for a certificate.
#include <algorithm>

#include "api_fixture.h"
#include "async/scope.h"
#include "base/json.h"

namespace millrace::api {
namespace {

const std::string kTokens = "/api/v1/workers/tokens";
const std::string kJoin = "/api/v1/workers/join";

class JoinsTest : public ApiTest {
 protected:
  Secret join_token(const std::string& body = "{}") {
    auto made = post(kTokens, body);
    EXPECT_EQ(made.status, 201) << made.text;
    EXPECT_EQ(made.data().string_or("pin", ""), authority_.pin());
    return Secret(std::string(made.data().string_or("token", "")));
  }
  static std::string body_of(const std::string& name) {
    auto request = auth::certificate_request(auth::make_private_key()).value();
    return to_json(Value::map({{"name", name}, {"request", request}}));
  }
  Answer join(const Secret& token, const std::string& body) {
    auto headers = bearer(token);
    headers.emplace_back("Content-Type", "application/json");
    return send("POST", kJoin, body, headers);
  }
};

TEST_F(JoinsTest, ATokenBuysOneCertificate) {
  auto token = join_token();
  auto joined = join(token, body_of("build-1"));
  ASSERT_EQ(joined.status, 200) << joined.text;
  EXPECT_EQ(joined.data().string_or("grpc", ""), "127.0.0.1:9090");
  auto certificate = std::string(joined.data().string_or("certificate", ""));
  auto facts = auth::read_certificate(certificate);
  ASSERT_TRUE(facts.ok()) << certificate;
  EXPECT_EQ(facts->uris, std::vector<std::string>{"millrace://worker/build-1"});
  EXPECT_EQ(join(token, body_of("build-2")).status, 401);
}

TEST_F(JoinsTest, OfManyWhoUseOneTokenAtOnceOneJoins) {
  auto token = join_token();
  std::vector<net::ClientRequest> requests;
  for (int i = 0; i < 8; ++i) {
    net::ClientRequest request{.method = "POST",
                               .url = "http://127.0.0.1:" + std::to_string(server_->port()) + kJoin,
                               .headers = bearer(token),
                               .body = body_of("w" + std::to_string(i))};
    request.headers.emplace_back("Content-Type", "application/json");
    requests.push_back(std::move(request));
  }
  std::vector<int> statuses;
  async::Scope scope(loop_.executor());
  auto one = [](net::HttpClient& client, net::ClientRequest request,
                std::vector<int>& out) -> Task<void> {
    auto answer = co_await client.send(std::move(request));
    out.push_back(answer.ok() ? answer->status : 0);
  };
  for (auto& request : requests) {
    async::spawn("join", scope, one(*client_, std::move(request), statuses));
  }
  loop_.block_on(scope.join());
  EXPECT_EQ(std::ranges::count(statuses, 200), 1);
  EXPECT_EQ(std::ranges::count(statuses, 401), 7);
}

TEST_F(JoinsTest, ATokenExpiresAfterAnHour) {
  auto token = join_token();
  now_ms_ += 3'600'000;
  auto joined = join(token, body_of("build-1"));
  EXPECT_EQ(joined.status, 401);
  EXPECT_EQ(joined.code(), "AUT-0003");
  EXPECT_EQ(post(kTokens, R"({"ttl_s": 3601})").status, 400);
}

TEST_F(JoinsTest, ATokenThatWasRevokedLetsNobodyIn) {
  auto made = post(kTokens, "{}");
  Secret token(std::string(made.data().string_or("token", "")));
  auto id = std::string(made.data().string_or("id", ""));
  EXPECT_EQ(send("DELETE", "/api/v1/tokens/" + id).status, 204);
  EXPECT_EQ(join(token, body_of("build-1")).status, 401);
}

TEST_F(JoinsTest, ATokenOfANameIsForThatName) {
  auto token = join_token(R"({"name": "gpu-1"})");
  EXPECT_EQ(join(token, body_of("gpu-2")).code(), "API-0102");
  EXPECT_EQ(join(token, body_of("gpu-1")).status, 200);
}

TEST_F(JoinsTest, WithoutANameNobodyTakesAKnownWorkersPlace) {
  open_worker();  // "local"
  auto token = join_token();
  auto workers = get("/api/v1/workers");
  ASSERT_EQ(workers.data().size(), 1u) << workers.text;
  auto name = std::string(workers.data().as_list()[0].string_or("name", ""));
  auto taken = join(token, body_of(name));
  EXPECT_EQ(taken.status, 409) << taken.text;
  EXPECT_EQ(taken.code(), "API-0103");
  EXPECT_EQ(join(token, body_of("another")).status, 200);
  auto by_name = join_token(to_json(Value::map({{"name", name}})));
  EXPECT_EQ(join(by_name, body_of(name)).status, 200);
}

TEST_F(JoinsTest, WhatIsWrongDoesNotUseTheTokenUp) {
  auto token = join_token();
  auto bad = join(token, R"({"name": "w", "request": "no PEM"})");
  EXPECT_EQ(bad.code(), "AUT-0018");
  EXPECT_EQ(join(token, body_of("a b")).code(), "API-0101");
  EXPECT_EQ(join(token, body_of("a")).status, 200);
}

TEST_F(JoinsTest, OtherTokensDoNotJoinAndAreNotLost) {
  auto joined = post(kJoin, body_of("w"));
  EXPECT_EQ(joined.status, 403);
  EXPECT_EQ(joined.code(), "API-0102");
  EXPECT_EQ(get("/api/v1/workers").status, 200);
  auto reader = token("system:read");
  EXPECT_EQ(join(reader, body_of("w")).status, 403);
}

TEST_F(JoinsTest, AJoinTokenDoesNothingElse) {
  auto token = join_token();
  EXPECT_EQ(send("GET", "/api/v1/workers", {}, bearer(token)).status, 403);
  auto headers = bearer(token);
  headers.emplace_back("Content-Type", "application/json");
  EXPECT_EQ(send("POST", kTokens, "{}", headers).status, 403);
}

}  // namespace
}  // namespace millrace::api
