// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unordered_set>

#include "store/writer.h"

namespace millrace::store {

// The dedupe keys of a batch come first: whoever loses one leaves the batch before anything else of
// it is written, so that a duplicate costs no rollback. One end per step: Committed (goes on),
// Duplicate, or Stale when an earlier step of its key, or one in `turned_away`, has left; the keys
// of those that leave are added to `turned_away`. `recent` has the keys that it takes.
Result<std::vector<WriteEnd>> pass_gate(sql::Connection& db, RecentKeys& recent,
                                        std::span<const std::unique_ptr<Step>> steps,
                                        int64_t now_ms, std::unordered_set<int64_t>& turned_away);

}  // namespace millrace::store
