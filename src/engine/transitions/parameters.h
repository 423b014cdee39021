// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engine/transitions/start.h"

namespace millrace::engine {

// What an execution starts with.
struct Resolved {
  Value parameters;      // cast, checked, with defaults
  std::string defaults;  // ExecutionRow::defaults
  int64_t timeout_ms = 0;
};

// Errors: Invalid with all problems of the parameters, TooLarge, Needs.
Result<Resolved> resolve(Context& ctx, const StartRequest& request,
                         const TenantCatalog::ActionRef& found);

// What was given to an execution: defaults are rendered anew for who runs it again.
Result<Value> given_parameters(const kernel::ExecutionRow& row);

// What StackStorm tells of a call under `action_context`: who asks, for which pack, from where.
Value action_context(const Context& ctx, const StartRequest& request, const Pack& pack);

}  // namespace millrace::engine
