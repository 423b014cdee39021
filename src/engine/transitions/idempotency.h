// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engine/machine/context.h"
#include "engine/transitions/commands.h"

namespace millrace::engine {

inline constexpr int64_t kIdempotencyMs = 86'400'000;

// The entity that an earlier request with the same Idempotency-Key made, if there was one.
// Mismatch (ENG-0003) when that request was another one. Known once the write has been turned
// away by the taken key: without want_answer the first decision always finds nothing.
Result<std::optional<int64_t>> answered_before(Context& ctx, const Caller& caller);

// For transitions that would be refused before the taken key could turn them away: looks it up
// before the first decision.
void want_answer(Wanted& wanted, const Caller& caller);

// The execution that an earlier request with this key has started; none, or not known yet.
ExecutionId first_of_key(const Loaded& rows, const Caller& caller);

// Keeps what this request makes under its key, in the same commit.
void remember_answer(Context& ctx, const Caller& caller, int64_t entity);

// "no execution 12", or the row when it is the caller's.
Result<const kernel::ExecutionRow*> find_execution(Context& ctx, const Caller& caller,
                                                   ExecutionId id);

}  // namespace millrace::engine
