// SPDX-License-Identifier: Apache-2.0
// Real faults under the committer: a full disk, I/O errors.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <chrono>
#include <fstream>

#include "adapters/store_sqlite/fault_vfs.h"
#include "adapters/store_sqlite/store_sqlite.h"
#include "adapters/store_sqlite/whole_steps.h"

namespace millrace::store_sqlite {
namespace {

using namespace store::testing;
using store::WriteEnd;

// Small bounds, so that the log is moved and begins anew in every run.
store::Committer::Options small_log() {
  store::Committer::Options options;
  options.full_retry_ms = 1;
  options.checkpoint_bytes = 40 << 10;
  options.max_log_bytes = 100 << 10;
  return options;
}

// Eight batches of three steps under one fault.
class FaultRun {
 public:
  explicit FaultRun(Fault fault)
      : store_(must(open(folder_.path(), {.vfs = FaultVfs::kName}))),
        desk_(std::make_unique<Desk>(*store_, small_log())) {
    FaultVfs::instance().arm(fault);
    for (int batch = 0; batch < 8; ++batch) {
      std::vector<Order> orders;
      for (int i = 0; i < 3; ++i) orders.push_back({whole_step(++submitted_), 0});
      auto outcomes = desk_->commit(std::move(orders));
      for (const auto& outcome : outcomes) {
        if (outcome.end == WriteEnd::Committed) {
          acknowledged_.push_back(outcome.tag + 1);
        } else {
          // Whatever happens, it is never the step's own fault.
          EXPECT_EQ(outcome.end, WriteEnd::Unavailable) << outcome.reason;
          disk_full_ = disk_full_ || outcome.disk_full;
        }
      }
    }
  }
  ~FaultRun() { FaultVfs::instance().disarm(); }

  // Space returns: the committer finds out by itself, and everything goes on.
  void recover() {
    FaultVfs::instance().disarm();
    ASSERT_TRUE(desk_->wait_until_writable()) << "still read-only after 30 s";
    auto outcomes = desk_->commit({{whole_step(++submitted_), 0}});
    EXPECT_EQ(outcomes[0].end, WriteEnd::Committed) << outcomes[0].reason;
    acknowledged_.push_back(submitted_);
  }
  void reopen_and_judge() {
    FaultVfs::instance().disarm();
    desk_ = nullptr;
    store_ = nullptr;
    auto again = must(open(folder_.path()));
    auto reader = must(again->open_reader());
    EXPECT_EQ(judge(*reader, acknowledged_, submitted_), "");
    Desk next(*again);
    next.write(whole_step(submitted_ + 1));
  }

  // Ends the threads of the committer.
  void stop() { desk_->close(); }

  bool struck() const { return FaultVfs::instance().struck(); }
  bool disk_full() const { return disk_full_; }
  size_t fatal() const { return desk_->fatal_errors().size(); }
  size_t acknowledged() const { return acknowledged_.size(); }

