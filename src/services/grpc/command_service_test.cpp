// SPDX-License-Identifier: Apache-2.0
#include "services/grpc/command_service.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <thread>

#include "adapters/blob_fs/blob_fs.h"
#include "base/files.h"
#include "base/test_support.h"
#include "services/grpc/test_support.h"

namespace millrace::rpc {
namespace {

class CommandTest : public testing::Test {
 protected:
  CommandTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "command-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    blobs_ = *blob_fs::open(folder_);
  }
  ~CommandTest() override {
    rig_.server.reset();
    std::filesystem::remove_all(folder_);
  }
  void start(std::function<Result<ForwardedAnswer>(Forwarded)> submit) {
    CommandHandlers handlers{
        .submit = [submit](Forwarded request, auto done) { done(submit(std::move(request))); },
        .run_blocking = [this](const auto& run) { run(may_read_); },
        .blobs = blobs_.get(),
        .read_release = [this](const agent::WantRelease& want) -> Result<agent::ReleasePiece> {
          if (want.digest != "d1") return Error(ErrorKind::NotFound, "APP-0011", "not here");
          auto offset = static_cast<size_t>(want.offset);
          return agent::ReleasePiece{.pack = want.pack,
                                     .digest = want.digest,
                                     .offset = want.offset,
                                     .size = static_cast<int64_t>(archive_.size()),
                                     .bytes = archive_.substr(offset, 5),
                                     .error = {}};
        },
        .on_output =
            [this](Of<ExecutionId> execution, OnOutput on_output) {
              std::lock_guard lock(mutex_);
              asked_ = execution;
              on_output(kept_);
              on_output_ = std::move(on_output);
              return int64_t{7};
            },
        .forget_output = [this](int64_t number) { forgotten_.set_value(number); },
        .lend =
            [this](const kernel::PermitAsk& slots, const OnPermits& lent) {
              slots_ = slots;
              lent(permits_);
            },
        .take_back = [this](int64_t number) { taken_back_.set_value(number); }};
    ASSERT_TRUE(rig_.start(command_service(std::move(handlers))).ok());
  }
  RemoteServer remote(auth::Peer::Kind kind = auth::Peer::Kind::Service) {
    auth::Peer self{kind, "api", kind == auth::Peer::Kind::Service ? "n2" : ""};
    return {rig_.channel(), [this, self] { return rig_.peers.make(self, kTestNow + 1); }};
  }
  static Result<ForwardedAnswer> ask(const RemoteServer& server, const Forwarded& request) {
    std::promise<Result<ForwardedAnswer>> answered;
    server.submit(request, [&](auto answer) { answered.set_value(std::move(answer)); });
    return answered.get_future().get();
  }
  void write_blob(const std::string& ref, const std::string& bytes) {
    auto writer = *blobs_->create(ref);
    EXPECT_EQ(writer->append(bytes), bytes.size());
    EXPECT_TRUE(writer->commit().ok());
  }

  std::filesystem::path folder_;
  std::unique_ptr<kernel::Blobs> blobs_;
  Result<void> may_read_;
  std::string archive_ = "an archive";
  kernel::PermitAsk slots_;
  Result<std::vector<kernel::Permit>> permits_ = std::vector<kernel::Permit>();
  std::promise<int64_t> taken_back_;
  std::mutex mutex_;
  Of<ExecutionId> asked_;
  kernel::OutputChunk kept_{.tenant = TenantId{1},
                            .key = {ExecutionId{5}, 2, 9},
                            .stream = kernel::Stream::Stderr,
                            .offset = 40,
                            .bytes = std::string("\0kept", 5)};
  OnOutput on_output_;
  std::promise<int64_t> forgotten_;
  ServerRig rig_;
};

// What comes of followed output, as a test looks at it.
struct Followed {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<kernel::OutputChunk> chunks;
  bool is_over = false;

  RemoteServer::Output output() {
    return {.on_output =
                [this](const kernel::OutputChunk& chunk) {
                  std::lock_guard lock(mutex);
                  chunks.push_back(chunk);
                  changed.notify_all();
                },
            .over =
                [this] {
                  std::lock_guard lock(mutex);
                  is_over = true;
                  changed.notify_all();
                }};
  }
  template <typename Until>
  bool wait(Until until) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, std::chrono::seconds(30), until);
  }
};

