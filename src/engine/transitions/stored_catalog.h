// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "engine/machine/catalog.h"
#include "store/sql.h"

namespace millrace::engine {

// The catalogue with the rules and webhook endpoints of all tenants as the store has them.
Result<std::shared_ptr<const Catalog>> with_stored(std::shared_ptr<const Catalog> catalog,
                                                   sql::Connection& reader);

}  // namespace millrace::engine
