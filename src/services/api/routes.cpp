// SPDX-License-Identifier: Apache-2.0
#include "services/api/routes.h"

#include <iterator>

namespace millrace::api {

std::vector<Route> all_routes(const ApiOptions& options) {
  std::vector<Route> routes;
  for (auto& part : {system_routes(),       pack_routes(),
                     pack_change_routes(),  pack_config_routes(),
                     operation_routes(),    rule_routes(),
                     event_routes(options), enforcement_routes(),
                     execution_routes(),    workflow_routes(),
                     inquiry_routes(),      output_routes(),
                     webhook_routes(),      delivery_routes(options),
                     policy_routes(),       key_routes(),
                     trace_routes(),        stream_routes(),
                     token_routes(),        join_routes(),
                     server_routes(),       sensor_routes(),
                     timer_routes(),        alias_routes(),
                     chatops_routes()}) {
    routes.insert(routes.end(), part.begin(), part.end());
  }
  return routes;
}

}  // namespace millrace::api
