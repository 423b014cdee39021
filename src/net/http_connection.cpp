// SPDX-License-Identifier: Apache-2.0
#include "net/http_connection.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstring>

#include "async/scope.h"
#include "base/log.h"

namespace millrace::net {
namespace {

constexpr auto kToken = boost::asio::as_tuple(boost::asio::use_awaitable);
constexpr size_t kKeepBodyCapacity = 64 << 10;  // a larger buffer is given back after its request
constexpr size_t kLingerBytes = 16 << 20;
constexpr async::Duration kLingerTime{2000};

using Buffers = std::array<boost::asio::const_buffer, 2>;

Buffers rest_of(std::string_view first, std::string_view second, size_t sent) {
  size_t of_first = std::min(sent, first.size());
  first.remove_prefix(of_first);
  second.remove_prefix(sent - of_first);
  return {boost::asio::buffer(first), boost::asio::buffer(second)};
}

std::string peer_text(const boost::asio::ip::tcp::socket& socket) {
  boost::system::error_code code;
  auto peer = socket.remote_endpoint(code);
  if (code) return {};
  bool v6 = peer.address().is_v6();
  return fmt::format("{}{}{}:{}", v6 ? "[" : "", peer.address().to_string(), v6 ? "]" : "",
                     peer.port());
}

}  // namespace

std::string_view HttpShared::date_line() {
  time_t now = ::time(nullptr);
  if (now != date_second_) {
    date_second_ = now;
    tm parts{};
    gmtime_r(&now, &parts);
    char text[64];
    size_t length = strftime(text, sizeof text, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &parts);
    date_line_.assign(text, length);
  }
  return date_line_;
}

HttpConnection::HttpConnection(Socket socket, HttpShared& shared)
    : socket_(std::move(socket)),
      shared_(shared),
      peer_(peer_text(socket_)),
      input_(shared.options.max_header_bytes),
      deadline_(socket_.get_executor(), [this] { on_deadline(); }) {
  shared_.connections.insert(this);
}

HttpConnection::~HttpConnection() { shared_.connections.erase(this); }

Task<void> HttpConnection::run() {
  do {
    begin_request();
    if (!co_await read_request()) co_return;
    if (!refused_) co_await answer();
    write_head();
    if (response_.stream) {
      co_await send_stream();
      co_return;
    }
    bool with_body = request_.method != "HEAD";
    std::string_view body = with_body ? std::string_view(response_.body) : std::string_view();
    if (!co_await send(head_, body)) co_return;
  } while (keep_alive_);
  if (refused_) co_await linger();
}

void HttpConnection::drain() {
  boost::system::error_code ignored;
  if (phase_ == Phase::Idle) socket_.cancel(ignored);
  if (phase_ == Phase::Streaming) stream_.cancel();
}

// Moves what is left of the input (pipelined requests) to the front of the buffer.
void HttpConnection::begin_request() {
  if (overflowing_) input_.swap(overflow_);
  overflowing_ = false;
  if (begin_ > 0) std::memmove(input_.data(), input_.data() + begin_, end_ - begin_);
  end_ -= begin_;
  begin_ = 0;

  request_.method = request_.target = {};
  request_.path.clear();
  request_.query.clear();
  request_.headers.clear();
  request_.body.clear();
  if (request_.body.capacity() > kKeepBodyCapacity) request_.body = std::string();
  request_.peer = peer_;
  parser_.emplace(request_, input_.size());
  response_ = {};
  phase_ = Phase::Idle;
}

Task<bool> HttpConnection::read_request() {
  while (!take_head()) {
    if (!parser_->started()) {
      if (shared_.draining) co_return false;
      limit(shared_.options.idle_timeout);
    } else if (phase_ == Phase::Idle) {
      phase_ = Phase::Reading;
      limit(shared_.options.header_timeout);
    }
    if (!co_await read_more()) co_return refused_;
  }
  if (refused_ || take_body()) co_return true;
  co_return co_await read_body();
}

// True when the head is complete or refused.
bool HttpConnection::take_head() {
  // RFC 9112 section 2.2: empty lines before a request are skipped.
  while (!parser_->started() && begin_ < end_ &&
         (input_[begin_] == '\r' || input_[begin_] == '\n')) {
    ++begin_;
  }
  if (begin_ == end_) return false;
  auto step = parser_->read_head({input_.data() + begin_, end_ - begin_});
  begin_ += step.used;
  bool done = step.progress == RequestParser::Progress::Done;
  if (!step.refusal && !done && end_ == input_.size()) step.refusal = parser_->head_too_large();
  if (!step.refusal && done) {
    size_t body_limit = shared_.handlers.body_limit(request_);
    parser_->set_body_limit(body_limit);
    if (parser_->declared_length() > body_limit) step.refusal = parser_->body_too_large();
    keep_alive_ = parser_->keep_alive();
  }
  if (step.refusal) refuse(*std::move(step.refusal));
  return done || refused_;
}

// True when the body is complete or refused.
bool HttpConnection::take_body() {
  const auto& buffer = overflowing_ ? overflow_ : input_;
  auto step = parser_->read_body({buffer.data() + begin_, end_ - begin_});
  begin_ += step.used;
  if (step.refusal) refuse(*std::move(step.refusal));
  return refused_ || step.progress == RequestParser::Progress::Done;
}

// The head stays where it is, because the request points into it.
Task<bool> HttpConnection::read_body() {
  phase_ = Phase::Reading;
  if (parser_->expects_continue() && begin_ == end_) {
    if (!co_await send("HTTP/1.1 100 Continue\r\n\r\n")) co_return false;
  }
  limit(shared_.options.body_timeout);
  do {
    auto& from = overflowing_ ? overflow_ : input_;
    overflow_.resize(input_.size());
    std::memmove(overflow_.data(), from.data() + begin_, end_ - begin_);
    overflowing_ = true;
    end_ -= begin_;
    begin_ = 0;
    if (end_ == overflow_.size()) {
      refuse({400, Error(ErrorKind::Invalid, "NET-0001", "a chunk's size line is too long")});
      break;
    }
    if (!co_await read_more()) co_return refused_;
  } while (!take_body());
  co_return true;
}

// False at the client's end of the connection, an error, a deadline or a drain.
Task<bool> HttpConnection::read_more() {
  auto& buffer = overflowing_ ? overflow_ : input_;
  auto free = boost::asio::buffer(buffer.data() + end_, buffer.size() - end_);
  auto [code, count] = co_await socket_.async_read_some(free, kToken);
  end_ += count;
  if (!code && count > 0) co_return true;
  if (expired_ && phase_ == Phase::Reading) {
    refuse({408, Error(ErrorKind::Timeout, "NET-0007",
                       "the request did not arrive in time: send it without pauses")});
  }
  co_return false;
}

void HttpConnection::refuse(Refusal refusal) {
  refused_ = true;
  keep_alive_ = false;
  response_ = shared_.handlers.refuse(request_, refusal.status, refusal.error);
}

Task<void> HttpConnection::answer() {
  phase_ = Phase::Handling;
  no_limit();
  std::string failure;
  try {
    response_ = co_await shared_.handlers.handle(request_);
    co_return;
  } catch (const std::exception& e) {
    if (async::is_cancel(e)) throw;
    failure = e.what();
  }
  log_error("http.handler_failed",
            {{"method", request_.method}, {"path", request_.path}, {"error", failure}});
  Error error(ErrorKind::Internal, "NET-0005", "the request failed by a fault of the server");
  response_ = shared_.handlers.refuse(request_, 500, error);
}

void HttpConnection::write_head() {
  int status = response_.status;
  bool has_length = !response_.stream && status >= 200 && status != 204 && status != 304;
  keep_alive_ = keep_alive_ && !response_.close && !response_.stream && !shared_.draining;
  auto out = std::back_inserter(head_);
  head_.clear();
  fmt::format_to(out, "HTTP/1.1 {} {}\r\n", status, reason_of(status));
  head_ += shared_.date_line();
  if (!response_.content_type.empty()) {
    fmt::format_to(out, "Content-Type: {}\r\n", response_.content_type);
  }
  head_ += response_.header_lines();
  if (has_length) fmt::format_to(out, "Content-Length: {}\r\n", response_.body.size());
  if (response_.stream && !parser_->is_http_1_0()) head_ += "Transfer-Encoding: chunked\r\n";
  if (!keep_alive_) {
    head_ += "Connection: close\r\n";
  } else if (parser_->is_http_1_0()) {
    head_ += "Connection: keep-alive\r\n";
  }
  head_ += "\r\n";
}

// Both pieces with one system call; waits only when the client's window is full.
Task<bool> HttpConnection::send(std::string_view first, std::string_view second) {
  for (size_t sent = 0; true;) {
    boost::system::error_code code;
    sent += socket_.write_some(rest_of(first, second, sent), code);
    if (sent == first.size() + second.size()) co_return true;
    if (code && code != boost::asio::error::would_block) co_return false;
    limit(shared_.options.write_timeout);
    auto [wait_code] = co_await socket_.async_wait(Socket::wait_write, kToken);
    if (wait_code) co_return false;
  }
}

Task<void> HttpConnection::send_stream() {
  phase_ = Phase::Streaming;
  if (!co_await send(head_) || shared_.draining) co_return;
  no_limit();
  async::Scope watch(socket_.get_executor());
  async::spawn("http.watch_client", watch, watch_client());
  bool complete = false;
  try {
    co_await stream_.run(response_.stream(*this));
    complete = true;
  } catch (const std::exception& e) {
    if (!async::is_cancel(e)) {
      log_error("http.stream_failed", {{"path", request_.path}, {"error", e.what()}});
    }
  }
  co_await async::ignore_cancel();
  co_await watch.stop();
  if (complete && !parser_->is_http_1_0()) co_await send("0\r\n\r\n");
}

// Ends the stream when the client closes the connection. What it sends meanwhile is not read.
Task<void> HttpConnection::watch_client() {
  auto [code] = co_await socket_.async_wait(Socket::wait_read, kToken);
  char byte;
  ssize_t count = recv(socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  bool gone = count == 0 || (count < 0 && errno != EAGAIN);
  if (!code && gone) stream_.cancel();
}

Task<Result<void>> HttpConnection::write(std::string_view piece) {
  if (piece.empty()) co_return Result<void>();
  if (parser_->is_http_1_0()) {
    head_ = piece;
  } else {
    head_ = fmt::format("{:x}\r\n", piece.size());
    head_ += piece;
    head_ += "\r\n";
  }
  bool sent = co_await send(head_);
  no_limit();
  if (!sent) co_return Error(ErrorKind::Unavailable, "NET-0006", "the client is gone");
  co_return Result<void>();
}

// Takes what a refused client still sends: closing at once would reset the connection, and the
// client would lose the response.
Task<void> HttpConnection::linger() {
  boost::system::error_code code;
  socket_.shutdown(Socket::shutdown_send, code);
  limit(kLingerTime);
  for (size_t taken = 0; !code && taken < kLingerBytes;) {
    auto [read_code, count] = co_await socket_.async_read_some(boost::asio::buffer(input_), kToken);
    code = read_code;
    taken += count;
  }
}

void HttpConnection::limit(async::Duration duration) {
  limit_at_ = Clock::now() + duration;
  if (limit_at_ >= fires_at_) return;
  fires_at_ = limit_at_;
  deadline_.arm(duration);
}

void HttpConnection::on_deadline() {
  fires_at_ = Clock::time_point::max();
  if (limit_at_ == Clock::time_point::max()) return;
  auto left = std::chrono::ceil<async::Duration>(limit_at_ - Clock::now());
  if (left > async::Duration::zero()) {
    fires_at_ = limit_at_;
    deadline_.arm(left);
    return;
  }
  expired_ = true;
  boost::system::error_code ignored;
  socket_.cancel(ignored);
}

}  // namespace millrace::net
