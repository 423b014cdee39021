// SPDX-License-Identifier: Apache-2.0
#include "packs/parameters_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "base/json_schema.h"
#include "base/regex_cost.h"
#include "base/text.h"
#include "model/casts.h"
#include "packs/parameters.h"
#include "packs/secrets.h"

namespace millrace::packs {
namespace {

// Keys of a parameter that are no JSON Schema. `default` and `description` are, but stand apart in
// Parameter; `key_ref` is Attune's.
constexpr std::array kOwnKeys = {std::string_view("required"),  std::string_view("secret"),
                                 std::string_view("immutable"), std::string_view("position"),
                                 std::string_view("default"),   std::string_view("description"),
                                 std::string_view("key_ref")};

bool is_own_key(std::string_view key) { return std::ranges::find(kOwnKeys, key) != kOwnKeys.end(); }

// One JSON Schema of an object, rather than a map of names, of which one may be `type` or
// `properties`: what a schema holds there is a map of schemas, and nothing but keywords is beside.
bool is_one_schema(const YamlNode& node) {
  if (node.value["type"].is_string() || node.value["$schema"].is_string()) return true;
  const Value& properties = node.value["properties"];
  if (!properties.is_map()) return false;
  auto is_schema = [](const auto& entry) { return entry.value.is_map() || entry.value.is_null(); };
  constexpr std::array kBeside = {"properties",        "required",    "additionalProperties",
                                  "patternProperties", "description", "title"};
  auto is_keyword = [&](const auto& entry) {
    return std::ranges::find(kBeside, entry.name()) != kBeside.end();
  };
  return std::ranges::all_of(properties.as_map(), is_schema) &&
         std::ranges::all_of(node.value.as_map(), is_keyword);
}

// Writes out what `$ref: "#/..."` stands for, as the schema's own file has it: StackStorm reads a
// map of names as the `properties` of one schema. What cannot be found stays, and is told later.
class References {
 public:
  explicit References(const Value& file) : root_(Value::map({{"properties", file}})), file_(file) {}

  Value written_out(const Value& schema, int depth = 0, bool is_meant = false) {
    if (depth > kDeepest || ++nodes_ > kMostNodes) {
      return is_meant && schema.is_map() ? Value::map()
                                         : schema;  // one that names itself: anything
    }
    if (schema.is_list()) {
      ValueList list;
      for (const Value& item : schema.as_list())
        list.push_back(written_out(item, depth + 1, is_meant));
      return Value(std::move(list));
    }
    if (!schema.is_map()) return schema;
    const Value& reference = schema["$ref"];
    if (reference.is_string()) {
      if (const Value* found = find(reference.as_string()))
        return written_out(*found, depth + 1, true);
    }
    Value map = Value::map();
    for (const auto& entry : schema.as_map()) {
      map.set(entry.name(), written_out(entry.value, depth + 1, is_meant));
    }
    return map;
  }

 private:
  static constexpr int kDeepest = 32;
  static constexpr int kMostNodes = 10'000;

  const Value* find(std::string_view pointer) const {
    if (!pointer.starts_with("#/")) return nullptr;
    for (const Value* at : {&root_, &file_}) {
      for (std::string_view token : split(pointer.substr(2), '/')) {
        at = at && at->is_map() ? at->find(token) : nullptr;
      }
      if (at) return at;
    }
    return nullptr;
  }

  Value root_;
  const Value& file_;
  int nodes_ = 0;
};

bool is_name(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-';
  });
}

class ParameterReader {
 public:
  ParameterReader(Section& owner, const Value& file, expr::Engine& engine)
      : owner_(owner), references_(file), engine_(engine) {}

