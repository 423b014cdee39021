// SPDX-License-Identifier: Apache-2.0
#include "net/http_client.h"

#include <gtest/gtest.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <filesystem>
#include <fstream>
#include <set>

#include "async/deadline.h"
#include "async/loop.h"
#include "async/scope.h"
#include "net/http_server.h"
#include "net/sse.h"
#include "net/test_certificate.h"

namespace millrace::net {
namespace {

using boost::asio::ip::tcp;
using namespace std::chrono_literals;
constexpr auto kToken = boost::asio::as_tuple(boost::asio::use_awaitable);

// Client and server share the test's loop.
class HttpClientTest : public testing::Test {
 protected:
  void start(HttpHandlers handlers, HttpServerOptions options = {}) {
    auto listening = HttpServer::listen(loop_.executor(), std::move(options), std::move(handlers));
    ASSERT_TRUE(listening.ok()) << listening.error().describe();
    server_ = *std::move(listening);
  }
  // A server that sends these bytes to each connection once it has read a request head, and then
  // closes; it counts the connections.
  void start_raw(std::vector<std::string> answers) {
    acceptor_.emplace(loop_.executor(), tcp::endpoint(boost::asio::ip::address_v4::loopback(), 0));
    async::spawn("raw", scope_, serve_raw(*acceptor_, std::move(answers), accepted_));
  }
  static Task<void> serve_raw(tcp::acceptor& acceptor, std::vector<std::string> answers,
                              int& accepted) {
    for (const auto& answer : answers) {
      tcp::socket socket = co_await acceptor.async_accept(boost::asio::use_awaitable);
      ++accepted;
      std::string head;
      co_await boost::asio::async_read_until(socket, boost::asio::dynamic_buffer(head), "\r\n\r\n",
                                             kToken);
      co_await boost::asio::async_write(socket, boost::asio::buffer(answer), kToken);
    }
  }
  ~HttpClientTest() override {
    loop_.block_on(scope_.stop());
    if (server_) loop_.block_on(server_->stop(0ms));
  }

  std::string url(std::string_view path = "/") {
    uint16_t port = server_ ? server_->port() : acceptor_->local_endpoint().port();
    return "http://127.0.0.1:" + std::to_string(port) + std::string(path);
  }
  Result<ClientResponse> send(HttpClient& client, ClientRequest request) {
    return loop_.block_on(client.send(std::move(request)));
  }
  // The clients' addresses of so many requests side by side.
  std::set<std::string> ask_at_once(HttpClient& client, int count) {
    std::set<std::string> peers;
    for (int i = 0; i < count; ++i) async::spawn("ask", scope_, ask(client, url(), peers));
    loop_.block_on(scope_.join());
    return peers;
  }
  static Task<void> ask(HttpClient& client, std::string url, std::set<std::string>& peers) {
    auto response = co_await client.send({.url = std::move(url)});
    if (response.ok()) peers.emplace(response->find_header("X-Peer"));
  }
  std::string body_or_error(const Result<ClientResponse>& response) {
    return response.ok() ? response->body : response.error().describe();
  }

