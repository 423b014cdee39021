// SPDX-License-Identifier: Apache-2.0
#include "engine/transitions/run_env.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/excerpt.h"
#include "base/json.h"
#include "model/env_names.h"
#include "packs/parameters.h"
#include "packs/process_texts.h"

namespace millrace::engine {
namespace {

Error env_refused(std::string_view where, std::string_view name, std::string_view why) {
  return Error(ErrorKind::Invalid, "EXE-0009",
               fmt::format("{}.{}: this variable may not be set: {}", where, name, why));
}

const Parameter* env_parameter(const Action& action) {
  auto at = std::ranges::find_if(action.parameters,
                                 [](const Parameter& p) { return p.of_runner && p.name == "env"; });
  return at == action.parameters.end() ? nullptr : &*at;
}

bool is_of_the_file(const Parameter& parameter, const ValueMap::Entry& entry) {
  const Value* own =
      parameter.default_value ? parameter.default_value->find(entry.name()) : nullptr;
  return own && *own == entry.value && !own->is_map() && !own->is_list() &&
         !packs::is_template(*own);
}

std::string text_of(const Value& scalar) {
  if (scalar.is_string()) return std::string(scalar.as_string());
  if (scalar.is_bool()) return scalar.as_bool() ? "1" : "0";
  return scalar.is_null() ? std::string() : to_json(scalar);
}

}  // namespace

Result<void> check_env(const Value& env, const std::vector<std::string>& allowed) {
  if (env.is_null()) return {};
  for (const auto& entry : env.as_map()) {
    std::string fault = entry.value.is_string()
                            ? packs::env_fault(entry.name(), entry.value.as_string())
                            : fmt::format("{}: expected a string, found {}",
                                          json_excerpt(entry.name(), 64), entry.value.type_name());
    if (!fault.empty()) return Error(ErrorKind::Invalid, "EXE-0009", "env: " + fault);
    auto why = why_env_is_refused(entry.name(), allowed);
    if (!why.empty()) return env_refused("env", entry.name(), why);
  }
  return {};
}

Result<void> check_env_parameter(const Action& action, const Value& parameters,
                                 const std::vector<std::string>& allowed) {
  const Parameter* parameter = env_parameter(action);
  const Value& env = parameters["env"];
  if (!parameter || !env.is_map()) return {};
  for (const auto& entry : env.as_map()) {
    auto why = why_env_is_refused(entry.name(), allowed);
    if (why.empty() || is_of_the_file(*parameter, entry)) continue;
    return env_refused("parameters.env", entry.name(), why);
  }
  return {};
}

void give_own_env(const Action& action, kernel::WorkOrder& order) {
  const Parameter* parameter = env_parameter(action);
  if (!parameter || !order.parameters["env"].is_map()) return;
  Value given = Value::map();
  for (const auto& entry : order.parameters["env"].as_map()) {
    bool is_own =
        is_of_the_file(*parameter, entry) && !why_env_is_refused(entry.name(), {}).empty();
    if (is_own) {
      order.runtime.env.push_back({std::string(entry.name()), text_of(entry.value)});
    } else {
      given.set(entry.name(), entry.value);
    }
  }
  order.parameters.set("env", std::move(given));
}

}  // namespace millrace::engine
