// SPDX-License-Identifier: Apache-2.0
#include "base/json_schema.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <optional>

#include "base/json.h"
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
  Count,
  Pattern,
  Items,
  Flag,
  Schemas,
  SchemaMap,
  SchemaOrFlag,
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
    {"multipleOf", Shape::Number},
    {"minLength", Shape::Count},
    {"maxLength", Shape::Count},
    {"pattern", Shape::Pattern},
    {"items", Shape::Items},
    {"minItems", Shape::Count},
    {"maxItems", Shape::Count},
    {"uniqueItems", Shape::Flag},
    {"properties", Shape::SchemaMap},
    {"patternProperties", Shape::SchemaMap},
    {"additionalProperties", Shape::SchemaOrFlag},
    {"required", Shape::Required},
    {"minProperties", Shape::Count},
    {"maxProperties", Shape::Count},
    {"allOf", Shape::Schemas},
    {"anyOf", Shape::Schemas},
    {"oneOf", Shape::Schemas},
    {"not", Shape::Schema},
    {"format", Shape::Annotation},
    {"title", Shape::Annotation},
    {"description", Shape::Annotation},
    {"default", Shape::Annotation},
    {"examples", Shape::Annotation},
    {"$schema", Shape::Annotation},
    {"$comment", Shape::Annotation},
    {"$ref", Shape::Refused},
};

std::unique_ptr<RE2> regex(std::string_view pattern) {
  RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(1 << 20);
  return std::make_unique<RE2>(re2::StringPiece(pattern.data(), pattern.size()), options);
}

bool has_type(const Value& value, std::string_view type) {
  if (type == "number") return value.is_number();
  if (type == "integer" && value.is_float()) {
    return std::trunc(value.as_float()) == value.as_float();
  }
  return value.type_name() == type;
}

size_t characters(std::string_view utf8) {
  return static_cast<size_t>(
      std::ranges::count_if(utf8, [](char c) { return (c & 0xC0) != 0x80; }));
}

class SchemaChecker {
 public:
  explicit SchemaChecker(std::vector<std::string_view> annotations)
      : annotations_(std::move(annotations)) {}

  std::vector<Problem> problems;

  void check(const Value& schema, const std::string& at) {
    if (schema.is_bool()) return;
    if (!schema.is_map()) return expected("a schema (a map)", schema, at);
    for (const auto& [key, value] : schema.as_map()) check_keyword(key.as_string(), value, at);
    check_order(schema, "minimum", "maximum", at);
    check_order(schema, "minLength", "maxLength", at);
    check_order(schema, "minItems", "maxItems", at);
  }

 private:
  void add(const std::string& at, std::string message) {
    problems.push_back({at, std::move(message)});
  }
  void expected(std::string_view what, const Value& found, const std::string& at) {
    add(at, fmt::format("expected {}, found {}", what,
                        found.is_list() || found.is_map() ? found.type_name() : to_json(found)));
  }

  void check_keyword(std::string_view name, const Value& value, const std::string& schema_at) {
    auto at = json_pointer(schema_at, name);
    if (std::ranges::find(annotations_, name) != annotations_.end()) return;
    auto keyword = std::ranges::find(kKeywords, name, &Keyword::name);
    if (keyword == std::end(kKeywords)) {
      auto names = annotations_;
      for (const Keyword& k : kKeywords) names.push_back(k.name);
      return add(at, fmt::format("unknown keyword '{}'{}", name, did_you_mean(name, names)));
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
      case Shape::SchemaOrFlag:
      case Shape::Schema: return check(value, at);
      case Shape::Required: return check_required(value, at);
      case Shape::Refused: return add(at, "is not supported: write the schema out");
      case Shape::Anything:
      case Shape::Annotation: return;
    }
  }

  void check_type(const Value& value, const std::string& at) {
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
    auto compiled = regex(value.as_string());
    if (!compiled->ok()) add(at, fmt::format("bad regular expression: {}", compiled->error()));
  }

  void check_all(const Value& list, const std::string& at) {
    for (size_t i = 0; i < list.size(); ++i) check(list.as_list()[i], json_pointer(at, i));
  }
  void check_map(const Value& map, const std::string& at) {
    if (!map.is_map()) return expected("a map of schemas", map, at);
    for (const auto& [key, value] : map.as_map()) check(value, json_pointer(at, key.as_string()));
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
};

class Validator {
 public:
  explicit Validator(ShowValues show) : show_(show) {}

  std::vector<Problem> problems;

