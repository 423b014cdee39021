// SPDX-License-Identifier: Apache-2.0
#include "net/http_server.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "async/deadline.h"
#include "async/scope.h"
#include "base/log.h"
#include "net/http_connection.h"

namespace millrace::net {

using boost::asio::ip::tcp;

namespace {

constexpr size_t kDefaultBodyLimit = 1 << 20;
constexpr async::Duration kPauseAfterAcceptError{100};

// Asio does not set it, and the spawner's children must not inherit connections.
void close_on_exec(int fd) { fcntl(fd, F_SETFD, FD_CLOEXEC); }

Task<void> serve(tcp::socket socket, HttpShared& shared) {
  HttpConnection connection(std::move(socket), shared);
  co_await connection.run();
}

// Answers without reading and without waiting: there is no room for this client.
void turn_away(tcp::socket& socket, HttpShared& shared) {
  Error error(ErrorKind::Unavailable, "NET-0008",
              fmt::format("the server has {} connections, which is its limit: try again later",
                          shared.options.max_connections));
  HttpRequest unread;
  HttpResponse response = shared.handlers.refuse(unread, 503, error);
  std::string text = fmt::format(
      "HTTP/1.1 503 {}\r\n{}Content-Type: {}\r\n{}Content-Length: {}\r\nRetry-After: 1\r\n"
      "Connection: close\r\n\r\n{}",
      reason_of(503), shared.date_line(), response.content_type, response.header_lines(),
      response.body.size(), response.body);
  boost::system::error_code ignored;
  socket.write_some(boost::asio::buffer(text), ignored);
}

}  // namespace

struct HttpServer::State {
  State(async::Executor loop, HttpServerOptions options, HttpHandlers handlers)
      : shared(std::move(options), std::move(handlers)),
        acceptor(loop),
        accepting(loop),
        serving(loop) {}

  Task<void> accept_all();

  HttpShared shared;
  tcp::acceptor acceptor;
  uint16_t port = 0;
  async::Scope accepting;
  async::Scope serving;
};

Task<void> HttpServer::State::accept_all() {
  while (true) {
    auto [code, socket] =
        co_await acceptor.async_accept(boost::asio::as_tuple(boost::asio::use_awaitable));
    if (code == boost::asio::error::operation_aborted) co_return;
    if (code) {
      log_warn("http.accept_failed", {{"error", code.message()}});
      co_await async::sleep_for(kPauseAfterAcceptError);
      continue;
    }
    boost::system::error_code ignored;
    close_on_exec(socket.native_handle());
    socket.non_blocking(true, ignored);
    socket.set_option(tcp::no_delay(true), ignored);
    if (shared.connections.size() >= shared.options.max_connections) {
      turn_away(socket, shared);
    } else {
      async::spawn("http.connection", serving, serve(std::move(socket), shared));
    }
  }
}

Result<std::unique_ptr<HttpServer>> HttpServer::listen(async::Executor loop,
                                                       HttpServerOptions options,
                                                       HttpHandlers handlers) {
  ASSERT(handlers.handle);
  if (!handlers.body_limit) handlers.body_limit = [](const auto&) { return kDefaultBodyLimit; };
  if (!handlers.refuse) {
    handlers.refuse = [](const HttpRequest&, int status, const Error& error) {
      return HttpResponse::problem(status, error);
    };
  }
  auto state = std::make_unique<State>(loop, std::move(options), std::move(handlers));
  const HttpServerOptions& wanted = state->shared.options;
  boost::system::error_code code;
  auto address = boost::asio::ip::make_address(wanted.address, code);
  if (!code) {
    try {
      tcp::endpoint endpoint(address, wanted.port);
      state->acceptor.open(endpoint.protocol());
      close_on_exec(state->acceptor.native_handle());
      state->acceptor.set_option(tcp::acceptor::reuse_address(true));
      state->acceptor.bind(endpoint);
      state->acceptor.listen();
      state->port = state->acceptor.local_endpoint().port();
    } catch (const boost::system::system_error& e) {
      code = e.code();
    }
  }
  if (code) {
    return Error(ErrorKind::Unavailable, "NET-0004",
                 fmt::format("cannot listen on {} port {}: {}", wanted.address, wanted.port,
                             code.message()));
  }
  async::spawn("http.accept", state->accepting, state->accept_all());
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(state)));
}

HttpServer::HttpServer(std::unique_ptr<State> state) : state_(std::move(state)) {}
HttpServer::~HttpServer() = default;

uint16_t HttpServer::port() const { return state_->port; }
size_t HttpServer::connections() const { return state_->shared.connections.size(); }

Task<void> HttpServer::stop(async::Duration grace) {
  boost::system::error_code ignored;
  state_->shared.draining = true;
  state_->acceptor.close(ignored);
  co_await state_->accepting.stop();
  for (HttpConnection* connection : state_->shared.connections) connection->drain();
  async::Deadline end_of_grace(co_await async::this_executor(),
                               [this] { state_->serving.cancel(); });
  end_of_grace.arm(grace);
  co_await state_->serving.join();
}

}  // namespace millrace::net
