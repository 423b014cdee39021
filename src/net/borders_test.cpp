// SPDX-License-Identifier: Apache-2.0
// What a client costs that has shown no right: bytes, places, time.
#include <sys/resource.h>

#include "net/http_server.h"
#include "net/test_support.h"

namespace millrace::net {
namespace {

const std::string kClose = "Host: h\r\nConnection: close\r\n";

std::string post(std::string_view path, size_t length) {
  return "POST " + std::string(path) +
         " HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(length) + "\r\n\r\n";
}

// Refuses /no, and knows only who asks for /known.
HttpHandlers doorman() {
  return {.handle = echo, .admit = [](const HttpRequest& head) -> Admission {
            Admission admission{
                .refusal = {}, .body_limit = 1 << 20, .known = head.path == "/known"};
            if (head.path == "/no") admission.refusal = HttpResponse::text(404, "nothing here");
            return admission;
          }};
}

TEST_F(HttpServerTest, AHeadIsRefusedBeforeItsBodyCame) {
  start(doorman());
  for (std::string_view more :
       {"Content-Length: 1000000\r\n", "Transfer-Encoding: chunked\r\n", "Content-Length: 5\r\n"}) {
    RawClient client(server_->port());
    client.send("POST /no HTTP/1.1\r\nHost: h\r\n" + std::string(more) + "\r\n");
    EXPECT_TRUE(client.read_until("nothing here").starts_with("HTTP/1.1 404 ")) << more;
  }
}

TEST_F(HttpServerTest, AfterARefusalASmallBodyIsSkippedAndALargeOneEndsTheConnection) {
  start(doorman());
  RawClient client(server_->port());
  for (size_t size : {5u, 60'000u}) {
    client.send(post("/no", size));
    EXPECT_EQ(client.read_until("nothing here").find("Connection: close"), std::string::npos);
    client.send(std::string(size, 'x'));
  }
  client.send(
      "POST /no HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
  client.read_until("nothing here");
  client.send("GET /next HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_NE(client.read_until("\"}").find("/next"), std::string::npos);
  client.send(post("/no", 100'000));
  EXPECT_NE(client.read_all().find("Connection: close"), std::string::npos);
  EXPECT_EQ(status_of("POST /no HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n"
                      "Expect: 100-continue\r\n\r\n"),
            "404");
}

TEST_F(HttpServerTest, BodiesOfUnknownSendersShareABudget) {
  start(doorman(), {.body_budget = 200'000});
  RawClient slow(server_->port());
  slow.send(post("/unknown", 250'000) + std::string(64 * 1024 + 150'000, 'x'));
  // Until its bytes are taken: with them the budget has no room for as many again.
  std::string refused;
  while (!refused.starts_with("HTTP/1.1 503 ")) {
    RawClient other(server_->port());
    other.send(post("/unknown", 250'000));
    std::this_thread::sleep_for(1ms);
    timeval wait{.tv_sec = 0, .tv_usec = 50'000};
    setsockopt(other.fd(), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    refused = other.read_all();
  }
  EXPECT_NE(refused.find("NET-0018"), std::string::npos) << refused;
  EXPECT_NE(refused.find("Retry-After: 1\r\n"), std::string::npos);
  // In chunks nobody says before how much it will be.
  RawClient chunked(server_->port());
  chunked.send("POST /unknown HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n30D40\r\n" +
               std::string(200'000, 'x'));
  EXPECT_TRUE(chunked.read_all().starts_with("HTTP/1.1 503 "));
  // Small ones and known senders go on; so does who came first.
  EXPECT_TRUE(ask("POST /unknown HTTP/1.1\r\n" + kClose + "Content-Length: 65536\r\n\r\n" +
                  std::string(65'536, 'x'))
                  .starts_with("HTTP/1.1 200 "));
  EXPECT_TRUE(ask("POST /known HTTP/1.1\r\n" + kClose + "Content-Length: 300000\r\n\r\n" +
                  std::string(300'000, 'x'))
                  .starts_with("HTTP/1.1 200 "));
  slow.send(std::string(250'000 - 64 * 1024 - 150'000, 'x'));
  EXPECT_TRUE(slow.read_until("\"}").starts_with("HTTP/1.1 200 "));
  // Its next request gives the room back.
  slow.send(post("/unknown", 250'000) + std::string(250'000, 'x'));
  EXPECT_TRUE(slow.read_until("\"}").starts_with("HTTP/1.1 200 "));
  // What could never fit is told at once.
  EXPECT_EQ(status_of(post("/unknown", 300'000)), "413");
}

TEST_F(HttpServerTest, WhatStandsAroundChunksCountsAsBody) {
  start({.handle = echo,
         .admit = [](const HttpRequest&) { return Admission{.refusal = {}, .body_limit = 2000}; }});
  std::string head = "POST / HTTP/1.1\r\n" + kClose + "Transfer-Encoding: chunked\r\n\r\n";
  std::string ones;
  for (int i = 0; i < 2000; ++i) ones += "1\r\nx\r\n";
  EXPECT_EQ(status_of(head + ones + "0\r\n\r\n"), "200");  // frames alone do not
  EXPECT_EQ(status_of(head + ones + "1\r\nx\r\n0\r\n\r\n"), "413");
  EXPECT_EQ(status_of(head + "1;a=1\r\nx\r\n0\r\nTrailer: t\r\n\r\n"), "200");
  EXPECT_EQ(status_of(head + "1;" + std::string(3000, 'a') + "\r\nx\r\n0\r\n\r\n"), "413");
  EXPECT_EQ(status_of(head + std::string(3000, '0') + "1\r\nx\r\n0\r\n\r\n"), "413");
  EXPECT_EQ(status_of(head + "0\r\nTrailer: " + std::string(3000, 't') + "\r\n\r\n"), "413");
  std::string many;
  for (int i = 0; i < 200; ++i) many += "1;" + std::string(100, 'a') + "\r\nx\r\n";
  EXPECT_EQ(status_of(head + many + "0\r\n\r\n"), "413");
  EXPECT_EQ(status_of(head + "7fffffffffffffff\r\nx"), "413");
  EXPECT_EQ(status_of(head + "ffffffffffffffff\r\nx"), "413");
}

TEST_F(HttpServerTest, OneAddressHasItsShareOfTheConnections) {
  start_echo({.max_connections = 10, .max_connections_per_address = 2, .yields_after = 1h});
  RawClient first(server_->port()), second(server_->port());
  for (auto* client : {&first, &second}) {
    client->send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    client->read_until("\"}");
  }
  RawClient third(server_->port());
  third.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  std::string refused = third.read_all();
  EXPECT_TRUE(refused.starts_with("HTTP/1.1 503 ")) << refused;
  EXPECT_NE(refused.find("NET-0017"), std::string::npos);
  EXPECT_NE(refused.find("127.0.0.1 has 2 connections"), std::string::npos);
  EXPECT_EQ(refused.find("Retry-After"), refused.rfind("Retry-After"));
  RawClient other(server_->port(), 2);
  other.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(other.read_all().starts_with("HTTP/1.1 200 "));
  first.hang_up();
  while (connections() > 1) std::this_thread::yield();
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"), "200");
}

// Answered once, and then silent.
void ask_and_wait(RawClient& client) {
  client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_TRUE(client.read_until("\"}").starts_with("HTTP/1.1 200 "));
}

TEST_F(HttpServerTest, WhoHasWaitedLongestMakesPlace) {
  start_echo({.max_connections = 3, .max_connections_per_address = 2, .yields_after = 0ms});
  RawClient first(server_->port()), other(server_->port(), 2), second(server_->port());
  for (auto* client : {&first, &other, &second}) ask_and_wait(*client);
  RawClient third(server_->port());  // of the three, `first` has waited longest
  ask_and_wait(third);
  EXPECT_EQ(first.read_all(), "");
  while (connections() > 3) std::this_thread::yield();
  RawClient fourth(server_->port(), 3);  // now it is `other`
  ask_and_wait(fourth);
  EXPECT_EQ(other.read_all(), "");
  ask_and_wait(second);
}

TEST_F(HttpServerTest, AnAddressMakesItsOwnPlace) {
  start_echo({.max_connections = 10, .max_connections_per_address = 1, .yields_after = 0ms});
  RawClient other(server_->port(), 2), first(server_->port());
  ask_and_wait(other);
  ask_and_wait(first);
  RawClient second(server_->port());
  ask_and_wait(second);
  EXPECT_EQ(first.read_all(), "");
  ask_and_wait(other);
}

TEST_F(HttpServerTest, RequestsOfAProxyCountForWhomItTells) {
  async::Loop here;
  async::Completion<bool> started(here.executor()), never(loop_.executor());
  // NOLINTNEXTLINE(cppcoreguidelines-avoid-capturing-lambda-coroutines): the server keeps it
  start({.handle = [&](HttpRequest& request) -> Task<HttpResponse> {
          if (request.path == "/wait") {
            started.fulfil(true);
            (void)co_await never.wait(1h);
          }
          co_return HttpResponse::text(200, "done");
        }},
        {.max_connections_per_address = 1,
         .max_requests_per_address = 1,
         .trusted_proxies = {*Network::parse("127.0.0.1")}});
  auto request = [](std::string_view path, std::string_view from) {
    return "GET " + std::string(path) + " HTTP/1.1\r\n" + kClose +
           "X-Forwarded-For: " + std::string(from) + "\r\n\r\n";
  };
  RawClient waits(server_->port());
  waits.send(request("/wait", "192.0.2.1"));
  EXPECT_TRUE(here.block_on(started.wait(10s)).ok());
  std::string refused = ask(request("/", "192.0.2.1"));
  EXPECT_TRUE(refused.starts_with("HTTP/1.1 503 ")) << refused;
  EXPECT_NE(refused.find("192.0.2.1 has 1 unfinished requests"), std::string::npos) << refused;
  EXPECT_TRUE(ask(request("/", "192.0.2.2")).starts_with("HTTP/1.1 200 "));
  EXPECT_TRUE(ask(request("/", "192.0.2.1, 192.0.2.3")).starts_with("HTTP/1.1 200 "));
  never.fulfil(true);
  EXPECT_TRUE(waits.read_all().starts_with("HTTP/1.1 200 "));
  EXPECT_TRUE(ask(request("/", "192.0.2.1")).starts_with("HTTP/1.1 200 "));
}

// Sends a piece again and again, until the server closes.
std::string drip(RawClient& client, std::string_view piece) {
  while (client.send(piece)) {
    std::this_thread::sleep_for(1ms);
    char byte;
    if (recv(client.fd(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0) break;
  }
  return client.read_all();
}

TEST_F(HttpServerTest, WhoSendsALittleNowAndThenIsCut) {
  start_echo({.header_timeout = 30ms, .body_grace = 30ms, .least_rate = 1 << 20});
  RawClient head(server_->port()), blank(server_->port()), body(server_->port()),
      chunks(server_->port());
  head.send("GET / HTTP/1.1\r\nHost: h\r\nX: ");
  body.send(post("/", 1'000'000));
  chunks.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
  EXPECT_TRUE(drip(head, "x").starts_with("HTTP/1.1 408 "));
  EXPECT_EQ(drip(blank, "\r\n"), "");
  EXPECT_TRUE(drip(body, "x").starts_with("HTTP/1.1 408 "));
  EXPECT_TRUE(drip(chunks, "1\r\nx\r\n").starts_with("HTTP/1.1 408 "));
}

TEST_F(HttpServerTest, WhoConnectsAndSaysNothingIsCutLikeASlowHead) {
  start_echo({.header_timeout = 20ms, .idle_timeout = 1h});
  EXPECT_EQ(RawClient(server_->port()).read_all(), "");
}

TEST_F(HttpServerTest, WhoDoesNotReadIsCut) {
  start({.handle = [](HttpRequest&) -> Task<HttpResponse> {
          co_return HttpResponse::text(200, std::string(32 << 20, 'x'));
        }},
        {.write_grace = 30ms, .least_rate = 1 << 30});
  RawClient client(server_->port());
  client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  client.read_until("\r\n\r\n");
  while (connections() > 0) std::this_thread::sleep_for(1ms);
}

class LeavingClient : public HttpServerTest {
 protected:
  // A request whose handler waits, and a client that leaves: both are gone soon.
  void leave(std::string_view more) {
    async::Loop here;
    async::Completion<bool> started(here.executor()), ended(here.executor());
    // NOLINTNEXTLINE(cppcoreguidelines-avoid-capturing-lambda-coroutines): the server keeps it
    start({.handle = [&](HttpRequest&) -> Task<HttpResponse> {
      AtEnd at_end{ended};
      started.fulfil(true);
      co_await async::sleep_for(1h);
      co_return HttpResponse::text(200, "late");
    }});
    RawClient client(server_->port());
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_TRUE(here.block_on(started.wait(10s)).ok());
    client.send(more);
    client.hang_up();
    EXPECT_TRUE(here.block_on(ended.wait(10s)).ok());
    while (connections() > 0) std::this_thread::sleep_for(1ms);
  }
};

TEST_F(LeavingClient, EndsItsHandler) { leave(""); }
TEST_F(LeavingClient, EndsItAlsoBehindBytesThatNobodyReads) {
  leave("GET /next HTTP/1.1\r\nHost: h\r\n\r\n");
}

TEST_F(HttpServerTest, AClientThatStaysGetsItsLateAnswerAndTheNext) {
  start({.handle = [](HttpRequest& request) -> Task<HttpResponse> {
    if (request.path == "/late") co_await async::sleep_for(600ms);
    co_return HttpResponse::text(200, "done");
  }});
  RawClient client(server_->port());
  for (int i = 0; i < 2; ++i) {
    client.send("GET /late HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_TRUE(client.read_until("done").ends_with("done"));
    EXPECT_TRUE(client.read_until("done").ends_with("done"));
  }
}

// The soft limit of open files, back again at the end.
class FewFiles {
 public:
  FewFiles() {
    getrlimit(RLIMIT_NOFILE, &before_);
    int next = dup(0);
    rlimit few{static_cast<rlim_t>(next), before_.rlim_max};
    close(next);
    setrlimit(RLIMIT_NOFILE, &few);
  }
  ~FewFiles() { setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

TEST_F(HttpServerTest, WhenNoFileIsFreeWhoIsConnectedIsServedAndWhoWaitsIsAcceptedLater) {
#if __has_feature(undefined_behavior_sanitizer)
  GTEST_SKIP() << "without a free descriptor UBSan takes every object for an invalid one";
#endif
  start_echo();
  RawClient client(server_->port());
  client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  client.read_until("\"}");
  RawClient waits{RawClient::Later()};
  {
    FewFiles few;
    ASSERT_LT(dup(0), 0);
    waits.connect(server_->port());
    waits.send("GET / HTTP/1.1\r\n" + kClose + "\r\n");
    client.send("GET /still HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_NE(client.read_until("\"}").find("/still"), std::string::npos);
    EXPECT_EQ(connections(), 1u);
  }
  EXPECT_TRUE(waits.read_all().starts_with("HTTP/1.1 200 "));
}

}  // namespace
}  // namespace millrace::net
