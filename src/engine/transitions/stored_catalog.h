// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "engine/machine/catalog.h"
#include "engine/machine/in_hand.h"
#include "store/sql.h"

namespace millrace::engine {

// The catalogue with the rules and webhook endpoints of all tenants as the store has them. A rule
// that cannot be compiled, or ended the server when it was (`in_hand`, which may be null), is out
// of force: it is counted (TenantCatalog::out_of_force) and told in the log.
Result<std::shared_ptr<const Catalog>> with_stored(std::shared_ptr<const Catalog> catalog,
                                                   sql::Connection& reader, InHand* in_hand);

// These rules; one that cannot be compiled has no compiled form.
Result<std::vector<std::shared_ptr<const RuleEntry>>> compiled_rules(
    std::vector<kernel::RuleRow> rows, InHand* in_hand);

}  // namespace millrace::engine
