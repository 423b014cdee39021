// SPDX-License-Identifier: Apache-2.0
#include "app/blob_sweep.h"

#include <vector>

#include "store/read.h"

namespace millrace::app {
namespace {

// Asks the store once for neighbours of the same execution.
class Orphans {
 public:
  Orphans(sql::Connection& reader, int64_t before_ms) : reader_(reader), before_ms_(before_ms) {}

  Result<bool> has(Of<ExecutionId> of) {
    if (!of || id_time_ms(of.id.value) >= before_ms_) return false;
    if (of != asked_) {
      TRY(bool is_there, store::has_execution(reader_, of.tenant, of.id));
      asked_ = of;
      is_gone_ = !is_there;
    }
    return is_gone_;
  }

 private:
  sql::Connection& reader_;
  int64_t before_ms_;
  Of<ExecutionId> asked_;
  bool is_gone_ = false;
};

Result<int64_t> sweep(sql::Connection& reader, kernel::Blobs& blobs, std::string_view prefix,
                      int64_t before_ms) {
  Orphans orphans(reader, before_ms);
  std::vector<std::string> gone;
  Result<void> asked;
  TRY(blobs.each(std::string(prefix), [&](const kernel::BlobEntry& entry) {
    if (!asked.ok()) return;
    auto is_orphan = orphans.has(kernel::execution_of(entry.ref));
    if (!is_orphan.ok()) {
      asked = is_orphan.error();
    } else if (*is_orphan) {
      gone.push_back(entry.ref);
    }
  }));
  TRY(std::move(asked));
  for (const auto& ref : gone) TRY(blobs.remove(ref));
  return static_cast<int64_t>(gone.size());
}

}  // namespace

Result<int64_t> sweep_blobs(sql::Connection& reader, kernel::Blobs& blobs, int64_t before_ms) {
  TRY(int64_t output, sweep(reader, blobs, kernel::kOutputBlobs, before_ms));
  TRY(int64_t artifacts, sweep(reader, blobs, kernel::kArtifactBlobs, before_ms));
  return output + artifacts;
}

Result<std::vector<std::string>> blobs_of_ended(sql::Connection& reader, kernel::Blobs& own) {
  std::vector<std::string> refs;
  Of<ExecutionId> asked;
  bool has_ended = false;
  Result<void> looked;
  auto look = [&](const kernel::BlobEntry& entry) -> Result<void> {
    auto of = kernel::execution_of(entry.ref);
    if (of != asked) {
      TRY(auto row, store::find_execution(reader, of.tenant, of.id));
      asked = of;
      has_ended = row && is_final(row->status);
    }
    if (has_ended) refs.push_back(entry.ref);
    return {};
  };
  for (auto prefix : {kernel::kOutputBlobs, kernel::kArtifactBlobs}) {
    TRY(own.each(std::string(prefix), [&](const kernel::BlobEntry& entry) {
      if (looked.ok()) looked = look(entry);
    }));
  }
  TRY(std::move(looked));
  return refs;
}

}  // namespace millrace::app
