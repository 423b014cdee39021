// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <ctime>
#include <list>
#include <optional>
#include <unordered_set>
#include <vector>

#include "async/cancel.h"
#include "async/deadline.h"
#include "async/scope.h"
#include "net/clients.h"
#include "net/http_server.h"
#include "net/request_parser.h"
#include "net/server_tls.h"

namespace millrace::net {

class HttpConnection;

// What all connections of one server share. Loop thread only.
class HttpShared {
 public:
  HttpShared(HttpServerOptions server_options, HttpHandlers server_handlers)
      : options(std::move(server_options)), handlers(std::move(server_handlers)) {}

  const HttpServerOptions options;
  const HttpHandlers handlers;
  bool draining = false;
  std::unordered_set<HttpConnection*> connections;
  Clients clients;
  std::list<HttpConnection*> idle;  // wait for a request, the longest first
  size_t unknown_bytes = 0;  // of bodies whose senders are not known, beyond what each may have

  // `Date: ...` for now, formatted once a second.
  std::string_view date_line();

 private:
  time_t date_second_ = 0;
  std::string date_line_;
};

// One connection of a client. Reads a request, has it handled, writes the response, again. All
// buffers live as long as the connection; a request that arrives in one piece costs one read and
// one write.
class HttpConnection final : private BodyWriter {
 public:
  HttpConnection(boost::asio::ip::tcp::socket socket, const Address& peer, HttpShared& shared);
  ~HttpConnection();
  HttpConnection(const HttpConnection&) = delete;

  // Until the client leaves, an error, a deadline, or a drain ends it.
  Task<void> run() { return life_.run(serve()); }
  // Closes the connection if it waits for a request; ends a stream.
  void drain();

  using Clock = std::chrono::steady_clock;
  const Address& address() const { return address_; }
  Clock::time_point idle_since() const { return idle_since_; }

 private:
  using Socket = boost::asio::ip::tcp::socket;

  Task<void> serve();

  // Reading. False: the connection ends without a response.
  void begin_request();
  Task<bool> read_request();
  bool take_head();
  void admit();
  bool count_request();
  bool take_body();
  bool has_room(size_t body) const;
  void charge();
  Task<bool> read_body();
  Task<bool> skip_body();
  Task<bool> read_more();
  Task<size_t> read_tls(char* data, size_t size);
  void begin_idle();
  void end_idle();
  void refuse(Refusal refusal);
  void release();
  void drop_body();

  // Answering.
  Task<void> answer();
  void write_head();
  struct Sent {
    size_t bytes = 0;
    bool lives = true;  // the connection does
    Socket::wait_type wait = Socket::wait_write;
  };
  Sent send_some(std::string_view first, std::string_view second, size_t sent);
  Task<bool> send(std::string_view first, std::string_view second = {});
  Task<void> send_stream();
  Task<void> watch_client();
  Task<Result<void>> write(std::string_view piece) override;
  Task<void> linger();

  // One deadline serves all phases. Moving it later costs a store; it is checked when it fires.
  void limit(Clock::time_point at);
  void limit(async::Duration duration) { limit(Clock::now() + duration); }
  Clock::time_point paced(Clock::time_point begin, async::Duration grace, size_t bytes) const;
  void no_limit() { limit_at_ = Clock::time_point::max(); }
  void on_deadline();

  enum class Phase : uint8_t { Idle, Reading, Handling, Sending, Streaming };

  Socket socket_;
  std::unique_ptr<TlsSession> tls_;  // none: in the clear
  HttpShared& shared_;
  std::string peer_;
  Phase phase_ = Phase::Idle;
  bool is_first_ = true;  // no request was answered yet
  bool keep_alive_ = true;
  bool refused_ = false;     // the response is there; the client may still be sending
  bool skips_body_ = false;  // what it sends is small: the connection outlives the refusal
  bool expired_ = false;

  Clients::Entry& client_;            // of who is connected
  Clients::Entry* asking_ = nullptr;  // where the current request is counted
  bool known_ = true;                 // its sender has shown a right
  size_t charged_ = 0;                // of HttpShared::unknown_bytes
  Address address_;
  std::list<HttpConnection*> own_place_{
      this};  // its node of HttpShared::idle, when it is not there
  std::list<HttpConnection*>::iterator place_ = own_place_.begin();
  Clock::time_point idle_since_;
  bool is_proxy_;

  // `input_[begin_, end_)` is not consumed yet. The head of the current request stays in place
  // before it; a body that does not fit is read through `overflow_`.
  std::vector<char> input_;
  std::vector<char> overflow_;
  size_t begin_ = 0;
  size_t end_ = 0;
  bool overflowing_ = false;

  std::optional<RequestParser> parser_;
  HttpRequest request_;
  HttpResponse response_;
  std::string head_;
  async::Cancellable life_;
  async::Cancellable stream_;
  async::Scope watch_;

  Clock::time_point limit_at_ = Clock::time_point::max();
  Clock::time_point fires_at_ = Clock::time_point::max();
  async::Deadline deadline_;
};

}  // namespace millrace::net
