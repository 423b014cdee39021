// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"
#include "conductor/schema.h"

namespace millrace::conductor {
namespace {

// `#name` stands for an entry of "definitions". The shapes are those of orquesta's
// specs/native/v1/models.py and specs/types.py (StackStorm/orquesta, Apache-2.0).
constexpr std::string_view kOrquesta = R"json({
  "definitions": {
    "#text": {"type": "string", "minLength": 1},
    "#count": {"type": "integer", "minimum": 0},
    "#amount": {"type": "number", "minimum": 0},
    "#text or count": {"oneOf": ["#text", "#count"]},
    "#texts": {"type": "array", "items": "#text", "uniqueItems": true, "minItems": 1},
    "#pair": {"type": "object", "minProperties": 1, "maxProperties": 1},
    "#pairs": {"type": "array", "items": "#pair", "uniqueItems": true, "minItems": 1},
    "#names or pairs": {
      "type": "array", "items": {"oneOf": ["#text", "#pair"]}, "uniqueItems": true, "minItems": 1
    },
    "#with": {
      "type": "object",
      "properties": {
        "items": {"type": "string", "minLength": 1, "pattern": "#items pattern"},
        "concurrency": "#text or count"
      },
      "additionalProperties": false
    },
    "#retry": {
      "type": "object",
      "properties": {"when": "#text", "count": "#text or count", "delay": "#text or count"},
      "required": ["count"],
      "additionalProperties": false
    },
    "#transition": {
      "type": "object",
      "properties": {
        "when": "#text",
        "publish": {"oneOf": ["#text", "#pairs"]},
        "do": {"oneOf": ["#text", "#texts"]}
      },
      "additionalProperties": false
    },
    "#task": {
      "type": "object",
      "properties": {
        "delay": "#text or count",
        "join": {"oneOf": [{"enum": ["all"]}, "#count"]},
        "with": "#with",
        "action": "#text",
        "input": {"oneOf": ["#text", {"type": "object", "minProperties": 1}]},
        "retry": "#retry",
        "next": {"type": "array", "items": "#transition"}
      },
      "additionalProperties": false
    }
  },
  "type": "object",
  "properties": {
    "name": "#text",
    "version": {"anyOf": ["#text", "#count", "#amount"], "enum": ["1.0", 1.0]},
    "description": "#text",
    "tags": "#texts",
    "language": {"enum": ["orquesta", "native"]},
    "vars": "#pairs",
    "input": "#names or pairs",
    "output": "#pairs",
    "tasks": {"type": "object", "minProperties": 1, "patternProperties": {"^\\w+$": "#task"}}
  },
  "required": ["tasks"],
  "additionalProperties": false
})json";

// What the native language has besides: laid over the schema of orquesta, map by map.
constexpr std::string_view kNative = R"json({
  "definitions": {
    "#text or amount": {"oneOf": ["#text", "#amount"]},
    "#with": {"properties": {"batch_size": "#text or count"}},
    "#retry": {
      "properties": {
        "delay": "#text or amount",
        "backoff": {"enum": ["constant", "linear", "exponential"]},
        "max_delay": "#text or amount",
        "jitter": {"type": "number", "minimum": 0, "maximum": 1}
      }
    },
    "#transition": {"properties": {"else": {"oneOf": [{"enum": [true]}, "#text", "#texts"]}}},
    "#task": {
      "properties": {
        "delay": "#text or amount",
        "join": {"oneOf": [{"enum": ["all", "settled"]}, "#count"]},
        "timeout": "#text or amount",
        "first": {"type": "boolean"},
        "wait_for": {"enum": ["inquiry"]},
        "on_failure": {"enum": ["hold"]},
        "compensate": "#text"
      }
    }
  },
  "properties": {
    "parameters": {"type": "object"},
    "output_map": {"type": "object"}
  }
})json";

void lay_over(Value& base, const Value& additions) {
  for (const auto& [key, value] : additions.as_map()) {
    const Value* present = base.find(key.as_string());
    Value merged = value;
    if (present && present->is_map() && value.is_map()) {
      merged = *present;
      lay_over(merged, value);
    }
    base.mutable_map().set(key, std::move(merged));
  }
}

// Replaces each "#name" by its definition.
Value resolved(const Value& schema, const Value& definitions) {
  if (schema.is_string()) {
    std::string_view name = schema.as_string();
    if (name == "#items pattern") return Value(kItemsPattern);
    if (!name.starts_with('#')) return schema;
    const Value* definition = definitions.find(name);
    ASSERT(definition);
    return resolved(*definition, definitions);
  }
  if (schema.is_list()) {
    Value out = Value::list();
    for (const Value& item : schema.as_list()) out.push_back(resolved(item, definitions));
    return out;
  }
  if (!schema.is_map()) return schema;
  Value out = Value::map();
  for (const auto& [key, value] : schema.as_map()) {
    if (key.as_string() == "definitions") continue;
    out.mutable_map().set(key, resolved(value, definitions));
  }
  return out;
}

Value parsed(std::string_view text) {
  auto value = parse_json(text);
  ASSERT(value.ok());
  return *value;
}

Value native() {
  Value schema = parsed(kOrquesta);
  lay_over(schema, parsed(kNative));
  return schema;
}

}  // namespace

const Value& orquesta_schema() {
  static const Value source = parsed(kOrquesta);
  static const Value schema = resolved(source, source["definitions"]);
  return schema;
}

const Value& native_schema() {
  static const Value source = native();
  static const Value schema = resolved(source, source["definitions"]);
  return schema;
}

}  // namespace millrace::conductor
