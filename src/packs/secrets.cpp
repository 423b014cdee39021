// SPDX-License-Identifier: Apache-2.0
#include "packs/secrets.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/json.h"

namespace millrace::packs {
namespace {

constexpr size_t kShortest = 4;
constexpr std::string_view kMask = "********";

bool is_short(const Value& value) {
  if (value.is_string()) return value.size() < kShortest;
  return value.is_number() && to_json(value).size() < kShortest;
}

}  // namespace

SecretScalars::SecretScalars(const Action& action, const Value& parameters,
                             const Value& secret_config) {
  gather("config", secret_config);
  for (const Parameter& parameter : action.parameters) {
    if (parameter.secret) gather(parameter.name, parameters[parameter.name]);
  }
}

void SecretScalars::gather(const std::string& parameter, const Value& value) {
  if (value.is_list()) {
    for (const Value& item : value.as_list()) gather(parameter, item);
  } else if (value.is_map()) {
    for (const auto& [key, item] : value.as_map()) gather(parameter, item);
  } else if (is_short(value)) {
    if (value.is_string() && value.size() == 0) return;
    if (unmasked_.find(parameter) != std::string::npos) return;
    unmasked_ += fmt::format("{}'{}'", unmasked_.empty() ? "" : ", ", parameter);
  } else if (value.is_string()) {
    texts_.emplace(value.as_string());
  } else if (value.is_number()) {
    numbers_.insert(to_json(value));
  }
}

bool SecretScalars::is_one(const Value& scalar) const {
  if (scalar.is_string()) return texts_.contains(scalar.as_string());
  return scalar.is_number() && !numbers_.empty() && numbers_.contains(to_json(scalar));
}

Value SecretScalars::hidden_in(const Value& data) const {
  if (empty()) return data;
  if (data.is_list()) {
    ValueList out;
    out.reserve(data.size());
    for (const Value& item : data.as_list()) out.push_back(hidden_in(item));
    return Value(std::move(out));
  }
  if (data.is_map()) {
    Value out = Value::map();
    for (const auto& entry : data.as_map()) out.set(entry.name(), hidden_in(entry.value));
    return out;
  }
  return is_one(data) ? Value(kMask) : data;
}

bool may_hold_secrets(const Action& action, std::string_view parameters_json) {
  return std::ranges::any_of(action.parameters, [&](const Parameter& p) {
    return p.secret && parameters_json.find(p.name) != std::string_view::npos;
  });
}

Value mask_secrets(const Value& parameters, const Action* action) {
  if (!parameters.is_map()) return parameters;
  Value masked = parameters;
  if (!action) {
    for (const auto& entry : parameters.as_map()) masked.set(entry.name(), kMask);
    return masked;
  }
  for (const auto& parameter : action->parameters) {
    if (parameter.secret && masked.find(parameter.name)) masked.set(parameter.name, kMask);
  }
  return masked;
}

std::string short_secret(const Parameter& parameter) {
  if (!parameter.secret) return {};
  const Value& schema = parameter.schema;
  if (schema.string_or("type", "") == "boolean") return "true or false";
  if (schema["maxLength"].is_int() && schema["maxLength"].as_int() < int64_t{kShortest}) {
    return fmt::format("at most {} characters", schema["maxLength"].as_int());
  }
  if (schema["enum"].is_list() && std::ranges::any_of(schema["enum"].as_list(), is_short)) {
    return "a value of 'enum'";
  }
  if (parameter.default_value && is_short(*parameter.default_value)) {
    const Value& value = *parameter.default_value;
    if (!value.is_string() || value.size() > 0) return "its default";
  }
  return {};
}

}  // namespace millrace::packs
