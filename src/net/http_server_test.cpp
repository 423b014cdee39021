// SPDX-License-Identifier: Apache-2.0
#include "net/http_server.h"

#include "net/test_support.h"

namespace millrace::net {
namespace {

TEST_F(HttpServerTest, RequestPartsReachTheHandlerDecoded) {
  start_echo();
  std::string response =
      ask("POST /a%20b/c?x=1%2b2&y=a+b&z HTTP/1.1\r\nHost: h\r\nx-tEST: v\r\nConnection: close\r\n"
          "Content-Length: 5\r\n\r\nhello");
  EXPECT_TRUE(response.starts_with("HTTP/1.1 200 OK\r\nDate: ")) << response;
  EXPECT_EQ(body_of(response),
            R"({"method":"POST","path":"/a b/c","query":{"x":"1+2","y":"a b","z":""},"x":"v",)"
            R"("body":"hello"})");
}

TEST_F(HttpServerTest, ConnectionServesManyRequestsAndPipelinedOnesInOrder) {
  start_echo();
  RawClient client(server_->port());
  for (int i = 0; i < 3; ++i) {
    client.send("GET /first HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_NE(client.read_until("\"}").find("/first"), std::string::npos);
  }
  std::string many;
  for (int i = 0; i < 300; ++i) {
    many += "POST /" + std::to_string(i) + " HTTP/1.1\r\nHost: h\r\nContent-Length: 200\r\n\r\n" +
            std::string(200, 'x');
  }
  many += "GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
  std::thread sender([&] { client.send(many); });
  std::string all = client.read_all();
  sender.join();
  size_t at = 0;
  for (int i = 0; i < 300; ++i) {
    at = all.find("\"path\":\"/" + std::to_string(i) + "\"", at);
    ASSERT_NE(at, std::string::npos) << i;
  }
  EXPECT_NE(all.find("/last", at), std::string::npos);
}

TEST_F(HttpServerTest, ARequestMayArriveByteByByte) {
  start_echo();
  RawClient client(server_->port());
  std::string_view request =
      "\r\nPOST /slow HTTP/1.1\r\nHost: h\r\nX-Test: v\r\nTransfer-Encoding: chunked\r\n"
      "Connection: close\r\n\r\n3\r\nabc\r\nA;ext=1\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n";
  for (char c : request) client.send({&c, 1});
  EXPECT_EQ(body_of(client.read_all()),
            R"({"method":"POST","path":"/slow","query":{},"x":"v","body":"abc0123456789"})");
}

TEST_F(HttpServerTest, AnEmptyChunkedBodyWithTrailersMayArriveByteByByte) {
  start_echo();
  RawClient client(server_->port());
  std::string_view request =
      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
      "0\r\nTrailer: t\r\n\r\n";
  for (char c : request) client.send({&c, 1});
  EXPECT_TRUE(client.read_all().starts_with("HTTP/1.1 200 "));
}

TEST_F(HttpServerTest, LargeBodiesArriveWholeAndPipelinedDataBehindThemToo) {
  start({.handle = echo, .admit = [](const HttpRequest&) {
           return Admission{.refusal = {}, .body_limit = 4 << 20};
         }});
  std::string big(1 << 20, 'b');
  std::string response =
      ask("POST /1 HTTP/1.1\r\nHost: h\r\nX-Test: v\r\nContent-Length: 1048576\r\n\r\n" + big +
          "POST /2 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n100000\r\n" + big +
          "\r\n0\r\n\r\n" + "GET /3 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_NE(response.find("\"/1\",\"query\":{},\"x\":\"v\",\"body\":\"" + big + "\""),
            std::string::npos);
  EXPECT_NE(response.find("\"/2\",\"query\":{},\"x\":\"\",\"body\":\"" + big + "\""),
            std::string::npos);
  EXPECT_NE(response.find("\"/3\""), std::string::npos);
}

