// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.h"
#include "base/value.h"
#include "model/pack.h"

namespace millrace::api {

// Whether a trigger can have fired this: its parameters by their declaration, the payload by its
// payload_schema. Both may be null: nothing is said of them. Errors: Invalid, EVT-0004, a problem
// for each mistake at /payload/... and /trigger_parameters/....
Result<void> check_fired(const Trigger& trigger, const Value* payload, const Value& parameters);

}  // namespace millrace::api
