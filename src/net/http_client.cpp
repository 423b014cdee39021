// SPDX-License-Identifier: Apache-2.0
#include "net/http_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <deque>

#include "async/deadline.h"
#include "base/text.h"
#include "net/client_stream.h"
#include "net/media_type.h"
#include "net/response_parser.h"

namespace millrace::net {

// Connections that wait for their next request.
struct HttpClient::Idle {
  struct Kept {
    std::string server;
    std::unique_ptr<ClientStream> stream;
  };
  std::deque<Kept> kept;  // the one that waits longest first
  std::unique_ptr<TlsContext> tls;

  static std::string key(const Url& url) {
    return fmt::format("{}://{}:{}", url.tls ? "https" : "http", to_lower_ascii(url.host),
                       url.port);
  }
  // The one that was used last: its server is the least likely to close it. Nothing when there is
  // none that still lives.
  std::unique_ptr<ClientStream> take(const Url& url) {
    std::string server = key(url);
    for (size_t i = kept.size(); i-- > 0;) {
      if (kept[i].server != server) continue;
      auto stream = std::move(kept[i].stream);
      kept.erase(kept.begin() + static_cast<ptrdiff_t>(i));
      if (stream->is_quiet()) return stream;
    }
    return nullptr;
  }
  void keep(const Url& url, std::unique_ptr<ClientStream> stream, size_t at_most) {
    kept.push_back({key(url), std::move(stream)});
    if (kept.size() > at_most) kept.pop_front();
  }
};

namespace {

constexpr size_t kReadBytes = 16 << 10;
constexpr size_t kMostReadBytes = 128 << 10;

bool is_header_value(std::string_view text) {
  auto control = [](char c) {
    return (static_cast<unsigned char>(c) < ' ' && c != '\t') || c == 127;
  };
  return std::ranges::none_of(text, control);
}

bool is_own_header(std::string_view name) {
  for (std::string_view own : {"Host", "Content-Length", "Transfer-Encoding", "Connection"}) {
    if (iequals_ascii(name, own)) return true;
  }
  return false;
}

Result<std::string> head_of(const ClientRequest& request, const Url& url,
                            const std::string& user_agent) {
  if (!is_token(request.method)) {
    return Error(ErrorKind::Invalid, "NET-0011",
                 fmt::format("'{}' is no HTTP method", request.method.substr(0, 40)));
  }
  std::string head =
      fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\n", request.method, url.target, url.authority());
  bool has_agent = false;
  for (const auto& [name, value] : request.headers) {
    if (!is_token(name) || !is_header_value(value)) {
      return Error(ErrorKind::Invalid, "NET-0011",
                   fmt::format("request header '{}': expected a name of letters, digits and "
                               "dashes and a value without control characters",
                               name.substr(0, 40)));
    }
    if (is_own_header(name)) {
      return Error(
          ErrorKind::Invalid, "NET-0011",
          fmt::format("request header '{}' is set by the client itself: leave it out", name));
    }
    has_agent = has_agent || iequals_ascii(name, "User-Agent");
    head += fmt::format("{}: {}\r\n", name, value);
  }
  if (!has_agent) head += fmt::format("User-Agent: {}\r\n", user_agent);
  bool sends_body = request.method == "POST" || request.method == "PUT" ||
                    request.method == "PATCH" || !request.body.empty();
  if (sends_body) head += fmt::format("Content-Length: {}\r\n", request.body.size());
  return head + "\r\n";
}

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

// The next request of a redirect, as browsers do it (Fetch, 4.4 "HTTP-redirect fetch").
void redirect(ClientRequest& request, int status, bool same_server) {
  bool becomes_get = (status == 303 && request.method != "HEAD") ||
                     ((status == 301 || status == 302) && request.method == "POST");
  auto drop = [&](std::string_view name) {
    std::erase_if(request.headers, [&](const auto& h) { return iequals_ascii(h.first, name); });
  };
  if (becomes_get) {
    request.method = "GET";
    request.body.clear();
    drop("Content-Type");
  }
  if (!same_server) {
    drop("Authorization");
    drop("Cookie");
  }
}

bool may_repeat(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "PUT" || method == "DELETE" ||
         method == "OPTIONS";
}

Error timed_out(const Url& url, std::string_view doing, async::Duration limit) {
  return Error(ErrorKind::Timeout, "NET-0014",
               fmt::format("{}: {} took longer than {} ms", url.authority(), doing, limit.count()));
}

}  // namespace

// One request and its response over one connection.
class HttpClient::Exchange {
 public:
  Exchange(ClientStream& stream, const HttpClientOptions& options, const Url& url)
      : stream_(stream), options_(options), url_(url), buffer_(kReadBytes) {}

