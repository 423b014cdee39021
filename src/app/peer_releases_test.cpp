// SPDX-License-Identifier: Apache-2.0
//
// Releases that come from other servers, over real connections: whole, in spite of connections that
// break, and never with other files than their digest names.
#include "app/peer_releases.h"

#include <gtest/gtest.h>

#include <deque>
#include <filesystem>
#include <future>

#include "agent/release_archive.h"
#include "app/staged_releases.h"
#include "auth/crypto.h"
#include "packs/files.h"
#include "services/grpc/command_service.h"

namespace millrace::app {
namespace {

namespace fs = std::filesystem;

constexpr size_t kPiece = 1000;

// Another server of the store.
class OtherServer {
 public:
  OtherServer(std::string name, const std::string& home, const auth::KeyRing& keys,
              const auth::TokenCache& tokens)
      : name(std::move(name)) {
    auto opened = GrpcFront::open({.config = {.port = 0},
                                   .folder = home + "/tls",
                                   .self = {auth::Peer::Kind::Service, "server", this->name},
                                   .keys = keys,
                                   .tokens = tokens,
                                   .observe = [](const auto&) {}});
    EXPECT_TRUE(opened.ok());
    front = std::move(*opened);
    auto started = front->start(
        rpc::command_service({.submit = {},
                              .run_blocking = [](const auto& job) { job({}); },
                              .blobs = nullptr,
                              .read_release = [this](const auto& want) { return read(want); }}));
    EXPECT_TRUE(started.ok()) << started.error().describe();
  }

  Result<agent::ReleasePiece> read(const agent::WantRelease& want) {
    std::unique_lock lock(mutex);
    asked.push_back(want.offset);
    if (held) held_until.wait(lock, [this] { return !held; });
    if (!faults.empty()) {
      auto fault = faults.front();
      faults.pop_front();
      if (fault) return *fault;
    }
    auto found = archives.find(want.digest);
    if (found == archives.end()) return Error(ErrorKind::NotFound, "APP-0011", "it is not here");
    return agent::ReleasePiece{
        .pack = want.pack,
        .digest = want.digest,
        .offset = want.offset,
        .size = static_cast<int64_t>(found->second.size()),
        .bytes = found->second.substr(static_cast<size_t>(want.offset), kPiece),
        .error = {}};
  }

  std::string name;
  std::map<std::string, std::string> archives;  // by digest
  std::deque<std::optional<Error>> faults;      // of the next questions
  std::vector<int64_t> asked;                   // offsets
  bool held = false;                            // it answers nothing
  std::condition_variable held_until;
  std::mutex mutex;
  std::unique_ptr<GrpcFront> front;
};

class PeerReleasesTest : public testing::Test {
 protected:
  PeerReleasesTest() {
    char name[] = "/tmp/millrace-peers-XXXXXX";
    home_ = mkdtemp(name);
    for (int i = 0; i < 100; ++i) files_["data/" + std::to_string(i)] = std::string(50, 'a');
    files_["pack.yaml"] = "ref: tea\n";
    digest_ = packs::digest_of(files_);
    archive_ = agent::write_archive(files_);
    auto self = GrpcFront::open({.config = {.port = 0},
                                 .folder = home_ + "/tls",
                                 .self = {auth::Peer::Kind::Service, "server", "self"},
                                 .keys = keys_,
                                 .tokens = tokens_,
                                 .observe = [](const auto&) {}});
    EXPECT_TRUE(self.ok());
    self_ = std::move(*self);
    peers_.emplace([this] { return servers(); }, *self_);
    releases_.emplace(home_, *peers_);
  }
  ~PeerReleasesTest() override {
    releases_.reset();
    for (auto& other : others_) {
      std::lock_guard lock(other->mutex);
      other->held = false;
      other->held_until.notify_all();
    }
    others_.clear();
    fs::remove_all(home_);
  }

  OtherServer& add_server() {
    auto name = "n" + std::to_string(others_.size() + 1);
    return *others_.emplace_back(
        std::make_unique<OtherServer>(name, home_ + "/" + name, keys_, tokens_));
  }
  std::vector<engine::ServerView> servers() {
    std::vector<engine::ServerView> views;
    for (const auto& other : others_) {
      engine::ServerView view;
      view.row.name = other->name;
      view.row.internal = other->front->address();
      views.push_back(view);
    }
    return views;
  }
  bool is_staged() {
    auto files = read_release(home_, "tea", digest_);
    return files.ok() && *files == files_;
  }
  std::string part() { return home_ + "/fetch/" + digest_ + ".part"; }