TEST_F(HttpServerTest, TooLargeBodiesAreRefusedBeforeTheyAreRead) {
  HttpHandlers handlers{.handle = echo};
  handlers.admit = [](const HttpRequest& head) -> Admission {
    return {.refusal = {}, .body_limit = head.path == "/small" ? 10u : 100u};
  };
  handlers.refuse = [](const HttpRequest& request, int status, const Error& error) {
    return HttpResponse::text(status, request.path + " " + error.message());
  };
  start(std::move(handlers));
  std::string refused =
      ask("POST /small HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_TRUE(refused.starts_with("HTTP/1.1 413 Content Too Large\r\n")) << refused;
  EXPECT_EQ(body_of(refused), "/small request body: expected at most 10 bytes");
  EXPECT_EQ(status_of("POST /small HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                      "6\r\nabcdef\r\n6\r\nabcdef\r\n0\r\n\r\n"),
            "413");
  EXPECT_EQ(status_of("POST /big HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n"
                      "Connection: close\r\n\r\nhello hello"),
            "200");
}

TEST_F(HttpServerTest, ARefusedClientThatKeepsSendingStillGetsTheResponse) {
  start_echo();
  RawClient client(server_->port());
  client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 8000000\r\n\r\n");
  client.send(std::string(8'000'000, 'x'));
  EXPECT_TRUE(client.read_all().starts_with("HTTP/1.1 413"));
}

TEST_F(HttpServerTest, ExpectContinueIsAnsweredBeforeTheBody) {
  start_echo();
  RawClient client(server_->port());
  client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("ok");
  EXPECT_NE(client.read_until("\"}").find(R"("body":"ok")"), std::string::npos);
}

TEST_F(HttpServerTest, BadRequestsAreRefusedWithAProblem) {
  start_echo();
  std::string response = ask("nonsense\r\n\r\n");
  EXPECT_TRUE(response.starts_with("HTTP/1.1 400 Bad Request\r\n")) << response;
  EXPECT_NE(response.find("Content-Type: application/problem+json\r\n"), std::string::npos);
  auto problem = parse_json(body_of(response));
  ASSERT_TRUE(problem.ok());
  EXPECT_EQ((*problem)["code"], Value("NET-0001"));
  for (const char* bad : {
           "GET / HTTP/1.1\r\n\r\n",                                // no Host
           "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",          // two
           "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n folded\r\n\r\n",  // obs-fold
           "GET / HTTP/1.1\r\nHost : a\r\n\r\n",                    // space before colon
           "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
           "GET /a%2fb HTTP/1.1\r\nHost: a\r\n\r\n",  // hides a slash
           "GET /a%00 HTTP/1.1\r\nHost: a\r\n\r\n",
           "GET /a%zz HTTP/1.1\r\nHost: a\r\n\r\n",
           "GET /?q=%f HTTP/1.1\r\nHost: a\r\n\r\n",
           "GET nopath HTTP/1.1\r\nHost: a\r\n\r\n",
           // A proxy would see another path, or another host.
           "GET http://h?/health HTTP/1.1\r\nHost: a\r\n\r\n",
           "GET http://h?x=1 HTTP/1.1\r\nHost: a\r\n\r\n",
           "GET http://h HTTP/1.1\r\nHost: a\r\n\r\n",
           "GET http:///health HTTP/1.1\r\nHost: a\r\n\r\n",
           "GET http://user@h/health HTTP/1.1\r\nHost: a\r\n\r\n",
           "GET http://a\\@h/health HTTP/1.1\r\nHost: a\r\n\r\n",
           "GET http://h#/health HTTP/1.1\r\nHost: a\r\n\r\n",
           "GET /health#x HTTP/1.1\r\nHost: a\r\n\r\n",
           "GET ?/health HTTP/1.1\r\nHost: a\r\n\r\n",
           "GET https://h/health HTTP/1.1\r\nHost: a\r\n\r\n",
           "OPTIONS http://h* HTTP/1.1\r\nHost: a\r\n\r\n",
           "GET / HTTP/1.1\r\nHost:\r\n\r\n",  // a server of http has a name
           "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n",
           "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
           "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
           "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
           // Folded to nothing.
           "GET / HTTP/1.1\r\nHost: a\r\nX:\r\n \r\n\r\n",
           "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\t\r\n\r\n",
           "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n \r\n\r\n",
           "GET / HTTP/1.1\r\nHost: a\r\nX:\r\n \r\nY: 1\r\n\r\n",
           // Two readers could each believe another one.
           "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: x\r\nAuthorization: y\r\n\r\n",
           "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: x\r\nauthorization: x\r\n\r\n",
           "GET / HTTP/1.1\r\nHost: a\r\nContent-Type: x\r\nContent-Type: y\r\n\r\n",
           "GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\nX: 1\r\nExpect: 100-continue\r\n\r\n",
           "GET / HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\n"
           "Content-Encoding: identity\r\n\r\n",
           "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
           "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc",
           "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3,3\r\n\r\nabc",
           "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ,3\r\n\r\nabc",
           "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3,\r\n\r\nabc",
           "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc",
           "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\nabc",
           "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
           "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
           "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
           "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
           "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
           "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
           "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
       }) {
    EXPECT_EQ(status_of(bad), "400") << bad;
  }
}

TEST_F(HttpServerTest, WhatOnlyLooksLikeThatIsTaken) {
  start_echo();
  for (const char* good : {
           "GET http://h/health?a=/ HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\n",
           "GET http://h:80/ HTTP/1.1\r\nHost: [::1]:8680\r\nConnection: close\r\n\r\n",
           "GET / HTTP/1.1\r\nHost: my_host\r\nX:\r\nConnection: close\r\n\r\n",
           "GET / HTTP/1.1\r\nHost: h\r\nAccept: a\r\nAccept: b\r\nCookie: a\r\nCookie: b\r\n"
           "X-Own: 1\r\nX-Own: 2\r\nConnection: close\r\n\r\n",
       }) {
    EXPECT_EQ(status_of(good), "200") << good;
  }
}

TEST_F(HttpServerTest, TooManyHeaderLinesAreRefused) {
  start_echo();
  std::string lines;
  for (int i = 0; i < 200; ++i) lines += "a:\r\n";
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: h\r\n" + lines + "\r\n"), "431");
}

TEST_F(HttpServerTest, TooLongHeadersAndChunkLinesAreRefused) {
  start_echo({.max_header_bytes = 4096});
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(5000, 'x')), "431");
  EXPECT_EQ(status_of("GET /" + std::string(5000, 'x')), "431");
  EXPECT_EQ(status_of("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1;" +
                      std::string(5000, 'x')),
            "400");
}

