// SPDX-License-Identifier: Apache-2.0
#include "services/api/trigger_event.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/json_schema.h"
#include "base/problems.h"
#include "base/text.h"

namespace millrace::api {

Result<void> check_fired(const Trigger& trigger, const Value* payload, const Value& parameters) {
  std::vector<Problem> problems;
  if (payload && !trigger.payload_schema.is_null()) {
    for (Problem& problem : validate_json(trigger.payload_schema, *payload)) {
      problems.push_back({"/payload" + problem.path, std::move(problem.message)});
    }
  }
  if (!parameters.is_map() && !parameters.is_null()) {
    problems.push_back(
        {"/trigger_parameters", fmt::format("expected a map, found {}", parameters.type_name())});
  }
  if (parameters.is_map()) {
    std::vector<std::string_view> names;
    for (const auto& parameter : trigger.parameters) names.push_back(parameter.name);
    for (const auto& entry : parameters.as_map()) {
      auto at = json_pointer("/trigger_parameters", entry.name());
      auto declared = std::ranges::find(trigger.parameters, entry.name(), &Parameter::name);
      if (declared == trigger.parameters.end()) {
        problems.push_back({at, fmt::format("{} has no parameter '{}'{}", trigger.ref, entry.name(),
                                            did_you_mean(entry.name(), names))});
      } else if (!entry.value.is_null()) {
        for (Problem& problem : validate_json(declared->schema, entry.value)) {
          problems.push_back({at + problem.path, std::move(problem.message)});
        }
      }
      if (problems.size() >= kMostProblems) break;
    }
  }
  if (problems.empty()) return {};
  return Error(ErrorKind::Invalid, "EVT-0004",
               fmt::format("{} cannot have fired this: {} {}", trigger.ref, problems.front().path,
                           problems.front().message))
      .with_problems(std::move(problems));
}

Result<void> check_trigger_is_known(const engine::TenantCatalog& catalog, std::string_view ref) {
  if (catalog.find_trigger(ref)) return {};
  return Error(ErrorKind::NotFound, "EVT-0001",
               fmt::format("unknown trigger '{}'{}", ref, catalog.suggest_trigger(ref)));
}

}  // namespace millrace::api
