// SPDX-License-Identifier: Apache-2.0
#include "services/api/live_output.h"

#include <algorithm>
#include <chrono>
#include <future>
#include <mutex>

#include "store/read.h"

namespace millrace::api {
namespace {

using kernel::OutputChunk;

constexpr std::chrono::seconds kLimit{5};

// Outlives whoever has waited in vain.
struct Kept {
  std::mutex mutex;
  std::vector<OutputChunk> chunks;
  std::promise<void> over;
};

std::vector<OutputChunk> from(Shared& shared, int node, Of<ExecutionId> execution) {
  auto kept = std::make_shared<Kept>();
  auto over = kept->over.get_future();
  auto call = shared.options.follow_output(
      node, execution, true,
      [kept](const OutputChunk& chunk) {
        std::lock_guard lock(kept->mutex);
        kept->chunks.push_back(chunk);
      },
      [kept] { kept->over.set_value(); });
  if (call) over.wait_for(kLimit);
  std::lock_guard lock(kept->mutex);
  return std::exchange(kept->chunks, {});
}

}  // namespace

Result<std::optional<int>> live_elsewhere(Shared& shared, sql::Connection& db,
                                          const kernel::ExecutionRow& row) {
  if (!shared.options.follow_output || !row.worker) return std::optional<int>();
  TRY(auto workers, store::all_workers(db));
  auto worker = std::ranges::find(workers, row.worker, &kernel::WorkerRow::id);
  if (worker == workers.end()) return std::optional<int>();
  for (const auto& view : shared.engine.servers()) {
    if (view.row.epoch == worker->home && !view.is_self) return std::optional(view.row.node);
  }
  return std::optional<int>();
}

std::vector<OutputChunk> kept_output(Shared& shared, sql::Connection& db,
                                     const kernel::ExecutionRow& row) {
  Of execution{row.tenant, row.id};
  auto node = live_elsewhere(shared, db, row);
  // may fail: then what is here is all that can be told
  if (node.ok() && *node) return from(shared, **node, execution);
  std::vector<OutputChunk> chunks;
  auto take = [&](const OutputChunk& chunk) { chunks.push_back(chunk); };
  shared.engine.forget(shared.engine.on_output(execution, take));
  return chunks;
}

}  // namespace millrace::api
