// SPDX-License-Identifier: Apache-2.0
#include "services/api/execution_watch.h"

#include <fmt/format.h>

#include "kernel/limits.h"
#include "store/read.h"

namespace millrace::api {

Error no_execution(ExecutionId id) {
  return Error(ErrorKind::NotFound, "EXE-0010", fmt::format("no execution {}", id.value));
}

Task<Result<kernel::ExecutionRow>> read_execution(Shared& shared, TenantId tenant, ExecutionId id) {
  std::optional<kernel::ExecutionRow> row;
  CO_TRY(co_await shared.readers.run([&](sql::Connection& db) -> Result<void> {
    TRY(row, store::find_execution(db, tenant, id));
    return {};
  }));
  if (!row) co_return no_execution(id);
  co_return *std::move(row);
}

Task<Result<void>> read_result(Shared& shared, kernel::ExecutionRow& row) {
  bool is_elsewhere = row.result_json.empty() && row.result_size > 0;
  if (!is_elsewhere || row.result_size > kernel::kShownResult.most) co_return Result<void>();
  co_return co_await shared.readers.run([&](sql::Connection& db) -> Result<void> {
    TRY(auto blob, store::find_result_blob(db, row.tenant, row.id));
    if (blob) row.result_json = std::move(blob->bytes);
    return {};
  });
}

Task<Result<kernel::ExecutionRow>> EndWatch::wait(Of<ExecutionId> execution, int64_t wait_ms) {
  auto row = co_await ended_.wait(async::Duration(wait_ms));
  if (row.ok()) co_return row;
  co_return co_await read_execution(shared_, execution.tenant, execution.id);
}

// Read once more after the watch is taken: it may have ended in between.
Task<Result<kernel::ExecutionRow>> EndWatch::end_of(Of<ExecutionId> execution, int64_t wait_ms) {
  shared_.engine.watch(number_, execution, reply());
  CO_TRY(auto row, co_await read_execution(shared_, execution.tenant, execution.id));
  if (is_final(row.status)) co_return row;
  co_return co_await wait(execution, wait_ms);
}

}  // namespace millrace::api
