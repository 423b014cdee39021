// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "base/result.h"
#include "base/value.h"
#include "engine/machine/catalog.h"
#include "model/pack.h"

namespace millrace::api {

// Errors: NotFound, EVT-0001, with the nearest name.
Result<void> check_trigger_is_known(const engine::TenantCatalog& catalog, std::string_view ref);

// Whether a trigger can have fired this: its parameters by their declaration, the payload by its
// payload_schema. Both may be null: nothing is said of them. Errors: Invalid, EVT-0004, a problem
// for each mistake at /payload/... and /trigger_parameters/....
Result<void> check_fired(const Trigger& trigger, const Value* payload, const Value& parameters);

}  // namespace millrace::api