  // True when the connection may be kept.
  Task<Result<bool>> run(const std::string& head, const ClientRequest& request,
                         const OnPiece& on_piece, ClientResponse& response) {
    CO_TRY(co_await limited(stream_.write(head, request.body), "sending the request"));
    for (int interim = 0; interim <= kMostInterim; ++interim) {
      response = {};
      ResponseParser parser(response, request.method == "HEAD", options_.max_response_bytes,
                            on_piece);
      CO_TRY(co_await receive(parser));
      bool is_interim = response.status / 100 == 1;  // 100 Continue, 103 Early Hints
      if (!is_interim) co_return parser.keep_alive() && filled_ == 0;
    }
    co_return Error(ErrorKind::Unavailable, "NET-0013",
                    fmt::format("{}: more than {} responses that announce another one",
                                url_.authority(), kMostInterim));
  }
  bool got_anything() const { return got_anything_; }

 private:
  static constexpr int kMostInterim = 100;

  Task<Result<void>> receive(ResponseParser& parser) {
    while (true) {
      if (filled_ > 0) {
        CO_TRY(size_t used, parser.read({buffer_.data(), filled_}));
        filled_ -= used;
        std::memmove(buffer_.data(), buffer_.data() + used, filled_);
        if (parser.done()) co_return Result<void>();
        if (filled_ == buffer_.size()) CO_TRY(grow());
      }
      auto reading = stream_.read_some(buffer_.data() + filled_, buffer_.size() - filled_);
      CO_TRY(size_t count, co_await limited(std::move(reading), "waiting for the response"));
      if (count == 0) co_return parser.read_end();
      got_anything_ = true;
      filled_ += count;
    }
  }

  // Only for a header, or the size line of a chunk, that is longer than the buffer.
  Result<void> grow() {
    if (buffer_.size() >= kMostReadBytes) {
      return Error(ErrorKind::Unavailable, "NET-0013",
                   fmt::format("response header: expected at most {} bytes", kMostReadBytes));
    }
    buffer_.resize(buffer_.size() * 2);
    return {};
  }

  template <typename T>
  Task<Result<T>> limited(Task<Result<T>> task, std::string_view doing) {
    auto result = co_await async::with_deadline(options_.read_timeout, std::move(task));
    if (!result.ok() && result.error().code() == "ASY-0001") {
      co_return timed_out(url_, doing, options_.read_timeout);
    }
    co_return result;
  }

  ClientStream& stream_;
  const HttpClientOptions& options_;
  const Url& url_;
  std::vector<char> buffer_;
  size_t filled_ = 0;
  bool got_anything_ = false;
};

std::string_view ClientResponse::find_header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (iequals_ascii(key, name)) return value;
  }
  return {};
}

HttpClient::HttpClient(HttpClientOptions options)
    : options_(std::move(options)), idle_(std::make_unique<Idle>()) {}

HttpClient::~HttpClient() = default;

Task<Result<ClientResponse>> HttpClient::send(ClientRequest request) {
  return stream(std::move(request), {});
}

Task<Result<ClientResponse>> HttpClient::stream(ClientRequest request, OnPiece on_piece) {
  CO_TRY(Url url, parse_url(request.url));
  for (int redirects = 0; true; ++redirects) {
    CO_TRY(ClientResponse response, co_await send_once(request, url, on_piece));
    std::string_view location = response.find_header("Location");
    bool follows = redirects < options_.max_redirects && is_redirect(response.status);
    if (!follows || location.empty()) co_return response;
    CO_TRY(Url next, resolve_url(url, location));
    redirect(request, response.status, next.same_server(url));
    url = std::move(next);
  }
}

Task<Result<ClientResponse>> HttpClient::send_once(const ClientRequest& request, const Url& url,
                                                   const OnPiece& on_piece) {
  CO_TRY(std::string head, head_of(request, url, options_.user_agent));
  if (url.tls && !idle_->tls) {
    CO_TRY(idle_->tls, TlsContext::create(options_.ca_file));
  }
  while (true) {
    auto stream = idle_->take(url);
    bool reused = stream != nullptr;
    if (!reused) {
      auto opened = co_await async::with_deadline(options_.connect_timeout,
                                                  open_stream(url, idle_->tls.get()));
      if (!opened.ok() && opened.error().code() == "ASY-0001") {
        co_return timed_out(url, "connecting", options_.connect_timeout);
      }
      CO_TRY(stream, std::move(opened));
    }
    ClientResponse response;
    Exchange exchange(*stream, options_, url);
    auto may_keep = co_await exchange.run(head, request, on_piece, response);
    // The server may have closed a kept connection while the request was on its way.
    bool went_stale = !may_keep.ok() && reused && !exchange.got_anything() &&
                      may_keep.error().kind() == ErrorKind::Unavailable;
    if (went_stale && may_repeat(request.method)) continue;
    if (!may_keep.ok()) co_return std::move(may_keep).error().with_context(url.authority());
    if (*may_keep) idle_->keep(url, std::move(stream), options_.max_idle);
    co_return response;
  }
}

}  // namespace millrace::net
