// SPDX-License-Identifier: Apache-2.0
#include "base/fields.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/json.h"
#include "base/text.h"

namespace millrace {
namespace {

using Kind = FieldType::Kind;

constexpr std::string_view kRedacted = "***";

template <typename T>
const T& as(const void* p) {
  return *static_cast<const T*>(p);
}

std::string_view enum_name(const FieldType& type, int64_t value) {
  for (const auto& entry : type.names()) {
    if (entry.value == value) return entry.name;
  }
  return "unknown";
}

// True for what is left out of an encoded struct.
bool is_absent(const FieldType& type, const void* p) {
  switch (type.kind) {
    case Kind::Optional: return type.size(p) == 0 || is_absent(*type.element, type.at(p, 0));
    case Kind::Id: return as<int64_t>(p) == 0;
    case Kind::Time: return as<Timestamp>(p).ms == 0;
    default: return false;
  }
}

// An unset secret stays visible as such: "" or null.
bool hides(const FieldType& type, const void* p) {
  switch (type.kind) {
    case Kind::String: return !as<std::string>(p).empty();
    case Kind::Secret: return !as<Secret>(p).empty();
    case Kind::Value: return !as<Value>(p).is_null();
    default: return true;
  }
}

// Writes a struct as JSON text. ValueSink below is its twin for Values.
class JsonSink {
 public:
  JsonSink(std::string& out, Secrets secrets) : out_(out), secrets_(secrets) {}

  void object(const Fields& fields, const void* p) {
    out_ += '{';
    bool first = true;
    for (const Field& line : fields.lines()) {
      const void* member = line.in(p);
      if (is_absent(*line.type, member)) continue;
      if (!first) out_ += ',';
      first = false;
      append_json_string(out_, line.name);
      out_ += ':';
      if (line.is_secret && secrets_ == Secrets::Redact && hides(*line.type, member)) {
        append_json_string(out_, kRedacted);
      } else {
        value(*line.type, member);
      }
    }
    out_ += '}';
  }

  void value(const FieldType& type, const void* p) {
    switch (type.kind) {
      case Kind::Bool: out_ += as<bool>(p) ? "true" : "false"; break;
      case Kind::Int: integer(type.load(p)); break;
      case Kind::Float: append_json(out_, Value(as<double>(p))); break;
      case Kind::String: append_json_string(out_, as<std::string>(p)); break;
      case Kind::Secret: secret(as<Secret>(p)); break;
      case Kind::Value: append_json(out_, as<Value>(p)); break;
      case Kind::Id:
        out_ += '"';
        integer(as<int64_t>(p));
        out_ += '"';
        break;
      case Kind::Time: append_json_string(out_, to_rfc3339(as<Timestamp>(p).ms)); break;
      case Kind::Enum: append_json_string(out_, enum_name(type, type.load(p))); break;
      case Kind::Optional:
        if (type.size(p) == 0) {
          out_ += "null";
        } else {
          value(*type.element, type.at(p, 0));
        }
        break;
      case Kind::List: list(type, p); break;
      case Kind::Object: object(type.fields(), p); break;
    }
  }

 private:
  void integer(int64_t n) {
    fmt::format_int text(n);
    out_.append(text.data(), text.size());
  }
  void secret(const Secret& s) {
    bool hidden = secrets_ == Secrets::Redact && !s.empty();
    append_json_string(out_, hidden ? kRedacted : std::string_view(s.reveal()));
  }
  void list(const FieldType& type, const void* p) {
    out_ += '[';
    size_t count = type.size(p);
    for (size_t i = 0; i < count; ++i) {
      if (i > 0) out_ += ',';
      value(*type.element, type.at(p, i));
    }
    out_ += ']';
  }

  std::string& out_;
  Secrets secrets_;
};

class ValueSink {
 public:
  explicit ValueSink(Secrets secrets) : secrets_(secrets) {}

  Value object(const Fields& fields, const void* p) const {
    Value map = Value::map();
    for (const Field& line : fields.lines()) {
      const void* member = line.in(p);
      if (is_absent(*line.type, member)) continue;
      bool hidden = line.is_secret && secrets_ == Secrets::Redact && hides(*line.type, member);
      map.set(line.name, hidden ? Value(kRedacted) : value(*line.type, member));
    }
    return map;
  }

  Value value(const FieldType& type, const void* p) const {
    switch (type.kind) {
      case Kind::Bool: return as<bool>(p);
      case Kind::Int: return type.load(p);
      case Kind::Float: return as<double>(p);
      case Kind::String: return as<std::string>(p);
      case Kind::Secret: {
        const auto& secret = as<Secret>(p);
        bool hidden = secrets_ == Secrets::Redact && !secret.empty();
        return hidden ? kRedacted : std::string_view(secret.reveal());
      }
      case Kind::Value: return as<Value>(p);
      case Kind::Id: return std::to_string(as<int64_t>(p));
      case Kind::Time: return to_rfc3339(as<Timestamp>(p).ms);
      case Kind::Enum: return enum_name(type, type.load(p));
      case Kind::Optional: return type.size(p) == 0 ? Value() : value(*type.element, type.at(p, 0));
      case Kind::List: {
        Value list = Value::list();
        for (size_t i = 0; i < type.size(p); ++i)
          list.push_back(value(*type.element, type.at(p, i)));
        return list;
      }
      case Kind::Object: return object(type.fields(), p);
    }
    return {};
  }

