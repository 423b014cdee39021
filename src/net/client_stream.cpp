// SPDX-License-Identifier: Apache-2.0
#include "net/client_stream.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

namespace millrace::net {

using boost::asio::ip::tcp;
namespace ssl = boost::asio::ssl;

namespace {

constexpr auto kToken = boost::asio::as_tuple(boost::asio::use_awaitable);

Error broken(const boost::system::error_code& code) {
  return Error(ErrorKind::Unavailable, "NET-0013",
               fmt::format("the connection broke: {}", code.message()));
}

Error cannot_connect(const Url& url, std::string_view why) {
  return Error(ErrorKind::Unavailable, "NET-0012",
               fmt::format("cannot connect to {}: {}", url.authority(), why));
}

// `Stream` is tcp::socket or ssl::stream<tcp::socket>.
template <typename Stream>
class StreamOver final : public ClientStream {
 public:
  explicit StreamOver(Stream stream) : stream_(std::move(stream)) {}

  Task<Result<size_t>> read_some(char* data, size_t size) override {
    auto [code, count] = co_await stream_.async_read_some(boost::asio::buffer(data, size), kToken);
    // Many servers close without TLS's own farewell; the HTTP framing tells a cut answer.
    bool ended = code == boost::asio::error::eof || code == ssl::error::stream_truncated;
    if (code && !ended) co_return broken(code);
    co_return ended ? size_t{0} : count;
  }

  Task<Result<void>> write(std::string_view head, std::string_view body) override {
    std::array<boost::asio::const_buffer, 2> both{boost::asio::buffer(head),
                                                  boost::asio::buffer(body)};
    auto [code, count] = co_await boost::asio::async_write(stream_, both, kToken);
    if (code) co_return broken(code);
    co_return Result<void>();
  }

  bool is_quiet() override {
    char byte;
    int fd = stream_.lowest_layer().native_handle();
    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
  }

  Stream& stream() { return stream_; }

 private:
  Stream stream_;
};

Task<Result<tcp::socket>> connect(Url url) {
  auto executor = co_await async::this_executor();
  tcp::resolver resolver(executor);
  auto [resolve_code, endpoints] =
      co_await resolver.async_resolve(url.host, std::to_string(url.port), kToken);
  if (resolve_code) co_return cannot_connect(url, resolve_code.message());
  tcp::socket socket(executor);
  auto [code, endpoint] = co_await boost::asio::async_connect(socket, endpoints, kToken);
  if (code) co_return cannot_connect(url, code.message());
  boost::system::error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  fcntl(socket.native_handle(), F_SETFD, FD_CLOEXEC);
  co_return socket;
}

}  // namespace

struct TlsContext::State {
  ssl::context context{ssl::context::tls_client};
};

TlsContext::TlsContext(std::unique_ptr<State> state) : state_(std::move(state)) {}
TlsContext::~TlsContext() = default;

Result<std::unique_ptr<TlsContext>> TlsContext::create(const std::string& ca_file) {
  auto state = std::make_unique<State>();
  boost::system::error_code code;
  state->context.set_options(ssl::context::default_workarounds | ssl::context::no_tlsv1 |
                             ssl::context::no_tlsv1_1);
  state->context.set_verify_mode(ssl::verify_peer);
  state->context.set_default_verify_paths(code);
  if (!code && !ca_file.empty()) state->context.load_verify_file(ca_file, code);
  if (code) {
    return Error(ErrorKind::Unavailable, "NET-0016",
                 fmt::format("cannot read the certificates to trust{}{}: {}",
                             ca_file.empty() ? "" : " from ", ca_file, code.message()));
  }
  return std::unique_ptr<TlsContext>(new TlsContext(std::move(state)));
}

Task<Result<std::unique_ptr<ClientStream>>> open_stream(Url url, TlsContext* tls) {
  CO_TRY(tcp::socket socket, co_await connect(url));
  if (!url.tls) co_return std::make_unique<StreamOver<tcp::socket>>(std::move(socket));

  using TlsStream = ssl::stream<tcp::socket>;
  auto stream =
      std::make_unique<StreamOver<TlsStream>>(TlsStream(std::move(socket), tls->state_->context));
  SSL_set_tlsext_host_name(stream->stream().native_handle(), url.host.c_str());
  stream->stream().set_verify_callback(ssl::host_name_verification(url.host));
  auto [code] = co_await stream->stream().async_handshake(TlsStream::client, kToken);
  if (code) {
    long verdict = SSL_get_verify_result(stream->stream().native_handle());
    co_return cannot_connect(url, verdict != X509_V_OK
                                      ? fmt::format("the certificate is not trusted: {}",
                                                    X509_verify_cert_error_string(verdict))
                                      : code.message());
  }
  co_return std::unique_ptr<ClientStream>(std::move(stream));
}

}  // namespace millrace::net