  Parameter read(const YamlNode& node) {
    Parameter out{.name = node.key};
    label_ = fmt::format("parameter '{}'", node.key);
    if (!is_name(node.key)) error(node, "expected a name of letters, digits, '_' and '-'");
    out.schema = Value::map();
    if (node.value.is_null()) return out;
    if (!node.value.is_map()) {
      error(node, fmt::format("expected a map, found {}", node.value.type_name()));
      return out;
    }
    for (const auto& [key, value] : node.value.as_map()) {
      if (!is_own_key(key.as_string())) out.schema.mutable_map().set(key, value);
    }
    out.schema = references_.written_out(out.schema);
    std::vector<Problem> unknown;
    owner_.errors(
        node,
        check_json_schema(out.schema, {kOwnKeys.begin(), kOwnKeys.end()}, &regex_steps_, &unknown),
        label_);
    owner_.warnings(node, unknown, label_);
    out.required = flag(node, "required");
    out.secret = flag(node, "secret");
    out.immutable = flag(node, "immutable");
    if (const YamlNode* text = node.find("description")) out.description = text->text;
    if (const YamlNode* key_ref = node.find("key_ref")) {
      owner_.warning(key_ref->line, label_ + ": 'key_ref' is not supported yet and has no effect");
    }
    read_position(node, out);
    read_default(node, out);
    if (auto what = short_secret(out); !what.empty()) {
      owner_.warning(node.line, fmt::format("{}: it is secret, and {} has fewer than 4 bytes: such "
                                            "a value is not masked in output",
                                            label_, what));
    }
    return out;
  }

 private:
  void error(const YamlNode& at, std::string_view message) {
    owner_.error(at, fmt::format("{}: {}", label_, message));
  }

  bool flag(const YamlNode& node, std::string_view key) {
    const YamlNode* found = node.find(key);
    if (!found || found->value.is_null()) return false;
    if (found->value.is_bool()) return found->value.as_bool();
    // A list of names is the `required` of an object schema, of which this is a part.
    if (key == "required" && found->value.is_list()) return false;
    error(*found, fmt::format("'{}': expected true or false, found '{}'", key, found->text));
    return false;
  }

  void read_position(const YamlNode& node, Parameter& out) {
    const YamlNode* found = node.find("position");
    if (!found || found->value.is_null()) return;
    constexpr int64_t kLast = 1000;
    bool is_position =
        found->value.is_int() && found->value.as_int() >= 0 && found->value.as_int() <= kLast;
    if (!is_position) {
      return error(*found,
                   fmt::format("'position': expected a number from 0, found '{}'", found->text));
    }
    out.position = static_cast<int>(found->value.as_int());
    auto [other, is_new] = positions_.try_emplace(*out.position, node.key);
    if (is_new) return;
    error(*found, fmt::format("the position {} is that of '{}' too", *out.position, other->second));
  }

  void read_default(const YamlNode& node, Parameter& out) {
    const YamlNode* found = node.find("default");
    if (!found || found->value.is_null()) return;
    out.default_value = found->value;
    if (is_template(found->value)) {
      auto compiled = engine_.compile(found->value.as_string(), expr::Mode::Native);
      if (!compiled) {
        owner_.warning(found->line,
                       fmt::format("{}: 'default': {}", label_, compiled.error().message()));
      }
      return;
    }
    // It costs the calls that rely on it.
    auto show = out.secret ? ShowValues::No : ShowValues::Yes;
    Value value = cast_value(out.schema, found->value);
    owner_.warnings(*found, validate_json(out.schema, value, show), label_ + ": 'default'");
  }

  Section& owner_;
  References references_;
  uint64_t regex_steps_ = kRegexStepsOfDocument;  // of all parameters together
  expr::Engine& engine_;
  std::string label_;
  std::map<int, std::string> positions_;
};

}  // namespace

