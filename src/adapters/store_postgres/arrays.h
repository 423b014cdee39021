// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "adapters/store_postgres/rows.h"

namespace millrace::store_postgres {

// Many small rows of a plain INSERT as one statement with an array per column: half of what the
// server spends on a row is its own Bind and Execute (docs/performance.md).

// The same insert of so many columns from arrays; none: it is not a plain one.
std::optional<std::string> insert_of_arrays(std::string_view text, size_t count);
// Are they many and small, so that it pays?
bool are_worth_arrays(const Rows& rows);

// One row that holds the columns of `rows` as arrays, in the wire's binary form.
class ArrayRow {
 public:
  explicit ArrayRow(const Rows& rows);
  const Rows& row() const { return row_; }

 private:
  std::vector<std::string> columns_;
  Rows row_;
};

}  // namespace millrace::store_postgres
