// SPDX-License-Identifier: Apache-2.0
#include "auth/peer.h"

#include <gtest/gtest.h>

namespace millrace::auth {
namespace {

constexpr int64_t kPeerNow = 1'000'000;

PeerTokens tokens_of(std::initializer_list<const char*> keys) {
  std::vector<Secret> secrets;
  for (const auto* key : keys) secrets.emplace_back(key);
  return PeerTokens(std::move(secrets));
}

TEST(PeerIdentity, AUriNamesAWorkerOrAService) {
  auto worker = Peer::parse("millrace://worker/build-1.example").value();
  EXPECT_EQ(worker, (Peer{Peer::Kind::Worker, "build-1.example", ""}));
  auto service = Peer::parse("millrace://service/executor/node-3").value();
  EXPECT_EQ(service, (Peer{Peer::Kind::Service, "executor", "node-3"}));
  EXPECT_EQ(Peer::parse(worker.uri()).value(), worker);
  EXPECT_EQ(Peer::parse(service.uri()).value(), service);
}

TEST(PeerIdentity, AnythingElseIsNobody) {
  for (const auto* uri :
       {"", "https://worker/a", "millrace://worker/", "millrace://worker/a/b",
        "millrace://worker/a b", "millrace://service/executor", "millrace://service//x",
        "millrace://service/a/b/c", "millrace://user/a", "xmillrace://worker/a",
        "millrace://worker/..%2f", "MILLRACE://worker/a"}) {
    auto peer = Peer::parse(uri);
    ASSERT_FALSE(peer.ok()) << uri;
    EXPECT_EQ(peer.error().code(), "AUT-0016") << uri;
  }
}

TEST(PeerTokens, SayWhoItIsUntilTheyExpire) {
  auto tokens = tokens_of({"key"});
  Peer peer{Peer::Kind::Service, "api", "node-1"};
  auto token = tokens.make(peer, kPeerNow + 1);
  EXPECT_EQ(tokens.check(token.reveal(), kPeerNow).value(), peer);
  EXPECT_EQ(tokens.check(token.reveal(), kPeerNow + 1).error().code(), "AUT-0017");
}

TEST(PeerTokens, ArePartOfOneRingAndOpenAfterARotation) {
  Peer peer{Peer::Kind::Worker, "w", ""};
  auto token = tokens_of({"old"}).make(peer, kPeerNow + 1);
  EXPECT_TRUE(tokens_of({"new", "old"}).check(token.reveal(), kPeerNow).ok());
  EXPECT_FALSE(tokens_of({"new"}).check(token.reveal(), kPeerNow).ok());
}

TEST(PeerTokens, NoByteOfOneCanBeChanged) {
  auto tokens = tokens_of({"key"});
  auto token = tokens.make({Peer::Kind::Worker, "w", ""}, kPeerNow + 1).reveal();
  for (size_t i = 0; i < token.size(); ++i) {
    auto changed = token;
    changed[i] = changed[i] == '1' ? '2' : '1';
    EXPECT_FALSE(tokens.check(changed, kPeerNow).ok()) << changed;
  }
}

}  // namespace
}  // namespace millrace::auth
