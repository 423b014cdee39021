// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "agent/messages.h"
#include "base/result.h"

namespace millrace::agent::v1 {
class FromAgent;
class ToAgent;
}  // namespace millrace::agent::v1

namespace millrace::rpc {

// What an agent and its server say, as api/proto/millrace/agent/v1/agent.proto has it.
agent::v1::FromAgent to_proto(const agent::FromAgent& message);
agent::v1::ToAgent to_proto(const agent::ToAgent& message);

// Errors: Invalid, RPC-0013: a kind that this version does not know, or a field that does not fit.
Result<agent::FromAgent> from_proto(const agent::v1::FromAgent& message);
Result<agent::ToAgent> from_proto(const agent::v1::ToAgent& message);

}  // namespace millrace::rpc
