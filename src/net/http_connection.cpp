// SPDX-License-Identifier: Apache-2.0
#include "net/http_connection.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstring>

#include "base/log.h"

namespace millrace::net {
namespace {

constexpr auto kToken = boost::asio::as_tuple(boost::asio::use_awaitable);
constexpr size_t kKeepBodyCapacity = 16 << 10;  // a larger buffer is given back after its request
constexpr size_t kLingerBytes = 16 << 20;
constexpr async::Duration kLingerTime{2000};
constexpr size_t kUncharged = 64 << 10;  // what the body of an unknown sender may have anyway
constexpr size_t kSkipAtMost = 64 << 10;
// A handler that takes longer is told when its client leaves. One that does not costs nothing.
constexpr async::Duration kWatchAfter{200};
constexpr async::Duration kLookAgain{250};

using Buffers = std::array<boost::asio::const_buffer, 2>;

constexpr int64_t kRetryAfterMs = 1000;

Refusal no_room() {
  return {503, Error(ErrorKind::Unavailable, "NET-0018",
                     "too many large bodies of unknown senders are being read: send it again, or "
                     "at most 64 KiB")
                   .with_retry_after(kRetryAfterMs)};
}

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

HttpConnection::HttpConnection(Socket socket, const Address& peer, HttpShared& shared)
    : socket_(std::move(socket)),
      shared_(shared),
      peer_(peer_text(socket_)),
      client_(shared.clients.at(peer)),
      address_(peer),
      is_proxy_(is_trusted(peer, shared.options.trusted_proxies)),
      input_(shared.options.max_header_bytes),
      watch_(socket_.get_executor()),
      deadline_(socket_.get_executor(), [this] { on_deadline(); }) {
  if (shared.options.tls) tls_ = shared.options.tls->session(socket_.native_handle());
  shared_.connections.insert(this);
  ++client_.second.connections;
}

HttpConnection::~HttpConnection() {
  if (tls_) tls_->farewell();
  end_idle();
  release();
  shared_.clients.leave(client_, &Clients::Counts::connections);
  shared_.connections.erase(this);
}

// Gives back what the request had of what all share.
void HttpConnection::release() {
  if (asking_) shared_.clients.leave(*asking_, &Clients::Counts::requests);
  asking_ = nullptr;
  drop_body();
}

void HttpConnection::drop_body() {
  request_.body.clear();
  if (request_.body.capacity() > kKeepBodyCapacity) request_.body = std::string();
  shared_.unknown_bytes -= charged_;
  charged_ = 0;
}

Task<void> HttpConnection::serve() {
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
    std::string_view body = with_body ? response_.content() : std::string_view();
    if (!co_await send(head_, body)) co_return;
    if (keep_alive_ && skips_body_) keep_alive_ = co_await skip_body();
    is_first_ = false;
  } while (keep_alive_);
  if (refused_) co_await linger();
}

void HttpConnection::drain() {
  boost::system::error_code ignored;
  end_idle();
  if (phase_ == Phase::Idle) socket_.cancel(ignored);
  if (phase_ == Phase::Streaming) stream_.cancel();
}

// Moves what is left of the input (pipelined requests) to the front of the buffer.
void HttpConnection::begin_request() {
  release();
  if (overflowing_) input_.swap(overflow_);
  overflow_ = {};
  overflowing_ = refused_ = skips_body_ = false;
  if (begin_ > 0) std::memmove(input_.data(), input_.data() + begin_, end_ - begin_);
  end_ -= begin_;
  begin_ = 0;

  request_.method = request_.target = {};
  request_.path.clear();
  request_.query.clear();
  request_.headers.clear();
  request_.peer = peer_;
  parser_.emplace(request_, input_.size());
  response_ = {};
  phase_ = Phase::Idle;
}

void HttpConnection::begin_idle() {
  const auto& options = shared_.options;
  idle_since_ = Clock::now();
  limit(idle_since_ + (is_first_ ? std::min(options.header_timeout, options.idle_timeout)
                                 : options.idle_timeout));
  shared_.idle.splice(shared_.idle.end(), own_place_);
}

void HttpConnection::end_idle() {
  if (own_place_.empty()) own_place_.splice(own_place_.begin(), shared_.idle, place_);
}

Task<bool> HttpConnection::read_request() {
  const auto& options = shared_.options;
  bool nothing_came = begin_ == end_;
  while (!take_head()) {
    if (nothing_came) {
      if (shared_.draining) co_return false;
      begin_idle();
    } else if (phase_ == Phase::Idle) {
      phase_ = Phase::Reading;
      limit(options.header_timeout);
    }
    bool came = co_await read_more();
    end_idle();
    if (!came) co_return refused_;
    nothing_came = false;
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
  if (step.refusal) {
    refuse(*std::move(step.refusal));
  } else if (done) {
    keep_alive_ = parser_->keep_alive();
    if (count_request() && parser_->has_body()) admit();
  }
  return done || refused_;
}

// What a proxy passes on is counted for whom it passes it on.
bool HttpConnection::count_request() {
  asking_ = &client_;
  if (is_proxy_) {
    const auto& trusted = shared_.options.trusted_proxies;
    asking_ = &shared_.clients.at(asking_address(address_, request_.headers, trusted));
  }
  auto& requests = asking_->second.requests;
  size_t most = shared_.options.max_requests_per_address;
  if (requests++ < most) return true;
  refuse({503, Error(ErrorKind::Unavailable, "NET-0017",
                     fmt::format("{} has {} unfinished requests, as many as one address may: try "
                                 "again when some are answered",
                                 asking_->first.text(), most))
                   .with_retry_after(kRetryAfterMs)});
  return false;
}

// The head is there, and says that a body follows: may it?
void HttpConnection::admit() {
  auto admission = shared_.handlers.admit(request_);
  known_ = admission.known;
  size_t budget = shared_.options.body_budget;
  size_t most = known_ ? admission.body_limit : std::min(admission.body_limit, budget + kUncharged);
  parser_->set_body_limit(most);
  size_t declared = parser_->declared_length().value_or(0);
  if (admission.refusal) {
    refused_ = true;
    response_ = *std::move(admission.refusal);
    skips_body_ = declared <= kSkipAtMost && !parser_->expects_continue();
    keep_alive_ = keep_alive_ && skips_body_;
  } else if (declared > most) {
    refuse(parser_->body_too_large());
  } else if (!known_ && !has_room(declared)) {
    refuse(no_room());
  }
}

// Whether the budget of unknown senders has room for a body of this size.
bool HttpConnection::has_room(size_t body) const {
  size_t wanted = body > kUncharged ? body - kUncharged : 0;
  return wanted <= charged_ ||
         shared_.unknown_bytes + (wanted - charged_) <= shared_.options.body_budget;
}

// Pays for what has come of the body.
void HttpConnection::charge() {
  size_t body = request_.body.size();
  if (known_ || refused_ || body <= kUncharged) return;
  if (!has_room(body)) {
    refuse(no_room());
    return;
  }
  shared_.unknown_bytes += body - kUncharged - charged_;
  charged_ = body - kUncharged;
}

// True when the body is complete or refused.
bool HttpConnection::take_body() {
  const auto& buffer = overflowing_ ? overflow_ : input_;
  auto step = parser_->read_body({buffer.data() + begin_, end_ - begin_});
  begin_ += step.used;
  if (step.refusal) refuse(*std::move(step.refusal));
  charge();
  return refused_ || step.progress == RequestParser::Progress::Done;
}

// The head stays where it is, because the request points into it.
Task<bool> HttpConnection::read_body() {
  phase_ = Phase::Reading;
  if (parser_->expects_continue() && begin_ == end_) {
    if (!co_await send("HTTP/1.1 100 Continue\r\n\r\n")) co_return false;
  }
  auto begin = Clock::now();
  do {
    limit(paced(begin, shared_.options.body_grace, parser_->body_received()));
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

// After an answer that did not wait for the body. False: what is sent is more, or no body.
Task<bool> HttpConnection::skip_body() {
  refused_ = false;
  parser_->discard_body();
  parser_->set_body_limit(kSkipAtMost);
  bool whole = take_body() || co_await read_body();
  whole = whole && !refused_;
  refused_ = true;
  co_return whole;
}

// False at the client's end of the connection, an error, a deadline or a drain.
Task<bool> HttpConnection::read_more() {
  auto& buffer = overflowing_ ? overflow_ : input_;
  char* free = buffer.data() + end_;
  size_t size = buffer.size() - end_;
  if (tls_) {
    size_t count = co_await read_tls(free, size);
    end_ += count;
    if (count > 0) co_return true;
  } else {
    auto [code, count] = co_await socket_.async_read_some(boost::asio::buffer(free, size), kToken);
    end_ += count;
    if (!code && count > 0) co_return true;
  }
  if (expired_ && parser_->started()) {
    refuse({408, Error(ErrorKind::Timeout, "NET-0007",
                       "the request did not arrive in time: send it without pauses")});
  }
  co_return false;
}

// 0 at the end, as above. The first read brings the handshake.
Task<size_t> HttpConnection::read_tls(char* data, size_t size) {
  for (;;) {
    auto [count, need] = tls_->read(data, size);
    if (need == TlsSession::Need::Nothing) co_return count;
    if (need == TlsSession::Need::End) co_return size_t{0};
    auto wait = need == TlsSession::Need::Writable ? Socket::wait_write : Socket::wait_read;
    auto [code] = co_await socket_.async_wait(wait, kToken);
    if (code) co_return size_t{0};
  }
}

void HttpConnection::refuse(Refusal refusal) {
  refused_ = true;
  keep_alive_ = skips_body_ = false;
  response_ = shared_.handlers.refuse(request_, refusal.status, refusal.error);
  drop_body();  // the client may still be there for a while
}

Task<void> HttpConnection::answer() {
  phase_ = Phase::Handling;
  limit(kWatchAfter);
  std::optional<std::string> failure;
  std::exception_ptr cancelled;
  try {
    response_ = co_await shared_.handlers.handle(request_);
  } catch (const std::exception& e) {
    if (async::is_cancel(e)) cancelled = std::current_exception();
    failure = e.what();
  }
  phase_ = Phase::Sending;
  no_limit();
  if (watch_.live() > 0) {
    co_await async::ignore_cancel();
    co_await watch_.stop();
    co_await async::obey_cancel();
  }
  if (cancelled) std::rethrow_exception(cancelled);
  if (!failure) co_return;
  log_error("http.handler_failed",
            {{"method", request_.method}, {"path", request_.path}, {"error", *failure}});
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
  if (has_length) fmt::format_to(out, "Content-Length: {}\r\n", response_.content().size());
  if (response_.stream && !parser_->is_http_1_0()) head_ += "Transfer-Encoding: chunked\r\n";
  if (!keep_alive_) {
    head_ += "Connection: close\r\n";
  } else if (parser_->is_http_1_0()) {
    head_ += "Connection: keep-alive\r\n";
  }
  head_ += "\r\n";
}

// What the socket takes of both pieces at once, with one system call.
HttpConnection::Sent HttpConnection::send_some(std::string_view first, std::string_view second,
                                               size_t sent) {
  if (!tls_) {
    boost::system::error_code code;
    size_t count = socket_.write_some(rest_of(first, second, sent), code);
    return {count, !code || code == boost::asio::error::would_block, Socket::wait_write};
  }
  auto rest = sent < first.size() ? first.substr(sent) : second.substr(sent - first.size());
  auto [count, need] = tls_->write(rest.data(), rest.size());
  auto wait = need == TlsSession::Need::Readable ? Socket::wait_read : Socket::wait_write;
  return {count, need != TlsSession::Need::End, wait};
}

// Waits only when the client's window is full.
Task<bool> HttpConnection::send(std::string_view first, std::string_view second) {
  std::optional<Clock::time_point> begin;
  for (size_t sent = 0; true;) {
    auto [count, lives, wait] = send_some(first, second, sent);
    sent += count;
    if (sent == first.size() + second.size()) co_return true;
    if (!lives) co_return false;
    if (tls_ && count > 0) continue;  // a record at a time
    if (!begin) begin = Clock::now();
    limit(paced(*begin, shared_.options.write_grace, sent));
    auto [wait_code] = co_await socket_.async_wait(wait, kToken);
    if (wait_code) co_return false;
  }
}

Task<void> HttpConnection::send_stream() {
  phase_ = Phase::Streaming;
  if (!co_await send(head_) || shared_.draining) co_return;
  no_limit();
  async::spawn("http.watch_client", watch_, watch_client());
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
  co_await watch_.stop();
  if (complete && !parser_->is_http_1_0()) co_await send("0\r\n\r\n");
}

// Ends what is done for the client when it closes the connection. What it sends meanwhile is not
// read, and hides the end of what it sends from all but POLLRDHUP.
Task<void> HttpConnection::watch_client() {
  for (;;) {
    auto [code] = co_await socket_.async_wait(Socket::wait_read, kToken);
    if (code) co_return;
    pollfd look{.fd = socket_.native_handle(), .events = POLLRDHUP, .revents = 0};
    if (poll(&look, 1, 0) > 0) break;
    co_await async::sleep_for(kLookAgain);
  }
  if (phase_ == Phase::Streaming) {
    stream_.cancel();
  } else {
    life_.cancel();
  }
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
  if (tls_) tls_->farewell();
  socket_.shutdown(Socket::shutdown_send, code);
  limit(kLingerTime);
  for (size_t taken = 0; !code && taken < kLingerBytes;) {
    auto [read_code, count] = co_await socket_.async_read_some(boost::asio::buffer(input_), kToken);
    code = read_code;
    taken += count;
  }
}

// How long what began then may go on when so many bytes have gone through.
HttpConnection::Clock::time_point HttpConnection::paced(Clock::time_point begin,
                                                        async::Duration grace, size_t bytes) const {
  return begin + grace + async::Duration(bytes * 1000 / shared_.options.least_rate);
}

void HttpConnection::limit(Clock::time_point at) {
  limit_at_ = at;
  if (limit_at_ >= fires_at_) return;
  fires_at_ = limit_at_;
  deadline_.arm(std::chrono::ceil<async::Duration>(at - Clock::now()));
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
  if (phase_ == Phase::Handling) {
    no_limit();
    async::spawn("http.watch_client", watch_, watch_client());
    return;
  }
  expired_ = true;
  boost::system::error_code ignored;
  socket_.cancel(ignored);
}

}  // namespace millrace::net
