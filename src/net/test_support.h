// SPDX-License-Identifier: Apache-2.0
#pragma once

// For tests: a server on a thread of its own, and a client that sends bytes as they are.

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <future>
#include <thread>

#include "async/completion.h"
#include "async/deadline.h"
#include "async/loop.h"
#include "base/json.h"
#include "net/http_server.h"

namespace millrace::net {

using namespace std::chrono_literals;

// A client that sends bytes as they are and reads until told otherwise.
class RawClient {
 public:
  // `from`: the last byte of its own address, 127.0.0.FROM.
  explicit RawClient(uint16_t port, uint32_t from = 1) : RawClient(Later(), from) { connect(port); }
  struct Later {};
  explicit RawClient(Later, uint32_t from = 1) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    auto own = loopback(0, from);
    if (from != 1) (void)bind(fd_, reinterpret_cast<sockaddr*>(&own), sizeof own);
  }
  void connect(uint16_t port) {
    auto address = loopback(port, 1);
    connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  ~RawClient() { hang_up(); }
  RawClient(const RawClient&) = delete;

  bool connected() const { return connected_; }
  int fd() const { return fd_; }
  // False: the server has closed.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
    return true;
  }
  // Everything until `end` has been read, or until the server closes.
  std::string read_until(std::string_view end) {
    std::string got;
    char byte;
    while (!got.ends_with(end) && recv(fd_, &byte, 1, 0) == 1) got += byte;
    return got;
  }
  std::string read_all() {
    std::string got;
    char buffer[4096];
    for (ssize_t n; (n = recv(fd_, buffer, sizeof buffer, 0)) > 0;) {
      got.append(buffer, static_cast<size_t>(n));
    }
    return got;
  }
  void hang_up() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }

 private:
  static sockaddr_in loopback(uint16_t port, uint32_t last) {
    sockaddr_in address{
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {}, .sin_zero = {}};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + last);
    return address;
  }

  int fd_;
  bool connected_ = false;
};

inline std::string body_of(const std::string& response) {
  size_t at = response.find("\r\n\r\n");
  return at == std::string::npos ? "" : response.substr(at + 4);
}

inline Task<HttpResponse> echo(HttpRequest& request) {
  Value query = Value::map();
  for (const auto& [key, value] : request.query) query.set(key, value);
  Value told = Value::map({{"method", request.method},
                           {"path", request.path},
                           {"query", query},
                           {"x", request.headers.find("X-Test")},
                           {"body", request.body}});
  co_return HttpResponse::json(200, to_json(told));
}

// A server on a loop of its own thread; the test is its client.
class HttpServerTest : public testing::Test {
 protected:
  void start(HttpHandlers handlers, HttpServerOptions options = {}) {
    auto listening = HttpServer::listen(loop_.executor(), std::move(options), std::move(handlers));
    ASSERT_TRUE(listening.ok()) << listening.error().describe();
    server_ = *std::move(listening);
    thread_ = std::thread([this] { loop_.run(); });
  }
  void start_echo(HttpServerOptions options = {}) { start({.handle = echo}, std::move(options)); }
  void stop_loop() {
    if (thread_.joinable()) {
      loop_.stop();
      thread_.join();
    }
  }
  void stop(async::Duration grace = 0ms) {
    stop_loop();
    if (server_) loop_.block_on(server_->stop(grace));
    server_.reset();
  }
  ~HttpServerTest() override { stop(); }

  std::string ask(std::string_view request) {
    RawClient client(server_->port());
    client.send(request);
    return client.read_all();
  }
  // The status of a request that is sent alone; the connection must end after it.
  std::string status_of(std::string_view request) { return ask(request).substr(9, 3); }

  // How many are open, asked on the server's thread.
  size_t connections() {
    std::promise<size_t> count;
    loop_.post([&] { count.set_value(server_->connections()); });
    return count.get_future().get();
  }

  async::Loop loop_;
  std::unique_ptr<HttpServer> server_;
  std::thread thread_;
};

// Sets the flag when the coroutine that holds it ends.
struct AtEnd {
  async::Completion<bool> ended;
  ~AtEnd() { ended.fulfil(true); }
};

}  // namespace millrace::net