  void validate(const Value& schema, const Value& value, const std::string& at) {
    if (schema.is_bool() && !schema.as_bool()) return add(at, "is not allowed here");
    if (!schema.is_map() || !check_type(schema, value, at)) return;
    check_alternatives(schema, value, at);
    check_choice(schema, value, at);
    if (value.is_number()) check_number(schema, value, at);
    if (value.is_string()) check_string(schema, value, at);
    if (value.is_list()) check_list(schema, value, at);
    if (value.is_map()) check_map(schema, value, at);
  }

 private:
  void add(const std::string& at, std::string message) {
    problems.push_back({at, std::move(message)});
  }
  std::string shown(const Value& value) const {
    constexpr size_t kLongest = 80;
    if (show_ == ShowValues::No) return std::string(value.type_name());
    std::string text = to_json(value);
    return text.size() <= kLongest ? text : text.substr(0, kLongest) + "...";
  }
  bool accepts(const Value& schema, const Value& value) const {
    Validator trial(show_);
    trial.validate(schema, value, {});
    return trial.problems.empty();
  }

  bool check_type(const Value& schema, const Value& value, const std::string& at) {
    const Value& type = schema["type"];
    std::vector<std::string_view> allowed;
    if (type.is_string()) allowed.push_back(type.as_string());
    if (type.is_list()) {
      for (const Value& t : type.as_list()) {
        if (t.is_string()) allowed.push_back(t.as_string());
      }
    }
    if (allowed.empty()) return true;
    if (std::ranges::any_of(allowed, [&](auto t) { return has_type(value, t); })) return true;
    std::string found(value.type_name());
    bool scalar = !value.is_null() && !value.is_list() && !value.is_map();
    if (scalar && show_ == ShowValues::Yes) found += " " + shown(value);
    add(at, fmt::format("expected {}, found {}", fmt::join(allowed, " or "), found));
    return false;
  }

  void check_choice(const Value& schema, const Value& value, const std::string& at) {
    const Value& choices = schema["enum"];
    if (choices.is_list() &&
        std::ranges::find(choices.as_list(), value) == choices.as_list().end()) {
      std::vector<std::string> names, texts;
      for (const Value& choice : choices.as_list()) {
        names.push_back(to_json(choice));
        if (choice.is_string()) texts.emplace_back(choice.as_string());
      }
      std::string hint;
      if (value.is_string() && show_ == ShowValues::Yes) {
        hint = did_you_mean(value.as_string(), texts);
      }
      add(at, fmt::format("expected one of {}, found {}{}", fmt::join(names, ", "), shown(value),
                          hint));
    }
    const Value* constant = schema.find("const");
    if (constant && !(*constant == value)) {
      add(at, fmt::format("expected {}, found {}", to_json(*constant), shown(value)));
    }
  }

  void check_number(const Value& schema, const Value& value, const std::string& at) {
    double number = value.as_float();
    auto compare = [&](std::string_view key, std::string_view word, auto holds) {
      const Value& limit = schema[key];
      if (!limit.is_number() || holds(number, limit.as_float())) return;
      add(at, fmt::format("expected {} {}, found {}", word, to_json(limit), shown(value)));
    };
    bool above = schema.bool_or("exclusiveMinimum", false);
    bool below = schema.bool_or("exclusiveMaximum", false);
    using Compare = std::function<bool(double, double)>;
    compare("minimum", above ? "more than" : "at least",
            above ? Compare(std::greater<>()) : Compare(std::greater_equal<>()));
    compare("maximum", below ? "less than" : "at most",
            below ? Compare(std::less<>()) : Compare(std::less_equal<>()));
    compare("exclusiveMinimum", "more than", std::greater<>());
    compare("exclusiveMaximum", "less than", std::less<>());
    compare("multipleOf", "a multiple of", [](double n, double of) {
      return of == 0 || std::abs(std::remainder(n, of)) < 1e-9 * std::abs(of);
    });
  }

  // `size` of `what` against the keywords minX and maxX.
  void check_size(const Value& schema, std::string_view min, std::string_view max, size_t size,
                  std::string_view what, const std::string& at) {
    auto low = schema.int_or(min, 0);
    auto high = schema.int_or(max, std::numeric_limits<int64_t>::max());
    auto count = static_cast<int64_t>(size);
    if (count < low) add(at, fmt::format("expected at least {} {}, found {}", low, what, count));
    if (count > high) add(at, fmt::format("expected at most {} {}, found {}", high, what, count));
  }

  void check_string(const Value& schema, const Value& value, const std::string& at) {
    check_size(schema, "minLength", "maxLength", characters(value.as_string()), "characters", at);
    const Value& pattern = schema["pattern"];
    if (!pattern.is_string()) return;
    auto compiled = regex(pattern.as_string());
    re2::StringPiece text(value.as_string().data(), value.as_string().size());
    if (!compiled->ok() || RE2::PartialMatch(text, *compiled)) return;
    add(at, fmt::format("expected a text that matches '{}', found {}", pattern.as_string(),
                        shown(value)));
  }

