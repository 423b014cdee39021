// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "services/api/shared.h"

namespace millrace::api {

Error no_execution(ExecutionId id);  // NotFound, EXE-0010
Task<Result<kernel::ExecutionRow>> read_execution(Shared& shared, TenantId tenant, ExecutionId id);
// Puts a result that is not in its row there, up to what an answer shows of one.
Task<Result<void>> read_result(Shared& shared, kernel::ExecutionRow& row);

// Waits for the end of one execution. The engine forgets it with this object: whoever stops
// waiting costs nothing more. Loop thread.
class EndWatch {
 public:
  EndWatch(Shared& shared, async::Executor loop)
      : shared_(shared), number_(shared.engine.new_watch()), ended_(std::move(loop)) {}
  ~EndWatch() { shared_.engine.forget_watch(number_); }
  EndWatch(const EndWatch&) = delete;

  int64_t number() const { return number_; }
  engine::Reply<kernel::ExecutionRow> reply() const {
    return [ended = ended_](Result<kernel::ExecutionRow> row) { ended.fulfil(std::move(row)); };
  }
  // The final row, or as it is when the time is over.
  Task<Result<kernel::ExecutionRow>> wait(Of<ExecutionId> execution, int64_t wait_ms);
  // The same for one that nobody watches yet.
  Task<Result<kernel::ExecutionRow>> end_of(Of<ExecutionId> execution, int64_t wait_ms);

 private:
  Shared& shared_;
  int64_t number_;
  async::Completion<kernel::ExecutionRow> ended_;
};

}  // namespace millrace::api
