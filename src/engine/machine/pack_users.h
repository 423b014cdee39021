// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "engine/machine/catalog.h"

namespace millrace::engine {

// What does not belong to this pack and uses something of it: rules, webhook endpoints, and tasks
// of workflows whose action is written out. `counts`: whether a ref is meant. Paths name who,
// messages what.
std::vector<Problem> users_of(const TenantCatalog& catalog, std::string_view pack,
                              const std::function<bool(std::string_view ref)>& counts);

}  // namespace millrace::engine
