// SPDX-License-Identifier: Apache-2.0
#include "engine/machine/pack_config.h"

#include <fmt/format.h>

#include "packs/config.h"

namespace millrace::engine {

kernel::KeyName config_key(TenantId tenant, std::string_view pack) {
  return {tenant, fmt::format("config:{}", pack), "values"};
}

kernel::KeyName sensor_switch(TenantId tenant, std::string_view sensor) {
  return {tenant, "sensors", std::string(sensor)};
}

bool is_configurable(const Pack& pack) {
  return pack.config_schema["properties"].size() > 0 ||
         pack.config_schema.find("patternProperties") || pack.config.size() > 0;
}

Result<Value> pack_config(const Pack& pack, const KeyLookup& keys, expr::Engine& engine) {
  if (!is_configurable(pack)) return pack.config;
  TRY(auto stored, keys.config_of(pack.ref));
  if (!stored) return packs::render_config(pack.config_schema, pack.config, keys, engine);
  auto config = packs::with_defaults(pack.config_schema, packs::merged(pack.config, *stored));
  return packs::render_config(pack.config_schema, config, keys, engine);
}

}  // namespace millrace::engine
