// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "kernel/changes.h"
#include "store/sql.h"

namespace millrace::store {

// Writes everything of these changes but their dedupe rows inside the open transaction, entity by
// entity, with the outcome of writing one Changes after the other. The change feed is numbered
// from `next_seq`, which moves on.
Result<void> write_changes(sql::Connection& writer, std::span<const kernel::Changes* const> changes,
                           int64_t& next_seq);

}  // namespace millrace::store
