// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/cluster/roster.h"
#include "engine/machine/catalog.h"
#include "services/sensor/sensors.h"

// What the catalogue says of sensors. Pure.
namespace millrace::app {

// A trigger with the parameters of the rules that wait for it. StackStorm's sensors are told of
// these, and may send events of them by their ref.
struct TriggerInstance {
  std::string type;  // ref of the trigger
  Value parameters;  // map
};

struct SensorSpec {
  sensor::SensorKey key;
  std::shared_ptr<const Pack> pack;
  Sensor sensor;
  std::optional<Runtime> runtime;                    // none: it cannot be run
  std::map<std::string, TriggerInstance> instances;  // by ref
  bool can_run() const { return sensor.enabled && runtime.has_value(); }
};

// All that may have sensors.
std::vector<TenantId> tenants_of(const engine::Catalog& catalogs);
// Of all packs of a tenant; those of the system are the default tenant's.
std::vector<SensorSpec> sensors_of(const engine::Catalog& catalogs, TenantId tenant);
std::optional<SensorSpec> find_sensor(const engine::Catalog& catalogs,
                                      const sensor::SensorKey& key);

// As StackStorm gives it to add_trigger.
Value trigger_object(const std::string& ref, const TriggerInstance& instance);

// The server that runs it, of those that may: each decides alike as long as they see the same
// ones, and when one goes only its own sensors move.
const engine::ServerView* runner_of(const std::vector<engine::ServerView>& servers,
                                    const sensor::SensorKey& key);

}  // namespace millrace::app
