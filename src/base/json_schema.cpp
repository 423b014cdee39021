// SPDX-License-Identifier: Apache-2.0
#include "base/json_schema.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <array>

#include "base/json.h"
#include "base/problems.h"
#include "base/regex_cost.h"
#include "base/text.h"

namespace millrace {
namespace {

constexpr std::array kTypes = {std::string_view("string"), std::string_view("integer"),
                               std::string_view("number"), std::string_view("boolean"),
                               std::string_view("array"),  std::string_view("object"),
                               std::string_view("null")};

// What the value of a keyword must be.
enum class Shape : uint8_t {
  Type,
  List,
  Anything,
  Number,
  Step,
  Count,
  Pattern,
  Items,
  Flag,
  Schemas,
  SchemaMap,
  PatternMap,  // its keys are patterns
  SchemaOrFlag,
  Dependencies,  // by name: further names, or a schema
  Required,
  Schema,
  Annotation,
  Refused
};
struct Keyword {
  std::string_view name;
  Shape shape;
};
constexpr Keyword kKeywords[] = {
    {"type", Shape::Type},
    {"enum", Shape::List},
    {"const", Shape::Anything},
    {"minimum", Shape::Number},
    {"maximum", Shape::Number},
    {"exclusiveMinimum", Shape::Number},
    {"exclusiveMaximum", Shape::Number},
    {"multipleOf", Shape::Step},
    {"minLength", Shape::Count},
    {"maxLength", Shape::Count},
    {"pattern", Shape::Pattern},
    {"items", Shape::Items},
    {"minItems", Shape::Count},
    {"maxItems", Shape::Count},
    {"uniqueItems", Shape::Flag},
    {"properties", Shape::SchemaMap},
    {"patternProperties", Shape::PatternMap},
    {"additionalProperties", Shape::SchemaOrFlag},
    {"required", Shape::Required},
    {"minProperties", Shape::Count},
    {"maxProperties", Shape::Count},
    {"allOf", Shape::Schemas},
    {"anyOf", Shape::Schemas},
    {"oneOf", Shape::Schemas},
    {"not", Shape::Schema},
    {"if", Shape::Schema},
    {"then", Shape::Schema},
    {"else", Shape::Schema},
    {"prefixItems", Shape::Schemas},
    {"additionalItems", Shape::SchemaOrFlag},
    {"contains", Shape::Schema},
    {"propertyNames", Shape::Schema},
    {"dependencies", Shape::Dependencies},
    {"dependentRequired", Shape::Dependencies},
    {"dependentSchemas", Shape::SchemaMap},
    {"format", Shape::Annotation},
    {"title", Shape::Annotation},
    {"description", Shape::Annotation},
    {"default", Shape::Annotation},
    {"examples", Shape::Annotation},
    {"$schema", Shape::Annotation},
    {"$comment", Shape::Annotation},
    {"$id", Shape::Annotation},
    {"id", Shape::Annotation},
    {"$anchor", Shape::Annotation},
    {"$defs", Shape::Annotation},  // what is used of them is written out
    {"definitions", Shape::Annotation},
    {"readOnly", Shape::Annotation},
    {"writeOnly", Shape::Annotation},
    {"deprecated", Shape::Annotation},
    {"contentEncoding", Shape::Annotation},
    {"contentMediaType", Shape::Annotation},
    {"$ref", Shape::Refused},
};

class SchemaChecker {
 public:
  SchemaChecker(std::vector<std::string_view> annotations, uint64_t& regex_steps,
                bool unknown_apart)
      : annotations_(std::move(annotations)),
        regex_steps_left_(regex_steps),
        unknown_apart_(unknown_apart) {}

  std::vector<Problem> take() { return std::move(problems_).take(); }
  std::vector<Problem> take_unknown() { return std::move(unknown_).take(); }

  void check(const Value& schema, const std::string& at) {
    if (schema.is_bool() || problems_.full()) return;
    if (!schema.is_map()) return expected("a schema (a map)", schema, at);
    for (const auto& [key, value] : schema.as_map()) check_keyword(key.as_string(), value, at);
    check_order(schema, "minimum", "maximum", at);
    check_order(schema, "minLength", "maxLength", at);
    check_order(schema, "minItems", "maxItems", at);
  }

 private:
  void add(const std::string& at, std::string message) { problems_.add(at, std::move(message)); }
  void expected(std::string_view what, const Value& found, const std::string& at) {
    if (problems_.full()) return;
    add(at, fmt::format("expected {}, found {}", what,
                        found.is_list() || found.is_map() ? found.type_name() : to_json(found)));
  }

  void check_keyword(std::string_view name, const Value& value, const std::string& schema_at) {
    auto at = json_pointer(schema_at, name);
    if (problems_.full() || std::ranges::find(annotations_, name) != annotations_.end()) return;
    auto keyword = std::ranges::find(kKeywords, name, &Keyword::name);
    if (keyword == std::end(kKeywords)) {
      auto names = annotations_;
      for (const Keyword& k : kKeywords) names.push_back(k.name);
      auto& to = unknown_apart_ ? unknown_ : problems_;
      return to.add(at, fmt::format("unknown keyword '{}'{}", name, did_you_mean(name, names)));
    }
    check_shape(keyword->shape, value, at);
  }

