// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "kernel/changes.h"
#include "store/sql.h"

namespace millrace::store {

// Before write_changes of what has a feed: no other writer numbers it until this transaction ends.
Result<void> lock_numbering(sql::Connection& writer);

// Writes everything of these changes but their dedupe rows inside the open transaction, entity by
// entity, with the outcome of writing one Changes after the other. Numbers their feed.
Result<void> write_changes(sql::Connection& writer, std::span<kernel::Changes* const> changes);

}  // namespace millrace::store
