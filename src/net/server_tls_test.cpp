// SPDX-License-Identifier: Apache-2.0
#include "net/server_tls.h"

#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <filesystem>
#include <fstream>

#include "base/test_support.h"
#include "net/http_client.h"
#include "net/test_certificate.h"
#include "net/test_support.h"

namespace millrace::net {
namespace {

class HttpsServerTest : public HttpServerTest {
 protected:
  void start_https(HttpServerOptions options = {}) {
    auto loaded = ServerTls::load(files_.certificate, files_.key);
    ASSERT_TRUE(loaded.ok()) << loaded.error().describe();
    tls_ = *loaded;
    options.tls = tls_;
    start_echo(std::move(options));
  }
  std::string url() const { return "https://localhost:" + std::to_string(server_->port()); }
  std::string ask_https(HttpClient& client, async::Loop& loop, std::string body = {}) {
    auto response = loop.block_on(client.send({.method = "POST", .url = url(), .body = body}));
    return response.ok() ? response->body : response.error().describe();
  }
  void replace_files(const SelfSigned& with) const {
    for (auto [from, to] :
         {std::pair{with.certificate, files_.certificate}, std::pair{with.key, files_.key}}) {
      std::filesystem::copy_file(from, to, std::filesystem::copy_options::overwrite_existing);
    }
  }

  SelfSigned files_;
  std::shared_ptr<ServerTls> tls_;
};

TEST_F(HttpsServerTest, RequestsAndAnswersOfAnySizeGoThrough) {
  start_https();
  async::Loop loop;
  HttpClient client({.ca_file = files_.certificate});
  EXPECT_NE(ask_https(client, loop, "hello").find("hello"), std::string::npos);
  auto large = repeated("0123456789abcdef", 50'000);
  EXPECT_NE(ask_https(client, loop, large).find(large), std::string::npos);
}

TEST_F(HttpsServerTest, ACertificateThatWasReplacedServesTheNextHandshake) {
  start_https();
  async::Loop loop;
  HttpClient before({.ca_file = files_.certificate});
  EXPECT_NE(ask_https(before, loop, "one").find("one"), std::string::npos);
  EXPECT_FALSE(tls_->reload().value());

  SelfSigned renewed;
  replace_files(renewed);
  EXPECT_TRUE(tls_->reload().value());
  HttpClient after({.ca_file = renewed.certificate});
  EXPECT_NE(ask_https(after, loop, "two").find("two"), std::string::npos);
  // What is connected stays so.
  EXPECT_NE(ask_https(before, loop, "three").find("three"), std::string::npos);
}

TEST_F(HttpsServerTest, FilesThatCannotBeUsedLeaveTheOldOnesInForce) {
  start_https();
  SelfSigned other;
  std::filesystem::copy_file(other.key, files_.key,
                             std::filesystem::copy_options::overwrite_existing);
  auto reloaded = tls_->reload();
  ASSERT_FALSE(reloaded.ok());
  EXPECT_EQ(reloaded.error().code(), "NET-0022");
  EXPECT_FALSE(tls_->reload().value());  // told once
  async::Loop loop;
  std::filesystem::path copy = other.folder / "first.pem";
  std::filesystem::copy_file(files_.certificate, copy);
  HttpClient client({.ca_file = copy});
  EXPECT_NE(ask_https(client, loop, "still").find("still"), std::string::npos);
}

TEST(ServerTls, WhatIsNoCertificateDoesNotStart) {
  SelfSigned files;
  EXPECT_EQ(ServerTls::load(files.key, files.key).error().code(), "NET-0022");
  EXPECT_EQ(ServerTls::load(files.certificate, files.certificate).error().code(), "NET-0022");
  EXPECT_FALSE(ServerTls::load("/no/such.pem", files.key).ok());
}

TEST_F(HttpsServerTest, WhoSpeaksInTheClearIsHungUpOn) {
  start_https();
  auto got = ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(got.find("HTTP/1.1"), std::string::npos) << got;
}

TEST_F(HttpsServerTest, HalfAHandshakeEndsInTime) {
  start_https({.header_timeout = 50ms});
  RawClient client(server_->port());
  client.send(std::string_view("\x16\x03\x01\x02", 4));
  EXPECT_EQ(client.read_all(), "");
}

// The answer of OpenSSL's client that speaks at most this version.
bool connects(uint16_t port, int version) {
  RawClient raw(port);
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_security_level(context, 0);
  SSL_CTX_set_max_proto_version(context, version);
  SSL_CTX_set_min_proto_version(context, version);
  SSL* client = SSL_new(context);
  SSL_set_fd(client, raw.fd());
  bool connected = SSL_connect(client) == 1;
  SSL_free(client);
  SSL_CTX_free(context);
  return connected;
}

TEST_F(HttpsServerTest, OnlyNewVersionsAreSpoken) {
  start_https();
  EXPECT_TRUE(connects(server_->port(), TLS1_3_VERSION));
  EXPECT_TRUE(connects(server_->port(), TLS1_2_VERSION));
  EXPECT_FALSE(connects(server_->port(), TLS1_1_VERSION));
}

TEST_F(HttpsServerTest, AClientThatLeavesInTheMiddleHurtsNobody) {
  start_https();
  for (int i = 0; i < 20; ++i) {
    RawClient client(server_->port());
    client.send(std::string_view("\x16\x03\x01\x00\x05hello", 10));
  }
  async::Loop loop;
  HttpClient client({.ca_file = files_.certificate});
  EXPECT_NE(ask_https(client, loop, "alive").find("alive"), std::string::npos);
}

}  // namespace
}  // namespace millrace::net
