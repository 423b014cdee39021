// SPDX-License-Identifier: Apache-2.0
#include "net/server_tls.h"

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>

#include "base/files.h"

namespace millrace::net {
namespace {

constexpr size_t kLongestPem = 256 << 10;
constexpr char kCiphers[] = "ECDHE+AESGCM:ECDHE+CHACHA20";  // of TLS 1.2

// OpenSSL's own BIO writes to a socket in a way that may raise SIGPIPE.
int send_bytes(BIO* bio, const char* data, int size) {
  auto fd = static_cast<int>(reinterpret_cast<intptr_t>(BIO_get_data(bio)));
  BIO_clear_retry_flags(bio);
  auto sent = ::send(fd, data, static_cast<size_t>(size), MSG_NOSIGNAL);
  if (sent < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_write(bio);
  return static_cast<int>(sent);
}

int receive_bytes(BIO* bio, char* data, int size) {
  auto fd = static_cast<int>(reinterpret_cast<intptr_t>(BIO_get_data(bio)));
  BIO_clear_retry_flags(bio);
  auto got = ::recv(fd, data, static_cast<size_t>(size), 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_read(bio);
  return static_cast<int>(got);
}

long control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

BIO* socket_bio(int socket) {
  static BIO_METHOD* const method = [] {
    auto* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket");
    BIO_meth_set_write(made, send_bytes);
    BIO_meth_set_read(made, receive_bytes);
    BIO_meth_set_ctrl(made, control);
    return made;
  }();
  auto* bio = BIO_new(method);
  BIO_set_data(bio, reinterpret_cast<void*>(static_cast<intptr_t>(socket)));
  BIO_set_init(bio, 1);
  return bio;
}

// HTTP/1.1 is all that we speak.
int choose_protocol(SSL*, const unsigned char** out, unsigned char* out_size,
                    const unsigned char* offered, unsigned int offered_size, void*) {
  constexpr std::array<unsigned char, 9> kOurs{8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
  unsigned char* chosen = nullptr;
  int found =
      SSL_select_next_proto(&chosen, out_size, kOurs.data(), kOurs.size(), offered, offered_size);
  *out = chosen;
  return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

Error not_usable(const std::string& certificate_file, const std::string& key_file,
                 std::string_view why) {
  ERR_clear_error();
  return Error(ErrorKind::Unavailable, "NET-0022",
               fmt::format("cannot serve HTTPS with the certificate {} and the key {}: {}",
                           certificate_file, key_file, why));
}

bool use_chain(SSL_CTX* context, const std::string& pem) {
  std::unique_ptr<BIO, decltype(&BIO_free)> bio(
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free);
  auto next = [&] { return PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr); };
  std::unique_ptr<X509, decltype(&X509_free)> leaf(next(), X509_free);
  if (!leaf || SSL_CTX_use_certificate(context, leaf.get()) != 1) return false;
  while (auto* issuer = next()) SSL_CTX_add0_chain_cert(context, issuer);
  ERR_clear_error();  // of the end of the file
  return true;
}

bool use_key(SSL_CTX* context, const std::string& pem) {
  std::unique_ptr<BIO, decltype(&BIO_free)> bio(
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free);
  auto no_passphrase = [](char*, int, int, void*) { return 0; };
  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(
      PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr), EVP_PKEY_free);
  return key && SSL_CTX_use_PrivateKey(context, key.get()) == 1;
}

}  // namespace

TlsSession::TlsSession(std::shared_ptr<ssl_ctx_st> context, int socket)
    : context_(std::move(context)), socket_(socket), session_(SSL_new(context_.get())) {
  ASSERT(session_ != nullptr);  // only without memory
  auto* bio = socket_bio(socket_);
  SSL_set_bio(session_, bio, bio);
  SSL_set_accept_state(session_);
}

TlsSession::~TlsSession() { SSL_free(session_); }

TlsSession::Moved TlsSession::outcome(int result) const {
  if (result > 0) return {static_cast<size_t>(result), Need::Nothing};
  int error = SSL_get_error(session_, result);
  ERR_clear_error();
  if (error == SSL_ERROR_WANT_READ) return {0, Need::Readable};
  if (error == SSL_ERROR_WANT_WRITE) return {0, Need::Writable};
  return {0, Need::End};
}

TlsSession::Moved TlsSession::read(char* data, size_t size) {
  ERR_clear_error();
  return outcome(SSL_read(session_, data, static_cast<int>(std::min<size_t>(size, INT_MAX))));
}

TlsSession::Moved TlsSession::write(const char* data, size_t size) {
  if (size == 0) return {};
  ERR_clear_error();
  return outcome(SSL_write(session_, data, static_cast<int>(std::min<size_t>(size, INT_MAX))));
}

void TlsSession::farewell() {
  if (SSL_is_init_finished(session_) == 0) return;
  ERR_clear_error();
  SSL_shutdown(session_);
  ERR_clear_error();
}

Result<std::shared_ptr<ServerTls>> ServerTls::load(std::string certificate_file,
                                                   std::string key_file) {
  std::shared_ptr<ServerTls> tls(new ServerTls(std::move(certificate_file), std::move(key_file)));
  TRY(tls->reload());
  return tls;
}

// Compared by what they hold: a file that is replaced within a second by one of the same size has
// the same times.
Result<bool> ServerTls::reload() {
  TRY(auto certificate, read_file(certificate_file_, kLongestPem));
  TRY(auto key, read_file(key_file_, kLongestPem));
  std::string both = certificate + '\n' + key;
  {
    std::scoped_lock lock(mutex_);
    if (both == read_) return false;
  }
  std::shared_ptr<ssl_ctx_st> context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_cipher_list(context.get(), kCiphers);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  // A buffer that moves between two tries is the same bytes; what fits is written.
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE |
                                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                      SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_alpn_select_cb(context.get(), choose_protocol, nullptr);
  std::string why;
  if (!use_chain(context.get(), certificate)) {
    why = "the first file holds no certificate (PEM)";
  } else if (!use_key(context.get(), key)) {
    why = "the second file holds no private key (PEM, without a passphrase) of that certificate";
  }
  std::scoped_lock lock(mutex_);
  read_ = std::move(both);  // a file that cannot be used is told once
  if (!why.empty()) return not_usable(certificate_file_, key_file_, why);
  context_ = std::move(context);
  return true;
}

std::unique_ptr<TlsSession> ServerTls::session(int socket) const {
  std::shared_ptr<ssl_ctx_st> context;
  {
    std::scoped_lock lock(mutex_);
    context = context_;
  }
  return std::make_unique<TlsSession>(std::move(context), socket);
}

}  // namespace millrace::net