Forwarded a_request() {
  Forwarded request{.method = "POST",
                    .target = "/api/v1/executions?wait=1s",
                    .headers = {{"Idempotency-Key", "k"}, {"X-Two", "a"}, {"X-Two", "b"}},
                    .body = std::string("\0\xff body", 7),
                    .who = {},
                    .address = "192.0.2.1:4711",
                    .hops = 1,
                    .request_id = "mine.1",
                    .trace = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"};
  request.who.tenant = TenantId{7};
  request.who.identity = "ada";
  request.who.permissions = *auth::Permissions::parse("rules:read,executions:run");
  request.who.roles = {"ops"};
  request.who.execution = ExecutionId{5};
  request.who.expires = 99;
  request.who.token = TokenId{3};
  return request;
}

TEST_F(CommandTest, ARequestArrivesWholeAndItsAnswerComesBack) {
  Forwarded got;
  start([&](Forwarded request) {
    got = std::move(request);
    return ForwardedAnswer{.status = 201,
                           .content_type = "application/json",
                           .headers = {{"ETag", "\"1\""}},
                           .body = std::string("\xff\0", 2)};
  });
  auto sent = a_request();
  auto answer = ask(remote(), sent);
  ASSERT_TRUE(answer.ok()) << answer.error().describe();
  EXPECT_EQ(got.method, sent.method);
  EXPECT_EQ(got.target, sent.target);
  EXPECT_EQ(got.headers, sent.headers);
  EXPECT_EQ(got.body, sent.body);
  EXPECT_EQ(got.address, sent.address);
  EXPECT_EQ(got.hops, 1);
  EXPECT_EQ(got.request_id, "mine.1");
  EXPECT_EQ(got.trace, sent.trace);
  EXPECT_EQ(got.who.tenant, sent.who.tenant);
  EXPECT_EQ(got.who.identity, "ada");
  EXPECT_EQ(got.who.permissions, sent.who.permissions);
  EXPECT_EQ(got.who.roles, sent.who.roles);
  EXPECT_EQ(got.who.execution, sent.who.execution);
  EXPECT_EQ(got.who.expires, 99);
  EXPECT_EQ(got.who.token, sent.who.token);
  EXPECT_GT(got.left.count(), 0);
  EXPECT_LE(got.left, sent.left);
  EXPECT_EQ(answer->status, 201);
  EXPECT_EQ(answer->content_type, "application/json");
  EXPECT_EQ(answer->headers, (HeaderLines{{"ETag", "\"1\""}}));
  EXPECT_EQ(answer->body, std::string("\xff\0", 2));
}

TEST_F(CommandTest, AnErrorComesBackAsItWas) {
  start([](const Forwarded&) -> Result<ForwardedAnswer> {
    return Error(ErrorKind::Unavailable, "ENG-0009", "not mine").with_problem("/node", "4");
  });
  auto answer = ask(remote(), a_request());
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().code(), "ENG-0009");
  EXPECT_EQ(answer.error().problems()[0].message, "4");
}

TEST_F(CommandTest, OnlyServersMaySendOnesOn) {
  start([](const Forwarded&) { return ForwardedAnswer{.status = 200}; });
  auto worker = remote(auth::Peer::Kind::Worker);
  EXPECT_EQ(ask(worker, a_request()).error().code(), "RPC-0005");
  EXPECT_EQ(
      worker.read_blob("output/1/07/7.1.1.out", 0, 10, std::chrono::seconds(10)).error().code(),
      "RPC-0005");
}

TEST_F(CommandTest, AServerThatIsNotThereIsToldApart) {
  start([](const Forwarded&) { return ForwardedAnswer{.status = 200}; });
  auto gone = remote();
  rig_.server->stop(std::chrono::milliseconds(0));
  rig_.server.reset();
  auto answer = ask(gone, a_request());
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().code(), "RPC-0011");
}

// One that has taken the call and dies: nobody knows what came of it.
TEST_F(CommandTest, ACallThatWasCutOffIsNotOneThatWasNeverSent) {
  std::promise<void> taken;
  auto keep = std::make_shared<std::vector<std::function<void(Result<ForwardedAnswer>)>>>();
  CommandHandlers handlers{.submit =
                               [&, keep](const Forwarded&, auto done) {
                                 keep->push_back(std::move(done));
                                 taken.set_value();
                               },
                           .run_blocking = {},
                           .blobs = blobs_.get()};
  ASSERT_TRUE(rig_.start(command_service(std::move(handlers))).ok());
  auto server = remote();
  std::promise<Result<ForwardedAnswer>> answered;
  server.submit(a_request(), [&](auto answer) { answered.set_value(std::move(answer)); });
  taken.get_future().get();
  rig_.server->stop(std::chrono::milliseconds(0));
  auto answer = answered.get_future().get();
  ASSERT_FALSE(answer.ok());
  EXPECT_NE(answer.error().code(), "RPC-0011");
}