  void check_shape(Shape shape, const Value& value, const std::string& at) {
    switch (shape) {
      case Shape::Type: return check_type(value, at);
      case Shape::List:
        if (!value.is_list()) expected("a list", value, at);
        return;
      case Shape::Number:
        // Draft 4 writes `exclusiveMinimum: true` beside `minimum`.
        if (!value.is_number() && !value.is_bool()) expected("a number", value, at);
        return;
      case Shape::Step:
        // Of 0 everything would be a multiple, or nothing.
        if (!value.is_number() || value.as_float() == 0) {
          expected("a number other than 0", value, at);
        }
        return;
      case Shape::Count:
        if (!value.is_int() || value.as_int() < 0) expected("a whole number from 0", value, at);
        return;
      case Shape::Flag:
        if (!value.is_bool()) expected("true or false", value, at);
        return;
      case Shape::Pattern: return check_pattern(value, at);
      case Shape::Items: return value.is_list() ? check_all(value, at) : check(value, at);
      case Shape::Schemas:
        return value.is_list() ? check_all(value, at) : expected("a list of schemas", value, at);
      case Shape::SchemaMap: return check_map(value, at);
      case Shape::PatternMap: return check_pattern_map(value, at);
      case Shape::SchemaOrFlag:
      case Shape::Schema: return check(value, at);
      case Shape::Dependencies: return check_dependencies(value, at);
      case Shape::Required: return check_required(value, at);
      case Shape::Refused: return add(at, "is not supported: write the schema out");
      case Shape::Anything:
      case Shape::Annotation: return;
    }
  }

  void check_type(const Value& value, const std::string& at) {
    if (problems_.full()) return;
    if (value.is_list()) {
      for (size_t i = 0; i < value.size(); ++i) check_type(value.as_list()[i], json_pointer(at, i));
      return;
    }
    std::string_view name = value.is_string() ? value.as_string() : std::string_view();
    if (std::ranges::find(kTypes, name) != kTypes.end()) return;
    add(at, fmt::format("expected a type ({}), found {}{}", fmt::join(kTypes, ", "), to_json(value),
                        did_you_mean(name, kTypes)));
  }

  void check_pattern(const Value& value, const std::string& at) {
    if (!value.is_string()) return expected("a regular expression", value, at);
    auto demand = regex_demand(value.as_string(), false, value.size());
    if (!demand.refusal.empty()) return add(at, std::move(demand.refusal));
    if (demand.steps > regex_steps_left_) {
      return add(at, fmt::format("the patterns of the schemas take more than {} steps to "
                                 "compile together",
                                 kRegexStepsOfDocument));
    }
    regex_steps_left_ -= demand.steps;
    auto compiled = user_regex(value.as_string());
    if (!compiled->ok()) add(at, fmt::format("bad regular expression: {}", compiled->error()));
  }

  void check_all(const Value& list, const std::string& at) {
    for (size_t i = 0; i < list.size(); ++i) check(list.as_list()[i], json_pointer(at, i));
  }
  void check_map(const Value& map, const std::string& at) {
    if (!map.is_map()) return expected("a map of schemas", map, at);
    for (const auto& [key, value] : map.as_map()) check(value, json_pointer(at, key.as_string()));
  }
  void check_pattern_map(const Value& map, const std::string& at) {
    check_map(map, at);
    if (!map.is_map()) return;
    for (const auto& [key, value] : map.as_map()) {
      if (problems_.full()) return;
      check_pattern(key, json_pointer(at, key.as_string()));
    }
  }
  void check_dependencies(const Value& map, const std::string& at) {
    if (!map.is_map()) return expected("a map", map, at);
    for (const auto& [key, value] : map.as_map()) {
      auto inside = json_pointer(at, key.as_string());
      value.is_list() ? check_required(value, inside) : check(value, inside);
    }
  }
  void check_required(const Value& value, const std::string& at) {
    if (value.is_bool()) return;
    bool all_names = value.is_list() && std::ranges::all_of(value.as_list(), &Value::is_string);
    if (!all_names) expected("a list of names, or true or false", value, at);
  }
  void check_order(const Value& schema, std::string_view low, std::string_view high,
                   const std::string& at) {
    const Value &min = schema[low], &max = schema[high];
    if (!min.is_number() || !max.is_number() || min.as_float() <= max.as_float()) return;
    add(json_pointer(at, low), fmt::format("{} is greater than {}", low, high));
  }

  std::vector<std::string_view> annotations_;
  uint64_t& regex_steps_left_;
  Problems problems_;
  Problems unknown_;
  bool unknown_apart_;
};

}  // namespace

std::vector<Problem> check_json_schema(const Value& schema,
                                       std::vector<std::string_view> annotations,
                                       uint64_t* regex_steps, std::vector<Problem>* unknown) {
  uint64_t own = kRegexStepsOfDocument;
  SchemaChecker checker(std::move(annotations), regex_steps ? *regex_steps : own, unknown);
  checker.check(schema, {});
  if (unknown) *unknown = checker.take_unknown();
  return checker.take();
}

std::string json_pointer(std::string_view pointer, std::string_view token) {
  std::string out(pointer);
  out += '/';
  for (char c : token) {
    if (c == '~') {
      out += "~0";
    } else if (c == '/') {
      out += "~1";
    } else {
      out += c;
    }
  }
  return out;
}

std::string json_pointer(std::string_view pointer, size_t index) {
  return json_pointer(pointer, std::to_string(index));
}

}  // namespace millrace
