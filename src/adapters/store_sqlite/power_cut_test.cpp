// SPDX-License-Identifier: Apache-2.0
// The power is cut at every sync of a run, with what was not synced lost, kept or torn. Each disk
// that this can leave is opened: what was acknowledged before is there, nothing is there in part.
#include <gtest/gtest.h>

#include "adapters/store_sqlite/fault_vfs.h"
#include "adapters/store_sqlite/store_sqlite.h"
#include "adapters/store_sqlite/whole_steps.h"

namespace millrace::store_sqlite {
namespace {

using namespace store::testing;
using Unsynced = DiskImage::Unsynced;

constexpr int64_t kSteps = 150;

// Records a run in which the log is moved and begins anew several times.
std::vector<DiskRecord> recorded_run() {
  auto& vfs = FaultVfs::instance();
  TempFolder folder;
  vfs.record(true);
  {
    auto store = must(open(folder.path(), {.vfs = FaultVfs::kName}));
    store::Committer::Options options;
    options.checkpoint_bytes = 100 << 10;
    options.max_log_bytes = 300 << 10;
    Desk desk(*store, options);
    for (int64_t n = 0; n < kSteps;) {
      std::vector<Order> orders;
      for (int64_t i = n % 5; i < 5 && n < kSteps; ++i) orders.push_back({whole_step(++n), 0});
      for (const auto& outcome : desk.commit(std::move(orders))) {
        EXPECT_EQ(outcome.end, store::WriteEnd::Committed) << outcome.reason;
        vfs.mark(outcome.tag + 1);
      }
    }
  }
  vfs.record(false);
  return vfs.take_records();
}

class PowerCut : public ::testing::Test {
 protected:
  void judge_image(Unsynced unsynced, uint32_t seed) {
    TempFolder folder;
    image_.write_to(folder.path(), unsynced, seed);
    ++images_;
    ASSERT_EQ(judge_folder(folder.path()), "")
        << "unsynced " << static_cast<int>(unsynced) << ", seed " << seed << ", acknowledged "
        << acknowledged_.size();
  }
  std::string judge_folder(const std::string& folder) {
    // Before the first commit is durable there may be no store yet, or an empty one.
    if (acknowledged_.empty() && !std::filesystem::exists(folder + "/millrace.db")) return "";
    auto store = open(folder);
    if (!store.ok()) return store.error().describe();
    auto writer = (*store)->open_writer();
    if (!writer.ok()) return writer.error().describe();
    auto version = store::schema_version(**writer);
    if (!version.ok()) return version.error().describe();
    if (acknowledged_.empty() && *version == 0) return "";
    return judge(**writer, acknowledged_, kSteps);
  }

  DiskImage image_;
  std::vector<int64_t> acknowledged_;
  int images_ = 0;
};

TEST_F(PowerCut, AtAnySyncLosesNothingThatWasAcknowledged) {
  auto records = recorded_run();
  uint32_t seed = 0;
  int restarts = 0;
  for (const auto& record : records) {
    if (record.kind == DiskRecord::Kind::Mark) {
      acknowledged_.push_back(record.offset);
      continue;
    }
    if (record.kind == DiskRecord::Kind::Sync) {
      for (auto unsynced :
           {Unsynced::Lost, Unsynced::Kept, Unsynced::Torn512, Unsynced::Torn4096}) {
        judge_image(unsynced, ++seed);
        if (HasFatalFailure()) return;
      }
    }
    restarts += record.file == "millrace.db-wal" && record.offset == 0 &&
                        record.kind == DiskRecord::Kind::Write
                    ? 1
                    : 0;
    image_.apply(record);
    if (record.kind == DiskRecord::Kind::Sync) {
      judge_image(Unsynced::Lost, ++seed);
      if (HasFatalFailure()) return;
    }
  }
  EXPECT_EQ(acknowledged_.size(), static_cast<size_t>(kSteps));
  EXPECT_GT(images_, 300);
  EXPECT_GT(restarts, 1) << "the log never began anew: its bound is too high for this test";
}

}  // namespace
}  // namespace millrace::store_sqlite
