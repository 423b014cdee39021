// SPDX-License-Identifier: Apache-2.0
#include "app/sensor_specs.h"

#include <fmt/format.h>

#include <algorithm>

#include "auth/token.h"
#include "base/json.h"

namespace millrace::app {
namespace {

std::string hash_of(std::string_view text) { return auth::token_hash(text).substr(0, 16); }

std::string instance_ref(const std::string& type, const Value& parameters) {
  if (parameters.size() == 0) return type;
  return fmt::format("{}.{}", type, hash_of(to_json(parameters)));
}

std::map<std::string, TriggerInstance> instances_of(const Sensor& sensor,
                                                    const engine::TenantCatalog& catalog) {
  std::map<std::string, TriggerInstance> found;
  auto is_own = [&](const std::string& type) {
    return std::ranges::find(sensor.triggers, type) != sensor.triggers.end();
  };
  for (const auto& type : sensor.triggers) {
    const Trigger* trigger = catalog.find_trigger(type);
    if (trigger && trigger->parameters.empty()) found[type] = {type, Value::map()};
  }
  for (const auto& [ref, rule] : catalog.rules()) {
    const RuleSpec& spec = rule->spec;
    if (!spec.enabled || !rule->compiled || !is_own(spec.trigger)) continue;
    Value parameters = spec.trigger_parameters.is_map() ? spec.trigger_parameters : Value::map();
    found[instance_ref(spec.trigger, parameters)] = {spec.trigger, parameters};
  }
  return found;
}

SensorSpec spec_of(TenantId tenant, const std::shared_ptr<const Pack>& pack, const Sensor& sensor,
                   const engine::TenantCatalog& catalog) {
  SensorSpec spec{.key = {tenant, sensor.ref},
                  .pack = pack,
                  .sensor = sensor,
                  .runtime = {},
                  .instances = instances_of(sensor, catalog)};
  if (sensor.runtime.empty()) return spec;
  const Runtime* runtime = catalog.find_runtime(sensor.runtime, *pack);
  if (runtime) spec.runtime = *runtime;
  return spec;
}

// Every tenant sees the system's packs; their sensors run once.
bool is_of_another(const engine::Catalog& catalogs, TenantId tenant, const Pack& pack) {
  if (tenant == kDefaultTenant) return false;
  return std::ranges::any_of(catalogs.system(),
                             [&](const auto& one) { return one->ref == pack.ref; });
}

}  // namespace

std::vector<TenantId> tenants_of(const engine::Catalog& catalogs) {
  auto tenants = catalogs.tenants();
  if (std::ranges::find(tenants, kDefaultTenant) == tenants.end()) {
    tenants.push_back(kDefaultTenant);
  }
  return tenants;
}

std::vector<SensorSpec> sensors_of(const engine::Catalog& catalogs, TenantId tenant) {
  std::vector<SensorSpec> specs;
  auto catalog = catalogs.shared(tenant);
  for (const auto& pack : catalog->packs()) {
    if (is_of_another(catalogs, tenant, *pack)) continue;
    for (const Sensor& sensor : pack->sensors) {
      specs.push_back(spec_of(tenant, pack, sensor, *catalog));
    }
  }
  std::ranges::sort(specs, {}, [](const SensorSpec& spec) { return spec.key.ref; });
  return specs;
}

std::optional<SensorSpec> find_sensor(const engine::Catalog& catalogs,
                                      const sensor::SensorKey& key) {
  auto catalog = catalogs.shared(key.tenant);
  for (const auto& pack : catalog->packs()) {
    if (is_of_another(catalogs, key.tenant, *pack)) continue;
    for (const Sensor& sensor : pack->sensors) {
      if (sensor.ref == key.ref) return spec_of(key.tenant, pack, sensor, *catalog);
    }
  }
  return std::nullopt;
}

Value trigger_object(const std::string& ref, const TriggerInstance& instance) {
  std::string pack = ref.substr(0, ref.find('.'));
  std::string name = ref.substr(std::min(pack.size() + 1, ref.size()));
  return Value::map({{"id", hash_of(ref)},
                     {"uid", fmt::format("trigger:{}:{}", pack, name)},
                     {"ref", ref},
                     {"name", name},
                     {"pack", pack},
                     {"type", instance.type},
                     {"parameters", instance.parameters},
                     {"description", ""}});
}

const engine::ServerView* runner_of(const std::vector<engine::ServerView>& servers,
                                    const sensor::SensorKey& key) {
  const engine::ServerView* best = nullptr;
  std::string best_hash;
  for (const auto& server : servers) {
    // Who decides has a shard of its own for the events.
    bool may = server.lives && !server.row.draining && server.row.has_role("sensor") &&
               server.row.has_role("executor");
    if (!may) continue;
    auto hash = hash_of(fmt::format("{} {} {}", server.row.name, key.tenant.value, key.ref));
    if (best && hash <= best_hash) continue;
    best = &server;
    best_hash = std::move(hash);
  }
  return best;
}

}  // namespace millrace::app
