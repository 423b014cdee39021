// SPDX-License-Identifier: Apache-2.0
#include "net/http_server.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
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

constexpr async::Duration kPauseAfterAcceptError{100};
constexpr int64_t kRetryAfterMs = 1000;

// Asio does not set it, and the spawner's children must not inherit connections.
void close_on_exec(int fd) { fcntl(fd, F_SETFD, FD_CLOEXEC); }

Task<void> serve(tcp::socket socket, Address peer, HttpShared& shared) {
  HttpConnection connection(std::move(socket), peer, shared);
  co_await connection.run();
}

Address address_of(const boost::asio::ip::address& from) {
  auto v6 = from.is_v4()
                ? boost::asio::ip::make_address_v6(boost::asio::ip::v4_mapped, from.to_v4())
                : from.to_v6();
  return {v6.to_bytes()};
}

// Closes the connection that has waited longest for a request; of `peer`, if given.
bool make_place(HttpShared& shared, const Address* peer) {
  auto before = std::chrono::steady_clock::now() - shared.options.yields_after;
  for (HttpConnection* connection : shared.idle) {
    if (connection->idle_since() > before) return false;
    if (peer && connection->address().client() != peer->client()) continue;
    connection->drain();
    return true;
  }
  return false;
}

// Why there is no place for one more of this address.
std::optional<Error> no_place(HttpShared& shared, const Address& peer) {
  const auto& options = shared.options;
  size_t open = shared.clients.of(peer).connections;
  bool has_its_share = open >= options.max_connections_per_address;
  if (has_its_share && !is_trusted(peer, options.trusted_proxies)) {
    if (make_place(shared, &peer)) return {};
    return Error(ErrorKind::Unavailable, "NET-0017",
                 fmt::format("{} has {} connections, as many as one address may: close some, or "
                             "use them again",
                             peer.client().text(), open))
        .with_retry_after(kRetryAfterMs);
  }
  if (shared.connections.size() < options.max_connections) return {};
  if (make_place(shared, nullptr)) return {};
  return Error(ErrorKind::Unavailable, "NET-0008",
               fmt::format("the server has {} connections, which is its limit: try again later",
                           options.max_connections))
      .with_retry_after(kRetryAfterMs);
}

// Answers without waiting: there is no room for this client. What has come already is taken, or the
// system would reset the connection and the client lose the answer.
// Over TLS it is no answer but the end: a handshake is what there is no room for.
void turn_away(tcp::socket& socket, const Error& error, HttpShared& shared) {
  if (shared.options.tls) return;
  HttpRequest unread;
  HttpResponse response = shared.handlers.refuse(unread, 503, error);
  std::string text = fmt::format(
      "HTTP/1.1 503 {}\r\n{}Content-Type: {}\r\n{}Content-Length: {}\r\n"
      "Connection: close\r\n\r\n{}",
      reason_of(503), shared.date_line(), response.content_type, response.header_lines(),
      response.body.size(), response.body);
  boost::system::error_code ignored;
  std::array<char, 16 << 10> scrap;
  socket.read_some(boost::asio::buffer(scrap), ignored);
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
  for (bool failing = false; true;) {
    auto [code, socket] =
        co_await acceptor.async_accept(boost::asio::as_tuple(boost::asio::use_awaitable));
    if (code == boost::asio::error::operation_aborted) co_return;
    if (code) {
      // Mostly: no file descriptor is free. Who waits is accepted when one is again.
      if (!failing) log_warn("http.accept_failed", {{"error", code.message()}});
      failing = true;
      co_await async::sleep_for(kPauseAfterAcceptError);
      continue;
    }
    failing = false;
    boost::system::error_code ignored;
    close_on_exec(socket.native_handle());
    socket.non_blocking(true, ignored);
    socket.set_option(tcp::no_delay(true), ignored);
    auto from = socket.remote_endpoint(ignored);
    if (ignored) continue;  // it has gone
    auto peer = address_of(from.address());
    if (auto error = no_place(shared, peer)) {
      turn_away(socket, *error, shared);
    } else {
      async::spawn("http.connection", serving, serve(std::move(socket), peer, shared));
    }
  }
}

Result<std::unique_ptr<HttpServer>> HttpServer::listen(async::Executor loop,
                                                       HttpServerOptions options,
                                                       HttpHandlers handlers) {
  ASSERT(handlers.handle);
  if (!handlers.admit) handlers.admit = [](const auto&) { return Admission(); };
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