  async::Loop loop_;
  async::Scope scope_{loop_.executor()};
  std::unique_ptr<HttpServer> server_;
  std::optional<tcp::acceptor> acceptor_;
  int accepted_ = 0;
};

Task<HttpResponse> describe(HttpRequest& request) {
  auto response = HttpResponse::text(
      201, std::string(request.method) + " " + std::string(request.target) + " " +
               std::string(request.headers.find("X-Test")) + " " + request.body);
  response.header("X-Peer", request.peer);
  co_return response;
}

TEST_F(HttpClientTest, RequestAndResponsePartsArrive) {
  start({.handle = describe});
  HttpClient client;
  auto response = send(client, {"POST", url("/a?b=c"), {{"X-Test", "t"}}, "body"});
  ASSERT_TRUE(response.ok()) << response.error().describe();
  EXPECT_EQ(response->status, 201);
  EXPECT_EQ(response->body, "POST /a?b=c t body");
  EXPECT_EQ(response->find_header("content-type"), "text/plain; charset=utf-8");
}

TEST_F(HttpClientTest, AConnectionIsUsedAgain) {
  start({.handle = describe});
  HttpClient client;
  auto first = send(client, {.url = url()});
  auto second = send(client, {.url = url()});
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(first->find_header("X-Peer"), second->find_header("X-Peer"));
}

TEST_F(HttpClientTest, AsManyConnectionsAreUsedAgainAsWereUsedAtOnce) {
  start({.handle = describe});
  HttpClient client;
  auto first = ask_at_once(client, 32);
  EXPECT_EQ(first.size(), 32U);
  EXPECT_EQ(ask_at_once(client, 32), first);
}

TEST_F(HttpClientTest, NoMoreConnectionsAreKeptThanAllowed) {
  start({.handle = describe});
  HttpClient client({.max_idle = 2});
  EXPECT_EQ(ask_at_once(client, 8).size(), 8U);
  for (int i = 0; i < 5'000 && server_->connections() > 2; ++i) {
    loop_.block_on(async::sleep_for(1ms));
  }
  EXPECT_EQ(server_->connections(), 2U);
}

TEST_F(HttpClientTest, AKeptConnectionThatTheServerClosedIsReplaced) {
  start({.handle = describe}, {.idle_timeout = 5ms});
  HttpClient client;
  ASSERT_TRUE(send(client, {.url = url()}).ok());
  loop_.block_on(async::sleep_for(20ms));
  EXPECT_EQ(server_->connections(), 0U);
  EXPECT_TRUE(send(client, {.method = "POST", .url = url()}).ok());
}

TEST_F(HttpClientTest, HeadHasNoBodyAndInterimResponsesAreSkipped) {
  start_raw({"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
             "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\nuntil the end"});
  HttpClient client;
  auto head = send(client, {.method = "HEAD", .url = url()});
  EXPECT_EQ(body_or_error(head), "");
  auto response = send(client, {.url = url()});
  EXPECT_EQ(body_or_error(response), "until the end");
  EXPECT_EQ(response->find_header("Link"), "");
}

TEST_F(HttpClientTest, InterimResponsesHaveAnEnd) {
  std::string many;
  for (int i = 0; i < 101; ++i) many += "HTTP/1.1 100 Continue\r\n\r\n";
  start_raw({many + "HTTP/1.1 200 OK\r\n\r\n"});
  HttpClient client;
  auto response = send(client, {.url = url()});
  ASSERT_FALSE(response.ok());
  EXPECT_EQ(response.error().code(), "NET-0013");
}

TEST_F(HttpClientTest, BrokenResponsesAreErrorsThatNameTheServer) {
  start_raw({"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", "nonsense\r\n\r\n", ""});
  HttpClient client;
  for (int i = 0; i < 3; ++i) {
    auto response = send(client, {.url = url()});
    ASSERT_FALSE(response.ok());
    EXPECT_EQ(response.error().code(), "NET-0013");
    EXPECT_TRUE(response.error().message().starts_with("127.0.0.1:")) << response.error().message();
  }
}

TEST_F(HttpClientTest, TooLargeResponsesAreCutOff) {
  start_raw({"HTTP/1.1 200 OK\r\n\r\n" + std::string(100'000, 'x'),
             "HTTP/1.1 200 OK\r\nX: " + std::string(200'000, 'x')});
  HttpClient client({.max_response_bytes = 1000});
  EXPECT_EQ(send(client, {.url = url()}).error().kind(), ErrorKind::TooLarge);
  EXPECT_EQ(send(client, {.url = url()}).error().code(), "NET-0013");
}

TEST_F(HttpClientTest, NobodyListeningIsUnavailable) {
  start({.handle = describe});
  std::string gone = url();
  loop_.block_on(server_->stop(0ms));
  server_.reset();
  HttpClient client;
  auto response = send(client, {.url = gone});
  ASSERT_FALSE(response.ok());
  EXPECT_EQ(response.error().code(), "NET-0012");
  EXPECT_NE(response.error().message().find("Connection refused"), std::string::npos);
}

TEST_F(HttpClientTest, ASilentServerIsATimeout) {
  start({.handle = [](HttpRequest&) -> Task<HttpResponse> {
    co_await async::sleep_for(1h);
    co_return HttpResponse{};
  }});
  HttpClient client({.read_timeout = 10ms});
  auto response = send(client, {.url = url()});
  ASSERT_FALSE(response.ok());
  EXPECT_EQ(response.error().kind(), ErrorKind::Timeout);
  EXPECT_NE(response.error().message().find("waiting for the response took longer than 10 ms"),
            std::string::npos)
      << response.error().message();
}

TEST_F(HttpClientTest, RequestsThatWouldSmuggleAreRefused) {
  HttpClient client;
  for (const ClientRequest& bad : {
           ClientRequest{.method = "GET /x", .url = "http://h/"},
           ClientRequest{.url = "http://h/", .headers = {{"X", "a\r\nY: b"}}},
           ClientRequest{.url = "http://h/", .headers = {{"X Y", "a"}}},
           ClientRequest{.url = "http://h/", .headers = {{"content-length", "3"}}},
           ClientRequest{.url = "http://h/a\r\nX: y"},
       }) {
    auto response = send(client, bad);
    ASSERT_FALSE(response.ok());
    EXPECT_EQ(response.error().kind(), ErrorKind::Invalid);
  }
}

Task<HttpResponse> redirecting(HttpRequest& request) {
  HttpResponse response;
  if (request.path == "/start") {
    response.status = 302;
    response.header("Location", "/end");
  } else if (request.path == "/loop") {
    response.status = 307;
    response.header("Location", "/loop");
  } else {
    co_return co_await describe(request);
  }
  co_return response;
}

TEST_F(HttpClientTest, RedirectsAreFollowedOnlyWhenAllowedAndBounded) {
  start({.handle = redirecting});
  HttpClient strict, lenient({.max_redirects = 3});
  EXPECT_EQ(send(strict, {.url = url("/start")})->status, 302);
  EXPECT_EQ(body_or_error(send(lenient, {"POST", url("/start"), {{"X-Test", "t"}}, "b"})),
            "GET /end t ");
  EXPECT_EQ(send(lenient, {.url = url("/loop")})->status, 307);
}

HttpHandlers event_source() {
  return {.handle = [](HttpRequest& request) -> Task<HttpResponse> {
    if (request.path == "/missing") co_return HttpResponse::text(404, "no such stream");
    HttpResponse response;
    response.content_type = "text/event-stream";
    response.stream = [](BodyWriter& out) -> Task<void> {
      for (int i = 1;; ++i) {
        std::string event;
        append_sse_event(event, std::to_string(i), "tick", "data");
        auto sent = co_await out.write(event);
        if (!sent.ok()) co_return;
        co_await async::sleep_for(1ms);
      }
    };
    co_return response;
  }};
}

TEST_F(HttpClientTest, AStreamGivesEventsUntilTheCallerHasEnough) {
  start(event_source());
  HttpClient client;
  SseParser parser;
  std::vector<std::string> ids;
  auto on_piece = [&](std::string_view piece) {
    parser.feed(piece, [&](const SseEvent& event) { ids.push_back(event.id); });
    return ids.size() < 3;
  };
  auto response = loop_.block_on(client.stream({.url = url()}, on_piece));
  ASSERT_TRUE(response.ok()) << response.error().describe();
  EXPECT_EQ(ids, (std::vector<std::string>{"1", "2", "3"}));
  auto missing = loop_.block_on(client.stream({.url = url("/missing")}, on_piece));
  EXPECT_EQ(body_or_error(missing), "no such stream");
}

Task<void> serve_tls(tcp::acceptor& acceptor, const SelfSigned& identity) {
  namespace ssl = boost::asio::ssl;
  ssl::context context(ssl::context::tls_server);
  context.use_certificate_chain_file(identity.certificate);
  context.use_private_key_file(identity.key, ssl::context::pem);
  while (true) {
    tcp::socket socket = co_await acceptor.async_accept(boost::asio::use_awaitable);
    ssl::stream<tcp::socket> stream(std::move(socket), context);
    auto [code] = co_await stream.async_handshake(ssl::stream_base::server, kToken);
    if (code) continue;
    std::string head;
    co_await boost::asio::async_read_until(stream, boost::asio::dynamic_buffer(head), "\r\n\r\n",
                                           kToken);
    std::string_view answer = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret";
    co_await boost::asio::async_write(stream, boost::asio::buffer(answer), kToken);
  }
}

TEST_F(HttpClientTest, CertificatesAreVerifiedAgainstTrustAndName) {
  SelfSigned identity;
  acceptor_.emplace(loop_.executor(), tcp::endpoint(boost::asio::ip::address_v4::loopback(), 0));
  async::spawn("tls", scope_, serve_tls(*acceptor_, identity));
  std::string port = std::to_string(acceptor_->local_endpoint().port());

  HttpClient stranger;
  auto untrusted = send(stranger, {.url = "https://localhost:" + port});
  ASSERT_FALSE(untrusted.ok());
  EXPECT_NE(untrusted.error().message().find("the certificate is not trusted"), std::string::npos)
      << untrusted.error().message();

  HttpClient friendly({.ca_file = identity.certificate});
  EXPECT_EQ(body_or_error(send(friendly, {.url = "https://localhost:" + port})), "secret");
  EXPECT_FALSE(send(friendly, {.url = "https://127.0.0.1:" + port}).ok());  // another name

  HttpClient broken({.ca_file = "/no/such.pem"});
  EXPECT_NE(body_or_error(send(broken, {.url = "https://localhost:" + port})).find("/no/such.pem"),
            std::string::npos);
}

}  // namespace
}  // namespace millrace::net