 private:
  TempFolder folder_;
  std::unique_ptr<sql::Store> store_;
  std::unique_ptr<Desk> desk_;
  std::vector<int64_t> acknowledged_;
  int64_t submitted_ = 0;
  bool disk_full_ = false;
};

// Runs with the fault at the first, second, third... operation until a run ends clean.
template <typename Check>
void sweep(Fault fault, Check check) {
  FaultVfs::instance();
  for (fault.nth = 1; fault.nth < 2000; ++fault.nth) {
    SCOPED_TRACE("fault at operation " + std::to_string(fault.nth));
    FaultRun run(fault);
    bool struck = run.struck();
    if (struck) check(run);
    run.reopen_and_judge();
    if (::testing::Test::HasFailure()) return;
    if (!struck) {
      EXPECT_EQ(run.acknowledged(), 24U);
      EXPECT_GT(fault.nth, 10);
      return;
    }
  }
  FAIL() << "no run ended clean";
}

TEST(FullDisk, AtAnyWriteMakesReadOnlyUntilSpaceReturnsAndLosesNothing) {
  sweep({.op = DiskOp::Write, .error = ENOSPC}, [](FaultRun& run) {
    EXPECT_EQ(run.fatal(), 0U);
    // A checkpoint that finds no space is put off: nobody notices.
    EXPECT_TRUE(run.disk_full() || run.acknowledged() == 24);
    run.recover();
  });
}

TEST(FullDisk, AtAnySyncMakesReadOnlyUntilSpaceReturnsAndLosesNothing) {
  sweep({.op = DiskOp::Sync, .error = ENOSPC}, [](FaultRun& run) {
    EXPECT_EQ(run.fatal(), 0U);
    run.recover();
  });
}

TEST(FullDisk, ForAMomentOnlyIsSurvived) {
  sweep({.op = DiskOp::Write, .error = ENOSPC, .for_ever = false}, [](FaultRun& run) {
    EXPECT_EQ(run.fatal(), 0U);
    run.recover();
  });
}

TEST(FullDisk, IsTriedAgainWhileStepsComeAllTheTime) {
  TempFolder folder;
  auto store = must(open(folder.path(), {.vfs = FaultVfs::kName}));
  store::Committer::Options options;
  options.full_retry_ms = 300;
  Desk desk(*store, options);
  FaultVfs::instance().arm({.op = DiskOp::Write, .error = ENOSPC, .for_ever = false});
  auto began = std::chrono::steady_clock::now();
  int64_t n = 0;
  EXPECT_TRUE(desk.commit({{whole_step(++n), 0}}).at(0).disk_full);
  while (desk.committer().read_only() &&
         std::chrono::steady_clock::now() - began < std::chrono::seconds(10)) {
    desk.commit({{whole_step(++n), 0}});
  }
  EXPECT_FALSE(desk.committer().read_only());
  FaultVfs::instance().disarm();
}

TEST(IoError, AtAnySyncIsFatalOnceAndLosesNothing) {
  sweep({.op = DiskOp::Sync, .error = EIO, .for_ever = false}, [](FaultRun& run) {
    run.stop();
    EXPECT_EQ(run.fatal(), 1U);
  });
}

TEST(IoError, AtAnyWriteIsFatalOnceAndLosesNothing) {
  sweep({.op = DiskOp::Write, .error = EIO, .for_ever = false}, [](FaultRun& run) {
    run.stop();
    EXPECT_EQ(run.fatal(), 1U);
  });
}

// A reader keeps the last commit from being moved: SQLite then syncs nothing, takes for moved what
// it has asked to be written, and hears of no write that fails later.
TEST(FullDisk, WhileOnlyAPartOfTheLogIsMovedLosesNoPage) {
  for (int nth = 1;; ++nth) {
    SCOPED_TRACE("fault at operation " + std::to_string(nth));
    TempFolder folder;
    bool struck = false;
    {
      auto store = must(open(folder.path(), {.vfs = FaultVfs::kName}));
      auto db = must(store->open_writer());
      must(db->run("CREATE TABLE t (a INTEGER PRIMARY KEY, b BLOB)"));
      must(store->checkpoint());
      for (int i = 0; i < 30; ++i) must(db->run("INSERT INTO t (b) VALUES (randomblob(3000))"));
      auto reader = must(store->open_reader());
      must(reader->run("BEGIN"));
      EXPECT_EQ(must(store::query_int(*reader, "SELECT count(*) FROM t")), 30);
      must(db->run("INSERT INTO t (b) VALUES (randomblob(3000))"));
      FaultVfs::instance().arm(
          {.op = DiskOp::Write, .nth = nth, .error = ENOSPC, .for_ever = false});
      EXPECT_EQ(store->checkpoint().ok(), !FaultVfs::instance().struck());
      struck = FaultVfs::instance().struck();
      FaultVfs::instance().disarm();
      must(reader->run("COMMIT"));
      EXPECT_TRUE(must(store->empty_log()));
    }
    auto reader = must(must(open(folder.path()))->open_reader());
    EXPECT_EQ(must(reader->check_integrity()), std::vector<std::string>());
    EXPECT_EQ(must(store::query_int(*reader, "SELECT count(*) FROM t")), 31);
    if (::testing::Test::HasFailure()) return;
    if (!struck) {
      EXPECT_GT(nth, 10);
      return;
    }
  }
}

// The same with a real file system that is really full.
class SmallDisk : public ::testing::Test {
 protected:
  void SetUp() override {
    bool mounted = unshare(CLONE_NEWNS) == 0 &&
                   mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                   mount("tmpfs", folder_.path().c_str(), "tmpfs", 0, "size=2m") == 0;
    if (!mounted) GTEST_SKIP() << "mounting a tmpfs needs root";
    mounted_ = true;
  }
  void TearDown() override {
    if (mounted_) umount2(folder_.path().c_str(), MNT_DETACH);
  }
  std::string ballast() const { return folder_.path() + "/ballast"; }
  void fill() {
    std::ofstream out(ballast(), std::ios::binary);
    std::string block(4096, 'x');
    while (out.write(block.data(), 4096).flush()) {
    }
  }

  TempFolder folder_;
  bool mounted_ = false;
};

TEST_F(SmallDisk, ThatIsFullAnswersUnavailableAndRecovers) {
  auto store = must(open(folder_.path()));
  Desk desk(*store, small_log());
  std::vector<int64_t> acknowledged;
  int64_t n = 0;
  auto submit_one = [&] {
    auto outcome = desk.commit({{whole_step(++n), 0}}).at(0);
    if (outcome.end == WriteEnd::Committed) acknowledged.push_back(n);
    return outcome;
  };
  for (int i = 0; i < 5; ++i) EXPECT_EQ(submit_one().end, WriteEnd::Committed);
  fill();
  Outcome refused;
  for (int i = 0; i < 400 && !refused.disk_full; ++i) refused = submit_one();
  EXPECT_EQ(refused.end, WriteEnd::Unavailable);
  EXPECT_TRUE(refused.disk_full);
  // Readers go on.
  auto reader = must(store->open_reader());
  EXPECT_EQ(must(rows_of_step(*reader, 1)), kRowsOfAStep);

  // The last free page may let the committer's small write through where a step found no place:
  // it may have gone back and forth. With space it stays.
  std::filesystem::remove(ballast());
  ASSERT_TRUE(desk.wait_until_writable()) << "still read-only after 30 s";
  EXPECT_EQ(submit_one().end, WriteEnd::Committed);
  EXPECT_TRUE(desk.fatal_errors().empty());
  EXPECT_EQ(judge(*reader, acknowledged, n), "");
}

}  // namespace
}  // namespace millrace::store_sqlite
