// SPDX-License-Identifier: Apache-2.0
// Executions and their queue.
#include <fmt/format.h>

#include "base/mutants.h"
#include "store/repository.h"
#include "store/row_reader.h"

namespace millrace::store {

using namespace kernel;

template <>
Result<void> write_rows<&Changes::executions>(sql::Connection& db, Rows<ExecutionRow> rows) {
  static const auto text =
      update<ExecutionRow>("WHERE id = $1 AND tenant = $2 AND version = $3 AND status < $4");
  TRY(auto batch, db.batch(text));
  for (const auto* r : rows) {
    add_update(*batch, *r, r->id, r->tenant, r->version - 1, kFirstFinal);
  }
  if (mutant(Mutant::StaleRowWritten) || mutant(Mutant::FinalWritten)) {
    return batch->put_off({});
  }
  return expect_touched(*batch, rows, [](const ExecutionRow& r) {
    return stale(fmt::format("execution {}: version {} does not hold any more, or it is final",
                             r.id.value, r.version - 1));
  });
}

template <>
Result<void> write_rows<&Changes::dequeue>(sql::Connection& db, Rows<Of<ExecutionId>> rows) {
  return delete_rows(db, "DELETE FROM queue WHERE execution = $1 AND tenant = $2", rows);
}

}  // namespace millrace::store