  void check_list(const Value& schema, const Value& value, const std::string& at) {
    const ValueList& list = value.as_list();
    check_size(schema, "minItems", "maxItems", list.size(), "items", at);
    const Value& items = schema["items"];
    for (size_t i = 0; i < list.size(); ++i) {
      if (items.is_list()) {
        if (i < items.size()) validate(items.as_list()[i], list[i], json_pointer(at, i));
      } else if (!items.is_null()) {
        validate(items, list[i], json_pointer(at, i));
      }
    }
    if (!schema.bool_or("uniqueItems", false)) return;
    for (size_t i = 0; i < list.size(); ++i) {
      auto earlier = std::find(list.begin(), list.begin() + static_cast<ptrdiff_t>(i), list[i]);
      if (earlier == list.begin() + static_cast<ptrdiff_t>(i)) continue;
      return add(json_pointer(at, i), "repeats an earlier item");
    }
  }

  void check_map(const Value& schema, const Value& value, const std::string& at) {
    const Value& properties = schema["properties"];
    check_size(schema, "minProperties", "maxProperties", value.size(), "entries", at);
    for (const auto& [key, entry] : value.as_map()) {
      check_entry(schema, key.as_string(), entry, at);
    }
    if (properties.is_map()) {
      for (const auto& [key, property] : properties.as_map()) {
        if (property.bool_or("required", false)) check_present(value, key.as_string(), at);
      }
    }
    const Value& required = schema["required"];
    if (!required.is_list()) return;
    for (const Value& name : required.as_list()) {
      if (name.is_string()) check_present(value, name.as_string(), at);
    }
  }

  void check_present(const Value& map, std::string_view name, const std::string& at) {
    if (!map.find(name)) add(json_pointer(at, name), "is required");
  }

  void check_entry(const Value& schema, std::string_view name, const Value& entry,
                   const std::string& at) {
    const Value& properties = schema["properties"];
    auto entry_at = json_pointer(at, name);
    bool described = false;
    if (const Value* property = properties.find(name)) {
      validate(*property, entry, entry_at);
      described = true;
    }
    if (const Value& patterns = schema["patternProperties"]; patterns.is_map()) {
      for (const auto& [pattern, property] : patterns.as_map()) {
        auto compiled = regex(pattern.as_string());
        re2::StringPiece text(name.data(), name.size());
        if (!compiled->ok() || !RE2::PartialMatch(text, *compiled)) continue;
        validate(property, entry, entry_at);
        described = true;
      }
    }
    const Value* others = schema.find("additionalProperties");
    if (described || !others) return;
    if (!others->is_bool()) return validate(*others, entry, entry_at);
    if (others->as_bool()) return;
    std::vector<std::string_view> names;
    if (properties.is_map()) {
      for (const auto& [key, property] : properties.as_map()) names.push_back(key.as_string());
    }
    add(entry_at, fmt::format("unknown key '{}'{}", name, did_you_mean(name, names)));
  }

  void check_alternatives(const Value& schema, const Value& value, const std::string& at) {
    if (const Value& all = schema["allOf"]; all.is_list()) {
      for (const Value& part : all.as_list()) validate(part, value, at);
    }
    auto fitting = [&](const Value& list) {
      return std::ranges::count_if(list.as_list(), [&](auto& s) { return accepts(s, value); });
    };
    if (const Value& any = schema["anyOf"]; any.is_list() && fitting(any) == 0) {
      add(at, fmt::format("{} fits none of the {} allowed forms", shown(value), any.size()));
    }
    if (const Value& one = schema["oneOf"]; one.is_list() && fitting(one) != 1) {
      add(at, fmt::format("{} fits {} of the {} allowed forms, expected exactly one", shown(value),
                          fitting(one), one.size()));
    }
    const Value* forbidden = schema.find("not");
    if (forbidden && accepts(*forbidden, value)) {
      add(at, fmt::format("{} has a form that is not allowed", shown(value)));
    }
  }

  ShowValues show_;
};

}  // namespace

std::vector<Problem> check_json_schema(const Value& schema,
                                       std::vector<std::string_view> annotations) {
  SchemaChecker checker(std::move(annotations));
  checker.check(schema, {});
  return std::move(checker.problems);
}

std::vector<Problem> validate_json(const Value& schema, const Value& value, ShowValues show) {
  Validator validator(show);
  validator.validate(schema, value, {});
  return std::move(validator.problems);
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
