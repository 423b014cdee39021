// SPDX-License-Identifier: Apache-2.0
#include "packs/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <optional>

#include "base/json_schema.h"
#include "base/text.h"
#include "packs/parameters.h"

namespace millrace::packs {
namespace {

// The schemas that speak of one place.
using Schemas = std::vector<const Value*>;

// A schema and the parts that it is made of.
void add_parts(const Value& schema, Schemas& out) {
  if (!schema.is_map()) return;
  out.push_back(&schema);
  for (std::string_view keyword : {"allOf", "anyOf", "oneOf"}) {
    const Value& parts = schema[keyword];
    if (!parts.is_list()) continue;
    for (const Value& part : parts.as_list()) add_parts(part, out);
  }
}

Schemas member(const Schemas& schemas, std::string_view name) {
  Schemas out;
  for (const Value* schema : schemas) {
    for (const Value* found : member_schemas(*schema, name)) add_parts(*found, out);
  }
  return out;
}

Schemas item(const Schemas& schemas) {
  Schemas out;
  for (const Value* schema : schemas) add_parts((*schema)["items"], out);
  return out;
}

// A new value for each that is no map and no list, with whether it is secret, and for a whole
// secret map or list. Nothing: it is left out.
using Change = std::function<std::optional<Value>(const Value&, bool is_secret)>;

// `beside`: another configuration, at the same place.
std::optional<Value> changed(const Schemas& schemas, const Value& value, bool is_secret,
                             const Change& change) {
  auto says_secret = [](const Value* schema) { return schema->bool_or("secret", false); };
  is_secret = is_secret || std::ranges::any_of(schemas, says_secret);
  if (value.is_map()) {
    Value map = Value::map();
    for (const auto& entry : value.as_map()) {
      auto inside = changed(member(schemas, entry.name()), entry.value, is_secret, change);
      if (inside) map.set(entry.name(), std::move(*inside));
    }
    return map;
  }
  if (value.is_list()) {
    ValueList list;
    for (const Value& one : value.as_list()) {
      auto inside = changed(item(schemas), one, is_secret, change);
      if (inside) list.push_back(std::move(*inside));
    }
    return Value(std::move(list));
  }
  return change(value, is_secret);
}

Schemas whole(const Value& schema) {
  Schemas schemas;
  add_parts(schema, schemas);
  return schemas;
}

bool reads_key(const Value& value) {
  return value.is_string() && value.as_string().find("st2kv") != std::string_view::npos &&
         is_template(value);
}

// The default of an object that is not there is made of those of its parts.
Value filled(const Schemas& schemas, const Value* value) {
  if (value && value->is_list()) {
    ValueList list;
    auto inside = item(schemas);
    for (const Value& one : value->as_list()) list.push_back(filled(inside, &one));
    return Value(std::move(list));
  }
  if (value && !value->is_map() && !value->is_null()) return *value;
  for (const Value* schema : schemas) {
    const Value* standard = schema->find("default");
    if (!value && standard) return *standard;
  }
  if (value && value->is_null()) return *value;
  Value map = Value::map();
  if (value) {
    for (const auto& entry : value->as_map()) {
      map.set(entry.name(), filled(member(schemas, entry.name()), &entry.value));
    }
  }
  for (const Value* schema : schemas) {
    const Value& properties = (*schema)["properties"];
    if (!properties.is_map()) continue;
    for (const auto& property : properties.as_map()) {
      if (map.find(property.name())) continue;
      Value made = filled(member(schemas, property.name()), nullptr);
      if (!made.is_null()) map.set(property.name(), std::move(made));
    }
  }
  return value || map.size() > 0 ? map : Value();
}

// Keys that are to be read in clear.
class InClear final : public expr::Lookup {
 public:
  explicit InClear(const expr::Lookup& keys) : keys_(keys) {}
  expr::Answer kv(std::string_view key, bool) const override { return keys_.kv(key, true); }