TEST_F(HttpServerTest, Http10ClosesUnlessAskedToKeepAlive) {
  start_echo();
  std::string closed = ask("GET / HTTP/1.0\r\n\r\n");
  EXPECT_NE(closed.find("Connection: close\r\n"), std::string::npos);
  RawClient client(server_->port());
  client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_NE(client.read_until("\"}").find("Connection: keep-alive\r\n"), std::string::npos);
}

TEST_F(HttpServerTest, HeadAndNoContentHaveNoBody) {
  start({.handle = [](HttpRequest& request) -> Task<HttpResponse> {
    co_return HttpResponse::text(request.path == "/none" ? 204 : 200, "12345");
  }});
  std::string head = ask("HEAD / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_NE(head.find("Content-Length: 5\r\n"), std::string::npos);
  EXPECT_EQ(body_of(head), "");
  std::string none = ask("GET /none HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(none.find("Content-Length"), std::string::npos);
}

TEST_F(HttpServerTest, ResponseHeadersCannotBeSplit) {
  start({.handle = [](HttpRequest&) -> Task<HttpResponse> {
    auto response = HttpResponse::text(200, "");
    response.header("Location", "/a\r\nSet-Cookie: x=1");
    co_return response;
  }});
  std::string response = ask("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_NE(response.find("\r\nLocation: /a  Set-Cookie: x=1\r\n"), std::string::npos) << response;
}

TEST_F(HttpServerTest, AThrowingHandlerGives500AndTheConnectionGoesOn) {
  start({.handle = [](HttpRequest& request) -> Task<HttpResponse> {
    if (request.path == "/throw") throw std::runtime_error("secret detail");
    co_return HttpResponse::text(200, "fine");
  }});
  std::string both =
      ask("GET /throw HTTP/1.1\r\nHost: h\r\n\r\n"
          "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(both.starts_with("HTTP/1.1 500 ")) << both;
  EXPECT_EQ(both.find("secret detail"), std::string::npos);
  EXPECT_TRUE(both.ends_with("fine"));
}

TEST_F(HttpServerTest, SlowHeadersAndBodiesGet408) {
  start_echo({.header_timeout = 20ms, .body_grace = 20ms});
  RawClient header(server_->port()), body(server_->port());
  header.send("GET / HTTP/1.1\r\nHo");
  body.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\na");
  EXPECT_TRUE(header.read_all().starts_with("HTTP/1.1 408 "));
  EXPECT_TRUE(body.read_all().starts_with("HTTP/1.1 408 "));
}

TEST_F(HttpServerTest, IdleConnectionsAreClosedWithoutAWord) {
  start_echo({.idle_timeout = 20ms});
  RawClient fresh(server_->port());
  EXPECT_EQ(fresh.read_all(), "");
  RawClient used(server_->port());
  used.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_TRUE(used.read_all().ends_with("\"}"));
}

TEST_F(HttpServerTest, OneConnectionTooManyGets503) {
  start_echo({.max_connections = 1, .yields_after = 1h});
  RawClient first(server_->port());
  first.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  first.read_until("\"}");
  RawClient second(server_->port());
  std::string refused = second.read_all();
  EXPECT_TRUE(refused.starts_with("HTTP/1.1 503 ")) << refused;
  EXPECT_NE(refused.find("Retry-After: 1\r\n"), std::string::npos);
}

TEST_F(HttpServerTest, ATakenPortIsAnErrorThatNamesIt) {
  start_echo();
  auto second = HttpServer::listen(loop_.executor(), {.port = server_->port()}, {.handle = echo});
  ASSERT_FALSE(second.ok());
  EXPECT_NE(second.error().message().find("cannot listen on 127.0.0.1 port " +
                                          std::to_string(server_->port())),
            std::string::npos)
      << second.error().message();
  EXPECT_FALSE(HttpServer::listen(loop_.executor(), {.address = "nohost"}, {.handle = echo}).ok());
}

TEST_F(HttpServerTest, AStreamIsSentChunkByChunk) {
  async::Completion<bool> go_on(loop_.executor());
  // NOLINTNEXTLINE(cppcoreguidelines-avoid-capturing-lambda-coroutines): the server keeps it
  start({.handle = [&](HttpRequest&) -> Task<HttpResponse> {
    HttpResponse response;
    response.content_type = "text/event-stream";
    // NOLINTNEXTLINE(cppcoreguidelines-avoid-capturing-lambda-coroutines): the server keeps it
    response.stream = [&](BodyWriter& out) -> Task<void> {
      EXPECT_TRUE((co_await out.write("one")).ok());
      (void)co_await go_on.wait(1h);
      EXPECT_TRUE((co_await out.write("")).ok());
      EXPECT_TRUE((co_await out.write("two")).ok());
    };
    co_return response;
  }});
  RawClient client(server_->port());
  client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_NE(client.read_until("3\r\none\r\n").find("Transfer-Encoding: chunked"),
            std::string::npos);
  go_on.fulfil(true);
  EXPECT_EQ(client.read_all(), "3\r\ntwo\r\n0\r\n\r\n");
}

HttpHandlers endless_stream(const async::Completion<bool>& ended) {
  // NOLINTNEXTLINE(cppcoreguidelines-avoid-capturing-lambda-coroutines): the server keeps it
  return {.handle = [&ended](HttpRequest&) -> Task<HttpResponse> {
    HttpResponse response;
    // NOLINTNEXTLINE(cppcoreguidelines-avoid-capturing-lambda-coroutines): the server keeps it
    response.stream = [&ended](BodyWriter& out) -> Task<void> {
      AtEnd at_end{ended};
      (void)co_await out.write("x");
      co_await async::sleep_for(1h);
    };
    co_return response;
  }};
}

TEST_F(HttpServerTest, AStreamIsCancelledWhenItsClientLeaves) {
  async::Loop here;
  async::Completion<bool> ended(here.executor());
  start(endless_stream(ended));
  RawClient client(server_->port());
  client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  client.read_until("x\r\n");
  client.hang_up();
  EXPECT_TRUE(here.block_on(ended.wait(10s)).ok());
}

TEST_F(HttpServerTest, StopEndsStreamsAndIdleConnectionsAtOnce) {
  async::Loop here;
  async::Completion<bool> ended(here.executor());
  start(endless_stream(ended));
  RawClient streaming(server_->port()), idle(server_->port());
  streaming.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  streaming.read_until("x\r\n");
  stop(1h);
  EXPECT_TRUE(here.block_on(ended.wait(10s)).ok());
  EXPECT_EQ(streaming.read_all(), "");
  EXPECT_EQ(idle.read_all(), "");
}

HttpHandlers slow_handler(async::Completion<bool>& started, async::Completion<bool>& go_on) {
  // NOLINTNEXTLINE(cppcoreguidelines-avoid-capturing-lambda-coroutines): the server keeps it
  return {.handle = [&](HttpRequest&) -> Task<HttpResponse> {
    started.fulfil(true);
    (void)co_await go_on.wait(1h);
    co_return HttpResponse::text(200, "done");
  }};
}

TEST_F(HttpServerTest, StopLetsARequestInFlightFinish) {
  async::Loop here;
  async::Completion<bool> started(here.executor()), go_on(loop_.executor());
  start(slow_handler(started, go_on));
  RawClient client(server_->port());
  client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_TRUE(here.block_on(started.wait(10s)).ok());
  uint16_t port = server_->port();
  std::thread finisher([&] {
    while (RawClient(port).connected()) std::this_thread::yield();  // until it stops to accept
    go_on.fulfil(true);
  });
  stop(1h);
  finisher.join();
  std::string response = client.read_all();
  EXPECT_TRUE(response.ends_with("done")) << response;
  EXPECT_NE(response.find("Connection: close\r\n"), std::string::npos);
}

TEST_F(HttpServerTest, StopCancelsWhatOutlivesItsGrace) {
  async::Loop here;
  async::Completion<bool> started(here.executor()), never(loop_.executor());
  start(slow_handler(started, never));
  RawClient client(server_->port());
  client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_TRUE(here.block_on(started.wait(10s)).ok());
  stop(5ms);
  EXPECT_EQ(client.read_all(), "");
}

}  // namespace
}  // namespace millrace::net
