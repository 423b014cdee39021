// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "app/config.h"
#include "app/pack_store.h"
#include "base/in_hand.h"
#include "store/doctor.h"

namespace millrace::app {

// What `doctor` tells: the promises on a store, as of `now_ms`, and what it needs of the releases
// that `packs` has staged.
Result<std::vector<store::Finding>> examine(sql::Connection& reader, const PackStore& packs,
                                            const RetentionSection& retention, int64_t now_ms);

// At a start: what was in hand when the last server ended, and what is not handled any more.
void tell_what_was_in_hand(const InHand& in_hand);
// Besides, of a data folder: what its server has set aside. `file`: DataPaths::in_hand.
void examine_in_hand(const std::string& file, std::vector<store::Finding>& findings);

// One line each, then how many. True when a promise is broken.
bool print_findings(const std::vector<store::Finding>& findings);

}  // namespace millrace::app