TEST_F(CommandTest, ABlobIsReadInPieces) {
  start({});
  auto bytes = repeated("0123456789abcdef", 100'000);
  write_blob("output/1/07/7.1.1.out", bytes);
  auto server = remote();
  auto limit = std::chrono::seconds(10);
  auto first = server.read_blob("output/1/07/7.1.1.out", 0, 10'000'000, limit);
  ASSERT_TRUE(first.ok()) << first.error().describe();
  EXPECT_EQ(first->size, 1'600'000);
  EXPECT_EQ(first->bytes.size(), static_cast<size_t>(kBlobPiece));
  auto end = server.read_blob("output/1/07/7.1.1.out", 1'599'990, 100, limit);
  EXPECT_EQ(end->bytes, bytes.substr(1'599'990));
  EXPECT_EQ(server.read_blob("output/1/07/7.1.1.out", 2'000'000, 100, limit)->bytes, "");
  EXPECT_EQ(server.read_blob("output/1/07/7.1.1.out", 0, 0, limit)->size, 1'600'000);
  EXPECT_EQ(server.read_blob("output/1/07/8.1.1.out", 0, 10, limit).error().kind(),
            ErrorKind::NotFound);
}

TEST_F(CommandTest, AReleaseIsReadInPieces) {
  start({});
  auto server = remote();
  auto read = [&](const std::string& digest, int64_t offset) {
    std::promise<Result<agent::ReleasePiece>> got;
    server.read_release({.pack = "tea", .digest = digest, .offset = offset},
                        std::chrono::seconds(10),
                        [&](auto piece) { got.set_value(std::move(piece)); });
    return got.get_future().get();
  };
  auto piece = read("d1", 5);
  ASSERT_TRUE(piece.ok()) << piece.error().describe();
  EXPECT_EQ(piece->pack, "tea");
  EXPECT_EQ(piece->digest, "d1");
  EXPECT_EQ(piece->offset, 5);
  EXPECT_EQ(piece->size, 10);
  EXPECT_EQ(piece->bytes, "chive");
  EXPECT_EQ(read("d2", 0).error().code(), "APP-0011");
  // One that starts or stops says so, and lets nobody wait.
  may_read_ = Error(ErrorKind::Unavailable, "API-0010", "it stops");
  EXPECT_EQ(read("d1", 0).error().code(), "API-0010");
}

TEST_F(CommandTest, SlotsAreAskedForAndGivenBack) {
  start({});
  auto ask_slots = [](const RemoteServer& server, const kernel::PermitAsk& slots) {
    std::promise<Result<std::vector<kernel::Permit>>> got;
    server.ask_slots(slots, [&](auto permits) { got.set_value(std::move(permits)); });
    return got.get_future().get();
  };
  kernel::PermitAsk slots{.asker = 7, .lacks = {{"far", false}, {"", true}}, .wait_ms = 20'000};
  permits_ = std::vector<kernel::Permit>{{8, 3, WorkerId{9}, "far"}, {8, 4, WorkerId{5}, ""}};
  auto server = remote();
  auto lent = ask_slots(server, slots);
  ASSERT_TRUE(lent.ok()) << lent.error().describe();
  EXPECT_EQ(*lent, *permits_);
  EXPECT_EQ(slots_.asker, 7);
  EXPECT_EQ(slots_.lacks, slots.lacks);
  EXPECT_EQ(slots_.wait_ms, 20'000);
  server.give_slot_back(4);
  EXPECT_EQ(taken_back_.get_future().get(), 4);
  permits_ = Error(ErrorKind::Unavailable, "ENG-0005", "it stops");
  EXPECT_EQ(ask_slots(server, slots).error().code(), "ENG-0005");
  EXPECT_EQ(ask_slots(remote(auth::Peer::Kind::Worker), slots).error().code(), "RPC-0005");
}

TEST_F(CommandTest, OutputIsFollowedUntilItsFollowerLeaves) {
  start({});
  auto server = remote();
  Followed followed;
  auto call = server.follow_output({TenantId{1}, ExecutionId{5}}, false, followed.output());
  ASSERT_TRUE(followed.wait([&] { return followed.chunks.size() == 1; }));
  auto next = kept_;
  next.stream = kernel::Stream::Stdout;
  next.offset = 45;
  {
    std::lock_guard lock(mutex_);
    EXPECT_EQ(asked_, (Of<ExecutionId>{TenantId{1}, ExecutionId{5}}));
    on_output_(next);
  }
  ASSERT_TRUE(followed.wait([&] { return followed.chunks.size() == 2; }));
  for (const auto& [got, sent] :
       {std::pair(followed.chunks[0], kept_), {followed.chunks[1], next}}) {
    EXPECT_EQ(got.tenant, sent.tenant);
    EXPECT_EQ(got.key, sent.key);
    EXPECT_EQ(got.stream, sent.stream);
    EXPECT_EQ(got.offset, sent.offset);
    EXPECT_EQ(got.bytes, sent.bytes);
  }
  EXPECT_FALSE(followed.is_over);
  call.reset();
  ASSERT_TRUE(followed.wait([&] { return followed.is_over; }));
  auto forgotten = forgotten_.get_future();
  ASSERT_EQ(forgotten.wait_for(std::chrono::seconds(30)), std::future_status::ready);
  EXPECT_EQ(forgotten.get(), 7);
}

TEST_F(CommandTest, WhatIsKeptEndsByItself) {
  start({});
  auto server = remote();
  Followed followed;
  auto call = server.follow_output({TenantId{1}, ExecutionId{5}}, true, followed.output());
  ASSERT_TRUE(followed.wait([&] { return followed.is_over; }));
  EXPECT_EQ(followed.chunks.size(), 1U);
}

TEST_F(CommandTest, OutputOfAServerThatStopsOrRefusesIsOver) {
  start({});
  auto worker = remote(auth::Peer::Kind::Worker);
  Followed refused;
  auto no = worker.follow_output({TenantId{1}, ExecutionId{5}}, false, refused.output());
  ASSERT_TRUE(refused.wait([&] { return refused.is_over; }));
  EXPECT_TRUE(refused.chunks.empty());
  auto server = remote();
  Followed followed;
  auto call = server.follow_output({TenantId{1}, ExecutionId{5}}, false, followed.output());
  ASSERT_TRUE(followed.wait([&] { return followed.chunks.size() == 1; }));
  rig_.server->stop(std::chrono::milliseconds(10'000));
  ASSERT_TRUE(followed.wait([&] { return followed.is_over; }));
}

// A follower who does not read costs a bounded amount.
TEST_F(CommandTest, WhatIsOnItsWayToASlowFollowerIsBounded) {
  start({});
  auto server = remote();
  Followed followed;
  auto call = server.follow_output({TenantId{1}, ExecutionId{5}}, false, followed.output());
  ASSERT_TRUE(followed.wait([&] { return followed.chunks.size() == 1; }));
  constexpr int kPieces = 500;
  {
    std::unique_lock slow(followed.mutex);  // it takes no piece meanwhile
    std::lock_guard lock(mutex_);
    auto piece = kept_;
    piece.bytes.assign(64 << 10, 'x');
    for (int i = 0; i < kPieces; ++i) on_output_(piece);
  }
  call.reset();
  ASSERT_TRUE(followed.wait([&] { return followed.is_over; }));
  EXPECT_LT(followed.chunks.size(), static_cast<size_t>(kPieces));
}

TEST_F(CommandTest, NothingButBlobsOfExecutionsIsRead) {
  start({});
  ASSERT_TRUE(replace_file(folder_ / "keys.json", "the ring").ok());
  std::filesystem::create_directories(folder_ / "output/1/07");
  auto server = remote();
  for (const auto* ref : {"keys.json", "admin.token", "output/../keys.json", "/etc/passwd",
                          "output/1/07/../../../keys.json", "output/1/07/7/../../../../keys.json",
                          "packs/core/x/pack.yaml", ""}) {
    auto piece = server.read_blob(ref, 0, 100, std::chrono::seconds(10));
    ASSERT_FALSE(piece.ok()) << ref;
    EXPECT_TRUE(piece.error().code() == "BLB-0002" || piece.error().code() == "BLB-0001") << ref;
  }
}

}  // namespace
}  // namespace millrace::rpc
