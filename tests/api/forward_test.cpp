// SPDX-License-Identifier: Apache-2.0
// A request that another server has taken: who asks is told, what they may do is looked at again.
#include "services/api/forward.h"

#include "api_fixture.h"
#include "base/json.h"

namespace millrace::api {
namespace {

class ForwardTest : public ApiTest {
 protected:
  ForwardedRequest request(const std::string& method, const std::string& target,
                           const std::string& permissions, std::string body = {}) {
    auth::Principal who;
    if (!permissions.empty()) {
      who = {.tenant = kDefaultTenant,
             .identity = "ada",
             .permissions = *auth::Permissions::parse(permissions)};
    }
    ForwardedRequest made{.method = method,
                          .target = target,
                          .headers = {},
                          .body = std::move(body),
                          .who = who,
                          .peer = "192.0.2.1:4711",
                          .hops = 1,
                          .request_id = "r-1",
                          .trace = "",
                          .left = async::Duration(30'000)};
    if (!made.body.empty()) made.headers.emplace_back("Content-Type", "application/json");
    return made;
  }
  ForwardedAnswer ask(ForwardedRequest asked) {
    auto answer = loop_.block_on(api_->handle_forwarded(std::move(asked)));
    if (!answer.ok())
      return {.status = 0, .content_type = {}, .headers = {}, .body = answer.error().code()};
    return *std::move(answer);
  }
};

TEST_F(ForwardTest, IsDoneAsWhoHasAskedThere) {
  auto answer = ask(request("POST", "/api/v1/executions?wait=10s", "executions:run",
                            R"({"action":"core.echo","parameters":{"message":"hi"}})"));
  ASSERT_EQ(answer.status, 201) << answer.body;
  EXPECT_EQ(answer.content_type, "application/json");
  auto row = parse_json(answer.body).value()["data"];
  EXPECT_EQ(row.string_or("status", ""), "succeeded");
  EXPECT_EQ(row.string_or("identity", ""), "ada");
}

TEST_F(ForwardTest, RightsAreLookedAtAgain) {
  const char* body = R"({"action":"core.noop"})";
  EXPECT_EQ(ask(request("POST", "/api/v1/executions", "executions:read", body)).status, 403);
  EXPECT_EQ(ask(request("POST", "/api/v1/executions", "", body)).status, 401);
  EXPECT_EQ(ask(request("GET", "/api/v1/tokens", "executions:read")).status, 403);
  EXPECT_EQ(ask(request("GET", "/api/v1/tokens", "admin")).status, 200);
}

TEST_F(ForwardTest, ItsRequestIdAndErrorsComeBack) {
  auto answer = ask(request("GET", "/api/v1/executions/1", "executions:read"));
  EXPECT_EQ(answer.status, 404);
  EXPECT_EQ(answer.content_type, "application/problem+json");
  EXPECT_EQ(parse_json(answer.body)->string_or("request_id", ""), "r-1");
}

TEST_F(ForwardTest, WhatIsNoRequestIsRefused) {
  EXPECT_EQ(ask(request("GET", "/api/v1/%zz", "admin")).body, "API-0104");
  EXPECT_EQ(ask(request("GET", "/api/v1/executions?a=%zz", "admin")).body, "API-0104");
  EXPECT_EQ(ask(request("GET", "/nothing", "admin")).status, 404);
}

TEST_F(ForwardTest, AStreamIsNotAnsweredThroughAServer) {
  EXPECT_EQ(ask(request("GET", "/api/v1/stream", "stream:read")).body, "API-0105");
}

TEST_F(ForwardTest, AnAnswerComesThroughAsItWas) {
  auto response = net::HttpResponse::json(201, R"({"a":1})");
  response.header("ETag", "\"3\"").header("X-Request-Id", "there");
  auto back = response_of(answer_of(std::move(response)).value());
  EXPECT_EQ(back.status, 201);
  EXPECT_EQ(back.find_header("content-type"), "application/json");
  EXPECT_EQ(back.find_header("etag"), "\"3\"");
  EXPECT_EQ(back.find_header("x-request-id"), "");
  EXPECT_EQ(back.body, R"({"a":1})");
}

}  // namespace
}  // namespace millrace::api
