// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engine/machine/context.h"

namespace millrace::engine {

// Holds an event against the rules of its tenant and adds one enforcement and one execution per
// match. `payload` is the event's payload, parsed. Errors: Needs; one that refuses the event.
Result<void> enforce(Context& ctx, const kernel::EventRow& event, const Value& payload);

// Adds an event and the message that will have it enforced in a transition of its own.
void store_event_for_later(Context& ctx, kernel::EventRow event);

// The feed entry of a new event.
void note_event(Context& ctx, const kernel::EventRow& event);

}  // namespace millrace::engine