 private:
  const expr::Lookup& keys_;
};

std::string dotted(std::string_view pointer) {
  std::string out;
  for (std::string_view token : split(pointer.substr(std::min<size_t>(1, pointer.size())), '/')) {
    if (!out.empty()) out += '.';
    out += token;
  }
  return out;
}

// As config_problems() and missing_config() share them.
std::vector<Problem> all_problems(const Value& schema, const Value& config) {
  if (!config.is_map()) return {{"", "expected a map"}};
  // Templates and what is hidden may come to anything.
  auto open = [](const Value& value, bool) -> std::optional<Value> {
    return reads_key(value) ? std::nullopt : std::optional(value);
  };
  return validate_json(schema, *changed(whole(schema), config, false, open), ShowValues::No);
}

bool has_at(const Value& config, std::string_view pointer) {
  const Value* at = &config;
  for (std::string_view token : split(pointer.substr(1), '/')) {
    at = at->is_map() ? at->find(token) : nullptr;
    if (!at) return false;
  }
  return true;
}

}  // namespace

Value merged(const Value& under, const Value& over) {
  if (!under.is_map() || !over.is_map()) return over;
  Value out = under;
  for (const auto& entry : over.as_map()) {
    const Value* below = under.find(entry.name());
    out.set(entry.name(), below ? merged(*below, entry.value) : entry.value);
  }
  return out;
}

Value with_defaults(const Value& schema, Value config) {
  if (!config.is_map()) config = Value::map();
  return filled(whole(schema), &config);
}

std::vector<Problem> config_problems(const Value& schema, const Value& config) {
  auto problems = all_problems(schema, config);
  std::erase_if(problems, [](const Problem& one) { return one.message == "is required"; });
  return problems;
}

std::vector<std::string> missing_config(const Value& schema, const Value& config) {
  std::vector<std::string> missing;
  for (const Problem& problem : all_problems(schema, config)) {
    // Left out above, it is a template.
    if (problem.message != "is required" || has_at(config, problem.path)) continue;
    missing.push_back(dotted(problem.path));
  }
  return missing;
}

std::vector<Problem> unknown_config(const Value& schema, const Value& config) {
  std::vector<Problem> unknown;
  if (!config.is_map() || !schema.is_map()) return unknown;
  std::vector<std::string_view> names;
  if (schema["properties"].is_map()) {
    for (const auto& entry : schema["properties"].as_map()) names.push_back(entry.name());
  }
  for (const auto& entry : config.as_map()) {
    if (!member(whole(schema), entry.name()).empty()) continue;
    unknown.push_back({json_pointer("", entry.name()),
                       fmt::format("the schema of the configuration has no '{}'{}", entry.name(),
                                   did_you_mean(entry.name(), names))});
  }
  return unknown;
}

Value secret_parts(const Value& schema, const Value& config) {
  auto only = [](const Value& value, bool is_secret) -> std::optional<Value> {
    return is_secret ? std::optional(value) : std::nullopt;
  };
  return *changed(whole(schema), config, false, only);
}

Value masked_config(const Value& schema, const Value& config) {
  auto mask = [](const Value& value, bool is_secret) -> std::optional<Value> {
    // A template says where the secret is, and is none.
    bool is_shown = !is_secret || value.is_null() || reads_key(value);
    return is_shown ? value : Value(kHiddenConfig);
  };
  return *changed(whole(schema), config, false, mask);
}

namespace {

Value unmasked(const Schemas& schemas, const Value& value, const Value& stored) {
  if (value == Value(kHiddenConfig) && !stored.is_null()) return stored;
  if (value.is_map()) {
    Value map = Value::map();
    for (const auto& entry : value.as_map()) {
      map.set(entry.name(),
              unmasked(member(schemas, entry.name()), entry.value, stored[entry.name()]));
    }
    return map;
  }
  if (value.is_list() && stored.is_list()) {
    ValueList list;
    for (size_t i = 0; i < value.size(); ++i) {
      const Value none;
      const Value& there = i < stored.size() ? stored.as_list()[i] : none;
      list.push_back(unmasked(item(schemas), value.as_list()[i], there));
    }
    return Value(std::move(list));
  }
  return value;
}

}  // namespace

Value unmasked_config(const Value& schema, const Value& config, const Value& stored) {
  return unmasked(whole(schema), config, stored);
}

bool reads_keys(const Value& config) {
  if (config.is_list()) return std::ranges::any_of(config.as_list(), reads_keys);
  if (!config.is_map()) return reads_key(config);
  return std::ranges::any_of(config.as_map(),
                             [](const auto& entry) { return reads_keys(entry.value); });
}

Result<Value> render_config(const Value& schema, const Value& config, const expr::Lookup& lookup,
                            expr::Engine& engine, expr::Allowance* allowance) {
  if (!reads_keys(config)) return config;
  InClear in_clear(lookup);
  std::optional<Error> needs;  // of all texts at once
  auto render = [&](const Value& value, bool is_secret) -> std::optional<Value> {
    if (!reads_key(value)) return value;
    expr::Scope scope;
    scope.names = Value::map();
    scope.lookup = is_secret ? static_cast<const expr::Lookup*>(&in_clear) : &lookup;
    scope.allowance = allowance;
    scope.mode = expr::Mode::Native;
    auto rendered = engine.evaluate(value.as_string(), scope);
    if (rendered.ok()) return *std::move(rendered);
    if (!expr::needed_key(rendered.error()).empty()) expr::add_needs(needs, rendered.error());
    return Value();
  };
  auto out = changed(whole(schema), config, false, render);
  if (needs) return std::move(*needs);
  return *std::move(out);
}

}  // namespace millrace::packs
