// SPDX-License-Identifier: Apache-2.0
// Tokens: who makes and ends them, and what ends with them.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <future>

#include "api_fixture.h"
#include "base/files.h"
#include "base/text.h"
#include "engine/transitions/commands.h"

namespace millrace::api {
namespace {

class TokensTest : public ApiTest {
 protected:
  struct Made {
    std::string id;
    Secret token;
  };
  Made make(const std::string& identity, const std::string& permission,
            const std::string& more = "") {
    auto made = post("/api/v1/tokens", fmt::format(R"({{"identity":"{}","permissions":["{}"]{}}})",
                                                   identity, permission, more));
    EXPECT_EQ(made.status, 201) << made.text;
    return {std::string(made.data().string_or("id", "")),
            Secret(std::string(made.data().string_or("token", "")))};
  }
  Answer revoke(const std::string& id) { return send("DELETE", "/api/v1/tokens/" + id); }

  // A client of its own, which is served whenever this one asks for something.
  Fd open_stream(const Secret& token, const std::string& path = "/api/v1/stream") const {
    Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(server_->port());
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    auto text = fmt::format("GET {} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n", path,
                            token.reveal());
    EXPECT_EQ(write_all(fd.get(), text), text.size());
    return fd;
  }
  // What comes next; empty: the end.
  std::string piece(const Fd& fd) {
    pollfd waits{fd.get(), POLLIN, 0};
    while (::poll(&waits, 1, 0) == 0) get("/health");
    char bytes[4096];
    auto count = ::recv(fd.get(), bytes, sizeof(bytes), 0);
    return {bytes, count > 0 ? static_cast<size_t>(count) : 0};
  }
  std::string status(const Fd& fd) { return piece(fd).substr(9, 3); }
  // Until an event tells that it ends.
  std::string last_event(const Fd& fd) {
    std::string text;
    for (auto more = piece(fd); !more.empty(); more = piece(fd)) {
      text += more;
      auto found = text.find("event: error");
      if (found != text.npos && text.find("\n\n", found) != text.npos) return text.substr(found);
    }
    return text;
  }
};

// Two ways in which a token ends while a stream is open with it.
TEST_F(TokensTest, StreamsEndWithTheirToken) {
  open_worker();
  auto started = post("/api/v1/executions", R"({"action":"ci.build"})");
  std::string id(started.data().string_or("id", ""));
  ASSERT_FALSE(id.empty()) << started.text;
  worker_.next();
  for (const std::string& path :
       {std::string("/api/v1/stream"), "/api/v1/executions/" + id + "/output?follow=true"}) {
    auto eve = make("eve", "*");
    auto revoked = open_stream(eve.token, path);
    ASSERT_EQ(status(revoked), "200") << path;
    EXPECT_EQ(revoke(eve.id).status, 204);
    EXPECT_NE(last_event(revoked).find(R"("code":"AUT-0002")"), std::string::npos) << path;

    auto bob = make("bob", "*", R"(,"ttl_s":1)");
    auto expired = open_stream(bob.token, path);
    ASSERT_EQ(status(expired), "200") << path;
    now_ms_ += 1000;
    EXPECT_NE(last_event(expired).find(R"("code":"AUT-0003")"), std::string::npos) << path;
  }
}

TEST_F(TokensTest, WhoHasWaitedIsLookedAtAgain) {
  open_worker();
  auto started = post("/api/v1/executions", R"({"action":"ci.build"})");
  auto order = worker_.next();
  auto eve = make("eve", "executions:read");
  auto waiting =
      open_stream(eve.token, "/api/v1/executions/" +
                                 std::string(started.data().string_or("id", "")) + "?wait=5m");
  for (int i = 0; i < 5; ++i) get("/health");  // it has begun to wait
  EXPECT_EQ(revoke(eve.id).status, 204);
  finish(order, "hush");
  EXPECT_EQ(status(waiting), "401");
}

TEST_F(TokensTest, OneIdentityCannotTakeAllStreams) {
  auto eve = make("eve", "stream:read").token;
  auto bob = make("bob", "stream:read").token;
  std::vector<Fd> open;
  for (int i = 0; i < 64; ++i) {
    open.push_back(open_stream(eve));
    ASSERT_EQ(status(open.back()), "200");
  }
  auto refused = send("GET", "/api/v1/stream", "", bearer(eve));
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(refused.code(), "API-0030");
  EXPECT_NE(refused.text.find("'eve'"), std::string::npos) << refused.text;
  EXPECT_EQ(status(open_stream(bob)), "200");
}

TEST_F(TokensTest, ALifeTimeIsBounded) {
  auto with = [&](const std::string& ttl) {
    return post("/api/v1/tokens",
                R"({"identity":"x","permissions":["rules:read"],"ttl_s":)" + ttl + "}");
  };
  for (const char* ttl : {"9223372036854775807", "9223372036854775", "3162240001", "0", "-1"}) {
    auto refused = with(ttl);
    EXPECT_EQ(refused.status, 400) << ttl;
    EXPECT_NE(refused.text.find("/ttl_s"), std::string::npos) << refused.text;
  }
  auto longest = with("3162240000");
  EXPECT_EQ(longest.status, 201) << longest.text;
  EXPECT_EQ(longest.data().string_or("expires", "").substr(0, 4), "2126") << longest.text;
}

TEST_F(TokensTest, AStreamFromTheLastNumberOverflowsNothing) {
  for (const char* from : {"9223372036854775807", "9223372036854775806"}) {
    auto text = stream(std::string("/api/v1/stream?from=") + from,
                       [](const std::string& got) { return got.find("welcome") != got.npos; });
    EXPECT_NE(text.find(R"("from":9223372036854775807)"), std::string::npos) << text;
  }
}

TEST_F(TokensTest, NobodyTakesTheNameOfTheServersOwn) {
  for (const char* name : {"execution:1", "webhook:ci", "Rule:ci.x"}) {
    auto refused = post("/api/v1/tokens",
                        fmt::format(R"({{"identity":"{}","permissions":["rules:read"]}})", name));
    EXPECT_EQ(refused.code(), "API-0082") << refused.text;
  }
}

TEST_F(TokensTest, TheLastAdministratorStays) {
  auto tokens = get("/api/v1/tokens").data();
  ASSERT_EQ(tokens.size(), 1U);
  std::string first(tokens.as_list()[0].string_or("id", ""));
  auto refused = revoke(first);
  EXPECT_EQ(refused.status, 409);
  EXPECT_EQ(refused.code(), "API-0083") << refused.text;
  EXPECT_EQ(get("/api/v1/identity").status, 200);

  // Neither one that will be gone, nor one that may not do all, takes its place.
  auto passing = make("ada", "*", R"(,"ttl_s":60)");
  auto manager = make("ada", "admin");
  EXPECT_EQ(revoke(first).code(), "API-0083");
  EXPECT_EQ(revoke(passing.id).status, 204);
  EXPECT_EQ(revoke(manager.id).status, 204);

  // Another tenant's does not count either.
  token("*", 0, TenantId{2});
  EXPECT_EQ(revoke(first).code(), "API-0083");

  auto second = make("ada", "*");
  EXPECT_EQ(revoke(first).status, 204);
  EXPECT_EQ(send("DELETE", "/api/v1/tokens/" + second.id, "", bearer(second.token)).code(),
            "API-0083");
}

TEST_F(TokensTest, OfTwoThatAreRevokedAtOnceOneStays) {
  token("*");
  auto tokens = get("/api/v1/tokens").data();
  ASSERT_EQ(tokens.size(), 2U);
  std::vector<std::promise<bool>> ends(2);
  for (size_t i = 0; i < 2; ++i) {
    auto id = parse_id(tokens.as_list()[i].string_or("id", ""), "id");
    engine_->submit(
        engine::command::delete_token({.tenant = kDefaultTenant}, TokenId{*id},
                                      [&, i](auto done) { ends[i].set_value(done.ok()); }));
  }
  EXPECT_NE(ends[0].get_future().get(), ends[1].get_future().get());
  EXPECT_EQ(get("/api/v1/tokens").data().size(), 1U);
}

TEST_F(TokensTest, NoCacheKeepsTokensAndKeys) {
  Lines json = {{"Content-Type", "application/json"}};
  for (const auto& answer :
       {post("/api/v1/tokens", R"({"identity":"x","permissions":["rules:read"]})"),
        get("/api/v1/tokens"), get("/api/v1/identity"),
        send("PUT", "/api/v1/keys/system/a", R"({"value":1})", json), get("/api/v1/keys/system/a"),
        get("/api/v1/keys")}) {
    EXPECT_LT(answer.status, 300) << answer.text;
    EXPECT_EQ(answer.header("cache-control"), "no-store") << answer.text;
  }
  auto docs = get("/api/docs");
  EXPECT_EQ(docs.status, 200);
  EXPECT_EQ(docs.header("x-content-type-options"), "nosniff");
  EXPECT_NE(docs.header("content-security-policy").find("frame-ancestors 'none'"),
            std::string::npos);
}

}  // namespace
}  // namespace millrace::api
