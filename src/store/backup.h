// SPDX-License-Identifier: Apache-2.0
// What a backup and a restore ask of a store. The readers must not cut off long queries.
#pragma once

#include <string>
#include <vector>

#include "kernel/rows.h"
#include "store/sql.h"

namespace millrace::store {

// References of the blobs in which runs left what was too long for a row.
Result<std::vector<std::string>> output_blobs(sql::Connection& reader);
// The releases that a pack has now, or that any execution names.
Result<std::vector<kernel::PackReleaseRow>> named_releases(sql::Connection& reader);
// Keys whose value is sealed, those that were written last first.
Result<std::vector<kernel::KeyRow>> sealed_keys(sql::Connection& reader, int64_t most = INT64_MAX);

// What was under way when the copy was made: it may happen a second time.
struct Unfinished {
  int64_t deliveries = 0;      // owed to somebody outside
  int64_t runs = 0;            // that a worker had
  int64_t runs_to_decide = 0;  // of these, at_most_once: they wait for a person
};
Result<Unfinished> unfinished(sql::Connection& reader);

// Writes a token in a transaction of its own; gives it its id.
Result<kernel::TokenRow> add_token(sql::Connection& writer, kernel::TokenRow token);

}  // namespace millrace::store
