// SPDX-License-Identifier: Apache-2.0
#include "app/blob_sweep.h"

#include <gtest/gtest.h>

#include "adapters/blob_fs/blob_fs.h"
#include "adapters/store_sqlite/store_sqlite.h"
#include "store/test_support.h"

namespace millrace::app {
namespace {

using namespace store::testing;
using kernel::RunKey;
using kernel::Stream;

class BlobSweep : public testing::Test {
 protected:
  ExecutionId id_at(int64_t unix_ms) { return ExecutionId{first_id_at(unix_ms)}; }
  void put(const std::string& ref) {
    auto writer = must(blobs_->create(ref));
    writer->append("x");
    must(writer->commit());
  }
  bool is_there(const std::string& ref) { return blobs_->size(ref).ok(); }

  TempFolder folder_;
  std::unique_ptr<sql::Store> store_ = must(store_sqlite::open(folder_.path()));
  Desk desk_{*store_};
  std::unique_ptr<kernel::Blobs> blobs_ = must(blob_fs::open(folder_.path()));
};

TEST_F(BlobSweep, TakesOldBlobsWhoseExecutionIsGoneAndNoOthers) {
  RunKey known{id_at(kNow - 2 * kDay), 1, 1}, gone{id_at(kNow - 2 * kDay + 1), 1, 1},
      young{id_at(kNow), 1, 1};
  desk_.write({.new_executions = {execution(known.execution.value)}});
  std::vector<std::string> kept, orphans;
  for (const auto& key : {known, young}) {
    kept.push_back(kernel::output_ref(kTenant, key, Stream::Stdout));
    kept.push_back(kernel::artifacts_prefix(kTenant, key) + "log");
  }
  for (auto stream : {Stream::Stdout, Stream::Stderr}) {
    orphans.push_back(kernel::output_ref(kOtherTenant, gone, stream));
  }
  orphans.push_back(kernel::artifacts_prefix(kTenant, gone) + "sub/log");
  // The folder of a tenant is its own: what lies there under the id of another's execution is
  // nobody's.
  orphans.push_back(kernel::output_ref(kOtherTenant, known, Stream::Stdout));
  kept.push_back("output/1/strange");
  for (const auto& ref : kept) put(ref);
  for (const auto& ref : orphans) put(ref);

  auto reader = must(store_->open_reader());
  EXPECT_EQ(must(sweep_blobs(*reader, *blobs_, kNow - kDay)), 4);
  for (const auto& ref : kept) EXPECT_TRUE(is_there(ref)) << ref;
  for (const auto& ref : orphans) EXPECT_FALSE(is_there(ref)) << ref;
  EXPECT_EQ(must(sweep_blobs(*reader, *blobs_, kNow - kDay)), 0);
}

}  // namespace
}  // namespace millrace::app
