// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "agent/sessions.h"
#include "services/grpc/method.h"

namespace millrace::rpc {

// millrace.agent.v1.Agent: the sessions of workers on other machines. `sessions` outlives the
// server. What an agent says is handled on the thread that has read it, before the next message is.
std::vector<Method> agent_service(agent::Sessions& sessions);

}  // namespace millrace::rpc
