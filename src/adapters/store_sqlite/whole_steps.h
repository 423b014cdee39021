// SPDX-License-Identifier: Apache-2.0
// For tests of faults: steps of many rows, and whether they are in a store whole.
#pragma once

#include <string>
#include <vector>

#include "store/row_reader.h"
#include "store/test_support.h"

namespace millrace::store_sqlite {

// A webhook's rows under one number: dedupe, event, enforcement, execution, queue, message, feed.
inline kernel::Changes whole_step(int64_t n) {
  using namespace store::testing;
  kernel::Changes c;
  c.dedupe = {key("k" + std::to_string(n), std::to_string(n))};
  c.events = {event(n)};
  // Every third one spills into pages of its own.
  c.events[0].payload_json.assign(n % 3 == 0 ? 12'000 : 300, 'p');
  c.enforcements = {enforcement(n, n, n)};
  c.new_executions = {execution(n)};
  c.enqueue = {{ExecutionId{n}, kTenant, n}};
  c.messages = {message(n, n)};
  c.feed = {change(n)};
  return c;
}
inline constexpr int64_t kRowsOfAStep = 7;

// How many rows of step `n` are there.
inline Result<int64_t> rows_of_step(sql::Connection& db, int64_t n) {
  return store::query_int(db,
                          "SELECT (SELECT count(*) FROM dedupe WHERE tenant = 1 AND "
                          "scope = 'event:webhook:github' AND key = $1) + "
                          "(SELECT count(*) FROM event WHERE id = $2) + "
                          "(SELECT count(*) FROM enforcement WHERE tenant = 1 AND event = $2) + "
                          "(SELECT count(*) FROM execution WHERE id = $2) + "
                          "(SELECT count(*) FROM queue WHERE execution = $2) + "
                          "(SELECT count(*) FROM message WHERE id = $2) + "
                          "(SELECT count(*) FROM change_feed WHERE entity = $2)",
                          "k" + std::to_string(n), n);
}

// Empty when every acknowledged step is there, each of 1..submitted whole or not at all, and the
// file in order; else what is wrong.
inline std::string judge(sql::Connection& db, const std::vector<int64_t>& acknowledged,
                         int64_t submitted) {
  std::vector<bool> there(static_cast<size_t>(submitted) + 1);
  for (int64_t n = 1; n <= submitted; ++n) {
    auto rows = rows_of_step(db, n);
    if (!rows.ok()) return rows.error().describe();
    if (*rows != 0 && *rows != kRowsOfAStep) {
      return "step " + std::to_string(n) + " is there in part: " + std::to_string(*rows) + " rows";
    }
    there[static_cast<size_t>(n)] = *rows != 0;
  }
  for (int64_t n : acknowledged) {
    if (!there[static_cast<size_t>(n)]) return "lost step " + std::to_string(n);
  }
  auto found = db.check_integrity();
  if (!found.ok()) return found.error().describe();
  return found->empty() ? "" : found->front();
}

}  // namespace millrace::store_sqlite
