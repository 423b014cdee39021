// SPDX-License-Identifier: Apache-2.0
// A store into another, of the same engine or not.
#pragma once

#include <functional>
#include <string>

#include "store/sql.h"

namespace millrace::store {

// What `copy_rows` tells of a table that is done.
struct CopiedTable {
  std::string_view name;
  int64_t rows = 0;    // that it has now
  int64_t copied = 0;  // of these, in this call
};

// Copies every row of a store that nobody writes to into one that is new, or that holds a part of
// the same copy: it goes on behind the last row that is there. Table by table in the order of their
// keys, some thousand rows in a commit. Both must have the newest schema; neither connection may
// cut off long queries. Until it has returned well the target is no store to run on: `migrate`
// refuses it with kUnfinished. Errors: kUnfinished when the target holds another store, or a copy
// of another state of the source; kDamaged when the numbers of rows differ at the end.
Result<void> copy_rows(sql::Connection& from, sql::Connection& to,
                       const std::function<void(const CopiedTable&)>& told);

// Of which state of which store a copy of it would be (copy_under_way).
Result<std::string> state_of_copy(sql::Connection& from);

}  // namespace millrace::store
