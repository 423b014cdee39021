// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "services/api/options.h"
#include "services/api/route.h"

namespace millrace::api {

// The routes of each resource, beside its handlers.
std::vector<Route> system_routes();
std::vector<Route> pack_routes();
std::vector<Route> pack_change_routes();
std::vector<Route> pack_config_routes();
std::vector<Route> operation_routes();
std::vector<Route> rule_routes();
std::vector<Route> rule_verdict_routes();                     // among rule_routes
std::vector<Route> replay_routes(const ApiOptions& options);  // among event_routes
std::vector<Route> event_routes(const ApiOptions& options);
std::vector<Route> enforcement_routes();
std::vector<Route> execution_routes();
std::vector<Route> workflow_routes();
std::vector<Route> inquiry_routes();
std::vector<Route> output_routes();
std::vector<Route> policy_routes();
std::vector<Route> webhook_routes();
std::vector<Route> delivery_routes(const ApiOptions& options);
std::vector<Route> key_routes();
std::vector<Route> trace_routes();
std::vector<Route> stream_routes();
std::vector<Route> token_routes();
std::vector<Route> join_routes();
std::vector<Route> server_routes();
std::vector<Route> sensor_routes();
std::vector<Route> timer_routes();
std::vector<Route> alias_routes();
std::vector<Route> chatops_routes();  // aliases under StackStorm's paths

// The whole API, in the order of the OpenAPI document.
std::vector<Route> all_routes(const ApiOptions& options);

}  // namespace millrace::api