  std::string home_;
  packs::PackFiles files_;
  std::string digest_;
  std::string archive_;
  auth::KeyRing keys_ = auth::KeyRing::create(auth::system_random());
  auth::TokenCache tokens_;
  std::unique_ptr<GrpcFront> self_;
  std::vector<std::unique_ptr<OtherServer>> others_;
  std::optional<Peers> peers_;
  std::optional<PeerReleases> releases_;
};

TEST_F(PeerReleasesTest, ComesPieceByPieceAndIsStaged) {
  add_server().archives[digest_] = archive_;
  auto brought = releases_->bring("tea", digest_);
  ASSERT_TRUE(brought.ok()) << brought.error().describe();
  EXPECT_TRUE(is_staged());
  EXPECT_GT(others_[0]->asked.size(), 3U);
  EXPECT_TRUE(fs::is_empty(home_ + "/fetch"));
}

TEST_F(PeerReleasesTest, ComesFromTheServerThatHasIt) {
  add_server();
  auto& dead = add_server();
  add_server().archives[digest_] = archive_;
  dead.front->stop(std::chrono::milliseconds(0));
  auto brought = releases_->bring("tea", digest_);
  ASSERT_TRUE(brought.ok()) << brought.error().describe();
  EXPECT_TRUE(is_staged());
}

TEST_F(PeerReleasesTest, GoesOnWhereTheConnectionBroke) {
  auto& other = add_server();
  other.archives[digest_] = archive_;
  Error broken(ErrorKind::Unavailable, "RPC-0009", "broken");
  other.faults = {{}, {}, broken, {}, broken};
  auto brought = releases_->bring("tea", digest_);
  ASSERT_TRUE(brought.ok()) << brought.error().describe();
  EXPECT_TRUE(is_staged());
  ASSERT_GT(other.asked.size(), 5U);
  EXPECT_EQ(std::vector(other.asked.begin(), other.asked.begin() + 6),
            (std::vector<int64_t>{0, 1000, 2000, 2000, 3000, 3000}));
}

TEST_F(PeerReleasesTest, AnotherServerAndAnotherProcessGoOnWithWhatHasCome) {
  auto& first = add_server();
  first.archives[digest_] = archive_;
  Error broken(ErrorKind::Unavailable, "RPC-0009", "broken");
  first.faults = {{}, {}, broken, broken};
  ASSERT_FALSE(releases_->bring("tea", digest_).ok());
  ASSERT_EQ(fs::file_size(part()), 2000U);
  others_.clear();
  auto& second = add_server();
  second.archives[digest_] = archive_;
  releases_.emplace(home_, *peers_);
  auto brought = releases_->bring("tea", digest_);
  ASSERT_TRUE(brought.ok()) << brought.error().describe();
  EXPECT_TRUE(is_staged());
  EXPECT_EQ(second.asked[0], 2000);
}

// One server lies, or its disk does: nothing of that is staged, and the next one is asked.
TEST_F(PeerReleasesTest, OtherFilesThanTheDigestNamesAreRefused) {
  auto wrong = files_;
  wrong["pack.yaml"] = "ref: tee\n";
  add_server().archives[digest_] = agent::write_archive(wrong);
  auto brought = releases_->bring("tea", digest_);
  ASSERT_FALSE(brought.ok());
  EXPECT_EQ(brought.error().code(), "APP-0042");
  EXPECT_NE(brought.error().message().find("other files"), std::string::npos);
  EXPECT_FALSE(fs::exists(home_ + "/packs"));
  add_server().archives[digest_] = archive_;
  ASSERT_TRUE(releases_->bring("tea", digest_).ok());
  EXPECT_TRUE(is_staged());
}

// The part that has come of it is of another archive: it is begun anew.
TEST_F(PeerReleasesTest, APartThatDoesNotFitIsThrownAway) {
  add_server().archives[digest_] = archive_;
  fs::create_directories(home_ + "/fetch");
  std::FILE* file = std::fopen(part().c_str(), "w");
  ASSERT_TRUE(file);
  std::fputs(std::string(3000, '\1').c_str(), file);
  std::fclose(file);
  EXPECT_FALSE(releases_->bring("tea", digest_).ok());
  ASSERT_TRUE(releases_->bring("tea", digest_).ok());
  EXPECT_TRUE(is_staged());
}

TEST_F(PeerReleasesTest, WhoHasItNotIsNamed) {
  auto nobody = releases_->bring("tea", digest_);
  ASSERT_FALSE(nobody.ok());
  EXPECT_EQ(nobody.error().code(), "APP-0042");
  EXPECT_EQ(nobody.error().kind(), ErrorKind::NotFound);
  add_server();
  add_server();
  auto none = releases_->bring("tea", digest_);
  ASSERT_FALSE(none.ok());
  EXPECT_NE(none.error().message().find("n1: it is not here; n2: it is not here"),
            std::string::npos)
      << none.error().message();
}

TEST_F(PeerReleasesTest, NamesThatLeadElsewhereAreRefused) {
  auto& other = add_server();
  other.archives[digest_] = archive_;
  EXPECT_FALSE(releases_->bring("../tea", digest_).ok());
  EXPECT_FALSE(releases_->bring("", digest_).ok());
  EXPECT_FALSE(releases_->bring("tea", "../" + digest_).ok());
  EXPECT_FALSE(fs::exists(home_ + "/tea"));
}

TEST_F(PeerReleasesTest, TwoWhoWantTheSameWaitForOne) {
  auto& other = add_server();
  other.archives[digest_] = archive_;
  other.held = true;
  std::promise<Result<void>> first;
  std::promise<Result<void>> second;
  releases_->want("tea", digest_, [&](auto how) { first.set_value(std::move(how)); });
  releases_->want("tea", digest_, [&](auto how) { second.set_value(std::move(how)); });
  {
    std::lock_guard lock(other.mutex);
    other.held = false;
    other.held_until.notify_all();
  }
  EXPECT_TRUE(first.get_future().get().ok());
  EXPECT_TRUE(second.get_future().get().ok());
  EXPECT_EQ(std::ranges::count(other.asked, 0), 1);
}

TEST_F(PeerReleasesTest, WhoWaitsWhenItStopsIsTold) {
  auto& other = add_server();
  other.archives[digest_] = archive_;
  other.held = true;
  std::promise<Result<void>> waits;
  releases_->want("tea", digest_, [&](auto how) { waits.set_value(std::move(how)); });
  releases_->stop();
  auto told = waits.get_future().get();
  ASSERT_FALSE(told.ok());
  EXPECT_EQ(told.error().code(), "API-0010");
  EXPECT_EQ(releases_->bring("tea", digest_).error().code(), "API-0010");
}

}  // namespace
}  // namespace millrace::app