 private:
  Secrets secrets_;
};

std::string schema_ref(const Fields& fields) {
  return fmt::format("#/components/schemas/{}", fields.name());
}

Value limit(double number) {
  auto whole = static_cast<int64_t>(number);
  return static_cast<double>(whole) == number ? Value(whole) : Value(number);
}

Value type_schema(const Field& line, const FieldType& type) {
  auto number = [&](std::string_view name) {
    Value schema = Value::map({{"type", name}});
    if (line.min > -std::numeric_limits<double>::infinity()) schema.set("minimum", limit(line.min));
    if (line.max < std::numeric_limits<double>::infinity()) schema.set("maximum", limit(line.max));
    return schema;
  };
  auto sized = [&](Value schema, std::string_view low, std::string_view high) {
    if (line.min_length > 0) schema.set(low, static_cast<int64_t>(line.min_length));
    if (line.max_length < SIZE_MAX) schema.set(high, static_cast<int64_t>(line.max_length));
    return schema;
  };
  switch (type.kind) {
    case Kind::Bool: return Value::map({{"type", "boolean"}});
    case Kind::Int: return number("integer");
    case Kind::Float: return number("number");
    case Kind::String:
    case Kind::Secret: {
      bool in_list = line.type->kind == Kind::List;
      Value schema = Value::map({{"type", "string"}});
      return in_list ? schema : sized(schema, "minLength", "maxLength");
    }
    case Kind::Value:
      if (line.value_kind == Value::Kind::Map) return Value::map({{"type", "object"}});
      if (line.value_kind == Value::Kind::List) return Value::map({{"type", "array"}});
      return Value::map();
    case Kind::Id: return Value::map({{"type", "string"}, {"pattern", "^[1-9][0-9]{0,18}$"}});
    case Kind::Time: return Value::map({{"type", "string"}, {"format", "date-time"}});
    case Kind::Enum: {
      Value names = Value::list();
      for (const auto& entry : type.names()) names.push_back(entry.name);
      return Value::map({{"type", "string"}, {"enum", names}});
    }
    case Kind::Optional: return type_schema(line, *type.element);
    case Kind::List: {
      Value schema = Value::map({{"type", "array"}, {"items", type_schema(line, *type.element)}});
      return sized(schema, "minItems", "maxItems");
    }
    case Kind::Object: return Value::map({{"$ref", schema_ref(type.fields())}});
  }
  return {};
}

const FieldType& innermost(const FieldType& type) {
  return type.element == nullptr ? type : innermost(*type.element);
}

}  // namespace

const Field* Fields::find(std::string_view name) const {
  for (const Field& line : lines_) {
    if (line.name == name) return &line;
  }
  return nullptr;
}

std::string Fields::hint(std::string_view name) const {
  std::vector<std::string_view> names;
  for (const Field& line : lines_) names.push_back(line.name);
  return did_you_mean(name, names);
}

Value encode(const void* object, const Fields& fields, Secrets secrets) {
  return ValueSink(secrets).object(fields, object);
}

void append_encoded_json(std::string& out, const void* object, const Fields& fields,
                         Secrets secrets) {
  JsonSink(out, secrets).object(fields, object);
}

std::string field_text(const void* object, const Field& line) {
  const void* member = line.in(object);
  if (is_absent(*line.type, member)) return "";
  if (line.is_secret) return std::string(hides(*line.type, member) ? kRedacted : "");
  Value value = ValueSink(Secrets::Redact).value(*line.type, member);
  if (value.is_null()) return "";
  return value.is_string() ? std::string(value.as_string()) : to_json(value);
}

Value json_schema(const Fields& fields) {
  Value properties = Value::map();
  Value required = Value::list();
  for (const Field& line : fields.lines()) {
    Value schema = type_schema(line, *line.type);
    if (!line.doc.empty()) schema.set("description", line.doc);
    if (!line.unit_text.empty()) schema.set("x-unit", line.unit_text);
    if (line.is_secret) schema.set("writeOnly", true);
    if (line.is_required) {
      required.push_back(line.name);
    } else if (const void* member = line.in(fields.defaults());
               !line.is_secret && !is_absent(*line.type, member)) {
      Value value = ValueSink(Secrets::Redact).value(*line.type, member);
      if (!value.is_null() && line.type->kind != Kind::Object) schema.set("default", value);
    }
    properties.set(line.name, std::move(schema));
  }
  Value schema = Value::map({{"type", "object"}, {"description", fields.doc()}});
  schema.set("properties", std::move(properties));
  if (required.size() > 0) schema.set("required", std::move(required));
  schema.set("additionalProperties", false);
  return schema;
}

void add_schemas(Value& components, const Fields& fields) {
  if (components.find(fields.name()) != nullptr) return;
  components.set(fields.name(), json_schema(fields));
  for (const Field& line : fields.lines()) {
    const FieldType& type = innermost(*line.type);
    if (type.kind == Kind::Object) add_schemas(components, type.fields());
  }
}

std::vector<FieldType::EnumName> detail::collect_enum_names(EnumToString to_string) {
  std::vector<FieldType::EnumName> names;
  for (int64_t value = 0; value < 256; ++value) {
    std::string_view name = to_string(value);
    bool known = std::ranges::any_of(names, [&](const auto& other) { return other.name == name; });
    if (name != "unknown" && !known) names.push_back({value, name});
  }
  return names;
}

}  // namespace millrace
