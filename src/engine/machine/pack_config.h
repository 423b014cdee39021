// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "base/result.h"
#include "base/value.h"
#include "engine/machine/keys.h"
#include "expr/expr.h"
#include "model/pack.h"

namespace millrace::engine {

// What a tenant has set of a pack's configuration is a key of a scope that neither expressions nor
// the routes of keys reach: a map as JSON, sealed where a part of it is secret. So it is loaded
// with the keys of a decision: the next run sees a change, on each server.
kernel::KeyName config_key(TenantId tenant, std::string_view pack);

// Whether a sensor is to run, whatever its file says: a key of another such scope, true or false.
kernel::KeyName sensor_switch(TenantId tenant, std::string_view sensor);

// Whether there is anything to set.
bool is_configurable(const Pack& pack);

// The configuration as a run sees it: what the pack and the server's files say, what the tenant of
// the keys has set over it, defaults, and {{ st2kv... }} rendered. Errors: EXP-0004, the keys that
// have to be loaded first.
Result<Value> pack_config(const Pack& pack, const KeyLookup& keys, expr::Engine& engine);

}  // namespace millrace::engine
