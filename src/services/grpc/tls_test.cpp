// SPDX-License-Identifier: Apache-2.0
// Real handshakes: who is let in by a certificate, and who is not.
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>
#include <gtest/gtest.h>
#include <millrace/v1/system.pb.h>
#include <stdlib.h>

#include <filesystem>

#include "auth/certificate.h"
#include "base/files.h"
#include "base/time.h"
#include "rpc/credentials.h"
#include "services/grpc/test_support.h"

namespace millrace::rpc {
namespace {

using auth::CertificateUse;
using v1::InfoReply;
using v1::InfoRequest;

constexpr char kWhoAmI[] = "millrace.v1.SystemService/Info";
constexpr int64_t kHour = 3'600'000;

// At the handshake, as the client sees it: with TLS 1.3 it may think for a moment that it is in.
bool is_turned_away(const std::string& code) { return code == "RPC-0009" || code == "RPC-0011"; }

class TlsTest : public testing::Test {
 protected:
  TlsTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "grpc-tls-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
  }
  ~TlsTest() override {
    rig_.server.reset();
    std::filesystem::remove_all(folder_);
  }

  struct Issue {
    std::string uri;
    CertificateUse use = CertificateUse::Client;
    int64_t now_ms = unix_ms();
    int64_t lifetime_ms = kHour;
  };
  // Writes, or replaces, the files of somebody.
  TlsFiles files_of(const std::string& name, const Issue& issue, const char* authority = "ours") {
    TlsFiles files{.certificate = folder_ / (name + ".crt"),
                   .key = folder_ / (name + ".key"),
                   .authorities = folder_ / (name + ".ca"),
                   .reload_s = 1};
    auto issuer = auth::Authority::derive(Secret(authority));
    auto key = auth::make_private_key();
    auto certificate =
        issuer.issue(auth::certificate_request(key).value(), {issue.uri, {auth::kServerName}, {}},
                     issue.use, issue.now_ms, issue.lifetime_ms);
    EXPECT_TRUE(replace_file(files.key, key.reveal()).ok());
    EXPECT_TRUE(replace_file(files.certificate, *certificate).ok());
    EXPECT_TRUE(
        replace_file(files.authorities, auth::Authority::derive(Secret("ours")).certificate())
            .ok());
    return files;
  }
  TlsFiles server_files() {
    return files_of("server", {"millrace://service/api/n1", CertificateUse::ServerAndClient});
  }
  // Answers with what the certificate says of the caller.
  void start(Access access, const TlsFiles& files) {
    auto options = ServerRig::options();
    options.credentials = server_credentials(files);
    auto handler = [](const InfoRequest&, const Answer<InfoReply>& answer) {
      InfoReply reply;
      const auto& peer = answer.caller().peer;
      reply.set_node(peer ? peer->uri() : "nobody");
      answer(reply);
    };
    ASSERT_TRUE(
        rig_.start({unary<InfoRequest, InfoReply>(kWhoAmI, access, handler)}, std::move(options))
            .ok());
  }
  std::string target() const { return "localhost:" + std::to_string(rig_.server->port()); }
  std::string call(const Channel& channel, const CallOptions& options = {}) {
    auto reply = ask<InfoReply>(channel, kWhoAmI, InfoRequest(), options);
    return reply.ok() ? reply->node() : reply.error().code();
  }
  std::string call_with(const TlsFiles& files) {
    return call(Channel(target(), channel_credentials(files)));
  }

