// SPDX-License-Identifier: Apache-2.0
#include "app/uploads.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <future>

#include "adapters/blob_fs/blob_fs.h"

namespace millrace::app {
namespace {

namespace fs = std::filesystem;
using kernel::Blobs;
using kernel::Completion;

// A folder that can be away.
class Room final : public Blobs {
 public:
  explicit Room(std::unique_ptr<Blobs> folder) : folder_(std::move(folder)) {}
  std::atomic<bool> is_away = false;
  std::atomic<int> asked = 0;

  Result<std::unique_ptr<kernel::BlobWriter>> create(const std::string& ref) override {
    ++asked;
    if (is_away) return Error(ErrorKind::Unavailable, "BLB-0003", "away");
    return folder_->create(ref);
  }
  Result<std::string> read(const std::string& ref, int64_t from, int64_t count) override {
    return folder_->read(ref, from, count);
  }
  Result<int64_t> size(const std::string& ref) override { return folder_->size(ref); }
  Result<void> remove(const std::string& ref) override { return folder_->remove(ref); }
  Result<void> remove_all(const std::string& prefix) override {
    return folder_->remove_all(prefix);
  }
  Result<void> each(const std::string& prefix,
                    const std::function<void(const kernel::BlobEntry&)>& visit) override {
    return folder_->each(prefix, visit);
  }
  Result<void> take_folder(const std::string& prefix, const std::string& folder) override {
    return folder_->take_folder(prefix, folder);
  }

 private:
  std::unique_ptr<Blobs> folder_;
};

// Says what it was told of, and whether the blob was in the room by then.
class Source final : public kernel::WorkSource {
 public:
  explicit Source(Room& room) : room_(room) {}
  struct Told {
    Completion completion;
    bool was_there = false;
    std::function<void()> done;
  };
  Told next() {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, std::chrono::seconds(30), [&] { return !told_.empty(); }));
    auto told = std::move(told_.front());
    told_.pop_front();
    return told;
  }

  void finished(SessionId, Completion completion, std::function<void()> done) override {
    std::lock_guard lock(mutex_);
    bool there = !completion.out.blob.empty() && room_.size(completion.out.blob).ok();
    told_.push_back({std::move(completion), there, std::move(done)});
    changed_.notify_all();
  }
  void open(kernel::WorkerHello, kernel::WorkReceiver&,
            std::function<void(Result<kernel::Session>)>) override {}
  void renew(SessionId, std::function<void(Result<void>)>) override {}
  void close(SessionId) override {}
  void output(SessionId, kernel::OutputChunk) override {}
  void preparing(SessionId, TenantId, const kernel::RunKey&, std::string) override {}
  void prepared(SessionId, TenantId, const kernel::RunKey&, std::function<void(bool)>) override {}

 private:
  Room& room_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Told> told_;
};

class UploadsTest : public testing::Test {
 protected:
  UploadsTest() {
    char name[] = "/tmp/millrace-uploads-XXXXXX";
    home_ = mkdtemp(name);
    fs::create_directories(home_ + "/own");
    fs::create_directories(home_ + "/room");
    own_ = *blob_fs::open(home_ + "/own");
    room_.emplace(*blob_fs::open(home_ + "/room"));
    source_.emplace(*room_);
    uploads_ = *Uploads::start(*source_, *own_, *room_, 2);
  }
  ~UploadsTest() override {
    uploads_.reset();
    fs::remove_all(home_);
  }
  void put(const std::string& ref, const std::string& bytes) {
    auto writer = *own_->create(ref);
    EXPECT_EQ(writer->append(bytes), bytes.size());
    EXPECT_TRUE(writer->commit().ok());
  }
  // A run that has left a blob.
  Completion run(int64_t id) {
    Completion completion{.tenant = TenantId{1}, .key = {ExecutionId{id}, 1, 1}};
    completion.out.blob =
        kernel::output_ref(completion.tenant, completion.key, kernel::Stream::Stdout);
    put(completion.out.blob, large_);
    return completion;
  }
  // Waits until it is no more in the own folder.
  bool leaves(const std::string& ref) {
    for (int i = 0; i < 3000; ++i) {
      if (!own_->size(ref).ok()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
  }

  const std::string large_ = std::string(3'000'000, 'x') + "end";
  std::string home_;
  std::unique_ptr<Blobs> own_;
  std::optional<Room> room_;
  std::optional<Source> source_;
  std::unique_ptr<Uploads> uploads_;
};

TEST_F(UploadsTest, WhatARunHasLeftIsInTheRoomBeforeItsEndIsTold) {
  auto completion = run(5);
  auto artifact = kernel::artifacts_prefix(completion.tenant, completion.key) + "sub/report";
  put(artifact, "fine");
  std::atomic<bool> is_done = false;
  uploads_->finished(SessionId{1}, completion, [&] { is_done = true; });
  auto told = source_->next();
  EXPECT_TRUE(told.was_there);
  EXPECT_EQ(told.completion, completion);
  EXPECT_EQ(*room_->read(artifact, 0, 10), "fine");
  EXPECT_TRUE(*room_->read(completion.out.blob, 0, 1 << 30) == large_);
  // Whoever decides on it reads it here.
  EXPECT_TRUE(own_->size(completion.out.blob).ok());
  EXPECT_FALSE(is_done);
  told.done();
  EXPECT_TRUE(is_done);
  EXPECT_TRUE(leaves(completion.out.blob));
  EXPECT_TRUE(leaves(artifact));
}

TEST_F(UploadsTest, ARunWithoutBlobsWaitsForNobody) {
  room_->is_away = true;
  Completion completion{.tenant = TenantId{1}, .key = {ExecutionId{5}, 1, 1}};
  uploads_->finished(SessionId{1}, completion, [] {});
  EXPECT_EQ(source_->next().completion, completion);
  EXPECT_FALSE(uploads_->is_away());
}

TEST_F(UploadsTest, WhileTheRoomIsAwayRunsEndAndTheirBlobsStay) {
  room_->is_away = true;
  auto first = run(5);
  uploads_->finished(SessionId{1}, first, [] {});
  auto told = source_->next();
  EXPECT_FALSE(told.was_there);
  told.done();
  EXPECT_TRUE(uploads_->is_away());
  int asked = room_->asked;
  auto second = run(6);
  uploads_->finished(SessionId{1}, second, [] {});
  source_->next().done();
  EXPECT_EQ(room_->asked, asked) << "each run would wait for what is away";
  EXPECT_TRUE(own_->size(first.out.blob).ok());
  room_->is_away = false;
  EXPECT_TRUE(uploads_->move(first.out.blob).ok());
  EXPECT_TRUE(*room_->read(first.out.blob, 0, 1 << 30) == large_);
  EXPECT_FALSE(own_->size(first.out.blob).ok());
}

// Reported again, after its blobs had gone up.
TEST_F(UploadsTest, WhatHasGoneUpBeforeIsNoFault) {
  auto completion = run(5);
  ASSERT_TRUE(uploads_->move(completion.out.blob).ok());
  uploads_->finished(SessionId{1}, completion, [] {});
  EXPECT_TRUE(source_->next().was_there);
  EXPECT_FALSE(uploads_->is_away());
}

TEST_F(UploadsTest, AfterTheStopNothingIsTold) {
  uploads_->stop();
  uploads_->finished(SessionId{1}, run(5), [] { FAIL(); });
  uploads_->run([] { FAIL(); });
}

}  // namespace
}  // namespace millrace::app