std::vector<Parameter> read_parameters(Section& owner, const YamlNode* at, expr::Engine& engine) {
  std::vector<Parameter> out;
  if (!at) return out;
  if (!at->value.is_map()) {
    owner.error(*at, fmt::format("'{}': expected a map of parameters, found {}", at->key,
                                 at->value.type_name()));
    return out;
  }
  ParameterReader reader(owner, at->value, engine);
  if (!is_one_schema(*at)) {
    for (const YamlNode& entry : at->children) out.push_back(reader.read(entry));
    return out;
  }
  if (at->value.string_or("type", "object") != "object") {
    owner.error(*at, fmt::format("'{}': expected a schema of an object", at->key));
  }
  const YamlNode* properties = at->find("properties");
  if (properties && properties->value.is_map()) {
    for (const YamlNode& entry : properties->children) out.push_back(reader.read(entry));
  }
  const YamlNode* required = at->find("required");
  if (!required || !required->value.is_list()) return out;
  std::vector<std::string_view> names;
  std::map<std::string_view, Parameter*> by_name;
  for (Parameter& parameter : out) {
    names.push_back(parameter.name);
    by_name.emplace(parameter.name, &parameter);
  }
  for (const YamlNode& name : required->children) {
    if (auto parameter = by_name.find(name.text); parameter != by_name.end()) {
      parameter->second->required = true;
    } else {
      owner.error(name, fmt::format("'required': there is no parameter '{}'{}", name.text,
                                    did_you_mean(name.text, names)));
    }
  }
  return out;
}

namespace {

bool is_of_no_value(std::string_view key) {
  return key.starts_with('$') || key == "definitions" || key == "id";
}

}  // namespace

Value config_schema_of(Section& owner, const YamlNode& file, expr::Engine& engine) {
  bool is_whole = is_one_schema(file);
  auto named = file;
  if (!is_whole) {
    std::erase_if(named.children, [](const YamlNode& entry) { return is_of_no_value(entry.key); });
  }
  Value schema = schema_of(read_parameters(owner, &named, engine));
  if (!is_whole) return schema;
  References references(file.value);
  Value others = Value::map();
  for (const auto& entry : file.value.as_map()) {
    bool is_read = schema.find(entry.name()) || is_of_no_value(entry.name());
    if (!is_read) others.set(entry.name(), references.written_out(entry.value));
  }
  std::vector<Problem> unknown;
  owner.errors(file, check_json_schema(others, {"secret"}, nullptr, &unknown), "schema");
  owner.warnings(file, unknown, "schema");
  for (const auto& entry : others.as_map()) schema.set(entry.name(), entry.value);
  return schema;
}

Value read_object_schema(Section& owner, const YamlNode* at) {
  if (!at) return Value();
  if (!at->value.is_map()) {
    owner.error(*at, fmt::format("'{}': expected a schema (a map), found {}", at->key,
                                 at->value.type_name()));
    return Value();
  }
  Value schema = at->value;
  if (is_one_schema(*at) || schema.size() == 0) {
    std::vector<Problem> unknown;
    owner.errors(*at, check_json_schema(schema, {"secret"}, nullptr, &unknown), at->key);
    owner.warnings(*at, unknown, at->key);
    return schema;
  }
  uint64_t regex_steps = kRegexStepsOfDocument;
  for (const YamlNode& entry : at->children) {
    if (entry.value.is_null()) continue;
    std::vector<Problem> unknown;
    auto label = fmt::format("'{}': '{}'", at->key, entry.key);
    owner.errors(entry, check_json_schema(entry.value, {"secret"}, &regex_steps, &unknown), label);
    owner.warnings(entry, unknown, label);
  }
  return Value::map({{"type", "object"}, {"properties", std::move(schema)}});
}

Value schema_of(const std::vector<Parameter>& parameters) {
  Value properties = Value::map();
  Value required = Value::list();
  for (const Parameter& parameter : parameters) {
    Value schema = parameter.schema.is_map() ? parameter.schema : Value::map();
    if (!parameter.description.empty()) schema.set("description", parameter.description);
    if (parameter.default_value) schema.set("default", *parameter.default_value);
    if (parameter.secret) schema.set("secret", true);
    properties.set(parameter.name, std::move(schema));
    if (parameter.required) required.push_back(parameter.name);
  }
  Value out = Value::map({{"type", "object"}, {"properties", std::move(properties)}});
  if (required.size() > 0) out.set("required", std::move(required));
  return out;
}

}  // namespace millrace::packs