  std::filesystem::path folder_;
  ServerRig rig_;
};

TEST_F(TlsTest, AWorkerIsWhoItsCertificateSays) {
  start(Access::worker(), server_files());
  EXPECT_EQ(call_with(files_of("w1", {"millrace://worker/w1"})), "millrace://worker/w1");
}

// gRPC would write that straight to stderr.
TEST_F(TlsTest, NobodyComplainsOfTheNameThatAServerIsReachedBy) {
  start(Access::worker(), server_files());
  testing::internal::CaptureStderr();
  EXPECT_EQ(call_with(files_of("w1", {"millrace://worker/w1"})), "millrace://worker/w1");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST_F(TlsTest, WhoIsSomebodyElseIsTurnedAway) {
  start(Access::worker(), server_files());
  auto service = files_of("n2", {"millrace://service/api/n2", CertificateUse::ServerAndClient});
  EXPECT_EQ(call_with(service), "RPC-0005");
  EXPECT_EQ(call_with(files_of("odd", {"millrace://user/alice"})), "AUT-0016");
  EXPECT_EQ(call_with(files_of("other", {"https://example.org/w1"})), "RPC-0004");
}

TEST_F(TlsTest, AnExpiredCertificateGetsNoHandshake) {
  start(Access::worker(), server_files());
  auto old = files_of("old", {.uri = "millrace://worker/w1", .now_ms = unix_ms() - 2 * kHour});
  EXPECT_TRUE(is_turned_away(call_with(old)));
  auto later = files_of("later", {.uri = "millrace://worker/w1", .now_ms = unix_ms() + kHour});
  EXPECT_TRUE(is_turned_away(call_with(later)));
}

TEST_F(TlsTest, ACertificateOfAnotherAuthorityGetsNoHandshake) {
  start(Access::worker(), server_files());
  EXPECT_TRUE(is_turned_away(call_with(files_of("w1", {"millrace://worker/w1"}, "another"))));
}

TEST_F(TlsTest, WithoutACertificateATokenCounts) {
  rig_.allow("mr_reader", "system:read");
  start(auth::Permission::SystemRead, server_files());
  TlsFiles trusting{.authorities = files_of("unused", {"millrace://worker/w"}).authorities};
  EXPECT_EQ(call(Channel(target(), channel_credentials(trusting)), as("mr_reader")), "nobody");
  EXPECT_EQ(call(Channel(target(), channel_credentials(trusting))), "RPC-0004");
  // A worker may not read the system either: its certificate is no user's.
  EXPECT_EQ(call_with(files_of("w1", {"millrace://worker/w1"})), "RPC-0005");
}

TEST_F(TlsTest, APeersTokenDoesNotStandInForACertificateFromAfar) {
  start(Access::worker(), server_files());
  auto token = rig_.peers.make({auth::Peer::Kind::Worker, "w9", ""}, kTestNow + 1).reveal();
  auto with = channel_credentials(files_of("w1", {"millrace://worker/w1"}));
  EXPECT_EQ(call(Channel(target(), with), as(token)), "millrace://worker/w1");
}

TEST_F(TlsTest, AClientSpeaksToServersOfOursOnly) {
  auto worker = files_of("w1", {"millrace://worker/w1"});
  // A worker that listens: its certificate is for clients.
  start(Access::open(), files_of("fake", {"millrace://worker/w2"}));
  EXPECT_TRUE(is_turned_away(call_with(worker)));
  rig_.server.reset();
  start(Access::open(),
        files_of("fake2", {"millrace://worker/w2", CertificateUse::ServerAndClient}));
  EXPECT_TRUE(is_turned_away(call_with(worker)));
  rig_.server.reset();
  start(Access::open(), server_files());
  EXPECT_EQ(call_with(worker), "millrace://worker/w1");
}

TEST_F(TlsTest, InTheClearNobodyIsServed) {
  start(Access::open(), server_files());
  EXPECT_TRUE(is_turned_away(call(Channel(target()))));
}

// The files of both are replaced while they run.
TEST_F(TlsTest, ACertificateThatWasReplacedServesTheNextHandshake) {
  start(Access::worker(), server_files());
  auto files = files_of("w", {"millrace://worker/first"});
  auto credentials = channel_credentials(files);
  EXPECT_EQ(call(Channel(target(), credentials)), "millrace://worker/first");
  files_of("w", {"millrace://worker/second"});
  server_files();
  while (call(Channel(target(), credentials)) != "millrace://worker/second") {
  }
}

}  // namespace
}  // namespace millrace::rpc
