// SPDX-License-Identifier: Apache-2.0
#include "conductor/schema.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

#include "base/hash.h"
#include "base/json.h"
#include "base/problems.h"
#include "base/text.h"

namespace millrace::conductor {
namespace {

// How a value is shown in a message: short, and never more than a line.
std::string shown(const Value& value) {
  constexpr size_t kLongest = 60;
  std::string text = to_json(value);
  if (text.size() > kLongest) text = text.substr(0, kLongest - 3) + "...";
  return text;
}

// With its type, unless that says all.
std::string described(const Value& value) {
  if (value.is_null()) return "null";
  return fmt::format("{} {}", value.type_name(), shown(value));
}

bool has_type(const Value& value, std::string_view type) {
  if (type == "number") return value.is_number();
  return value.type_name() == type;
}

class Validator {
 public:
  void check(const Value& schema, const Value& instance) {
    for (const auto& [key, argument] : schema.as_map()) {
      size_t size = push_schema(key.as_string());
      keyword(key.as_string(), argument, schema, instance);
      schema_path_.resize(size);
    }
  }

  std::vector<SchemaProblem> take() { return std::move(problems_); }

 private:
  void keyword(std::string_view key, const Value& arg, const Value& schema, const Value& instance) {
    if (key == "type") return type(arg, instance);
    if (key == "enum") return one_of_values(arg, instance);
    if (key == "oneOf" || key == "anyOf") return alternatives(key == "oneOf", arg, instance);
    if (instance.is_string()) return string_keyword(key, arg, instance);
    if (instance.is_number()) return number_keyword(key, arg, instance);
    if (instance.is_list()) return list_keyword(key, arg, instance);
    if (instance.is_map()) return map_keyword(key, arg, schema, instance);
  }

  void type(const Value& wanted, const Value& instance) {
    if (has_type(instance, wanted.as_string())) return;
    problem(fmt::format("expected {}, found {}", wanted.as_string(), described(instance)));
  }

  void one_of_values(const Value& values, const Value& instance) {
    for (const Value& value : values.as_list()) {
      if (value == instance) return;
    }
    problem(fmt::format("expected one of {}, found {}", shown(values), shown(instance)));
  }

  // What an alternative asks for first, for the message: its type, or its values.
  static std::string wants(const Value& schema) {
    if (schema["enum"].is_list()) return shown(schema["enum"]);
    std::string text(schema.string_or("type", "another value"));
    if (schema.find("minimum")) text += " >= " + shown(schema["minimum"]);
    if (schema.find("minLength") || schema.find("minItems")) text = "non-empty " + text;
    return text;
  }

  void alternatives(bool exactly_one, const Value& schemas, const Value& instance) {
    int holding = 0;
    std::string wanted;
    for (const Value& schema : schemas.as_list()) {
      Validator attempt;
      attempt.check(schema, instance);
      if (attempt.problems_.empty()) ++holding;
      if (!wanted.empty()) wanted += " or ";
      wanted += wants(schema);
    }
    if (holding == 1 || (holding > 1 && !exactly_one)) return;
    problem(fmt::format("expected {}, found {}", wanted, described(instance)));
  }

  void number_keyword(std::string_view key, const Value& arg, const Value& instance) {
    if (key == "minimum" && instance.as_float() < arg.as_float()) {
      problem(fmt::format("expected {} or more, found {}", shown(arg), shown(instance)));
    }
    if (key == "maximum" && instance.as_float() > arg.as_float()) {
      problem(fmt::format("expected {} or less, found {}", shown(arg), shown(instance)));
    }
  }

  void string_keyword(std::string_view key, const Value& arg, const Value& instance) {
    std::string_view text = instance.as_string();
    if (key == "minLength" && text.size() < static_cast<size_t>(arg.as_int())) {
      problem("expected a text, found an empty string");
    }
    if (key == "pattern" && !matches(arg.as_string(), text)) {
      problem(fmt::format("expected '<% LIST %>' or 'NAME, NAME in <% LIST %>', found '{}'", text));
    }
  }

  void list_keyword(std::string_view key, const Value& arg, const Value& instance) {
    const ValueList& list = instance.as_list();
    if (key == "minItems" && list.size() < static_cast<size_t>(arg.as_int())) {
      return problem("expected at least one entry, found none");
    }
    if (key == "uniqueItems") {
      std::unordered_set<std::string, StringHash> seen;
      for (const Value& item : list) {
        if (!seen.insert(to_json(item)).second) {
          return problem(fmt::format("the entry {} stands twice", shown(item)));
        }
      }
    }
    if (key == "items") {
      for (size_t i = 0; i < list.size(); ++i) {
        size_t size = spec_path_.size();
        spec_path_ += fmt::format("[{}]", i);
        check(arg, list[i]);
        spec_path_.resize(size);
      }
    }
  }

  void map_keyword(std::string_view key, const Value& arg, const Value& schema,
                   const Value& instance) {
    if (key == "properties") {
      for (const auto& [name, property] : arg.as_map()) {
        if (const Value* member = instance.find(name.as_string())) {
          descend(name.as_string(), name.as_string(), property, *member);
        }
      }
    } else if (key == "patternProperties") {
      for (const auto& [pattern, property] : arg.as_map()) {
        for (const auto& [name, member] : instance.as_map()) {
          if (!matches(pattern.as_string(), name.as_string())) continue;
          descend(pattern.as_string(), name.as_string(), property, member);
        }
      }
    } else if (key == "additionalProperties") {
      unknown_keys(schema, instance);
    } else if (key == "required") {
      for (const Value& name : arg.as_list()) {
        if (!instance.find(name.as_string())) {
          problem(fmt::format("the key '{}' is missing", name.as_string()));
        }
      }
    } else if (key == "minProperties" && instance.size() < static_cast<size_t>(arg.as_int())) {
      problem("expected at least one key, found none");
    } else if (key == "maxProperties" && instance.size() > static_cast<size_t>(arg.as_int())) {
      problem(fmt::format("expected one key, found {}", instance.size()));
    }
  }

  void descend(std::string_view schema_name, std::string_view name, const Value& schema,
               const Value& member) {
    size_t spec_size = spec_path_.size();
    size_t schema_size = push_schema(schema_name);
    if (!spec_path_.empty()) spec_path_ += '.';
    spec_path_ += name;
    check(schema, member);
    spec_path_.resize(spec_size);
    schema_path_.resize(schema_size);
  }

  // All unknown keys of a map are one problem, as in the reference.
  void unknown_keys(const Value& schema, const Value& instance) {
    std::vector<std::string_view> known;
    for (const auto& entry : schema["properties"].as_map()) known.push_back(entry.name());
    std::string names;
    std::string first;
    for (const auto& entry : instance.as_map()) {
      if (std::ranges::find(known, entry.name()) != known.end()) continue;
      if (names.size() > kLongestProblem) {
        names += ", ...";
        break;
      }
      if (names.empty()) first = entry.name();
      if (!names.empty()) names += ", ";
      names += fmt::format("'{}'{}", entry.name(), did_you_mean(entry.name(), known));
    }
    if (names.empty()) return;
    problem(fmt::format("unknown key {}; known are {}", names, fmt::join(known, ", ")));
    if (problems_.back().key.empty()) problems_.back().key = std::move(first);
  }

  static bool matches(std::string_view pattern, std::string_view text) {
    if (pattern == kWordPattern) return is_word(text);
    ASSERT(pattern == kItemsPattern);
    return is_items_clause(text);
  }

  size_t push_schema(std::string_view part) {
    size_t size = schema_path_.size();
    if (size > 0) schema_path_ += '.';
    schema_path_ += part;
    return size;
  }

  void problem(std::string message) {
    if (problems_.size() >= 2 * kMostProblems) return;
    problems_.push_back({spec_path_, schema_path_, std::move(message)});
  }

  std::string spec_path_;
  std::string schema_path_;
  std::vector<SchemaProblem> problems_;
};

bool is_word_char(char c) {
  // Bytes of other scripts count as letters, as in Python's \w.
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || (c & 0x80);
}
bool is_space(char c) { return std::isspace(static_cast<unsigned char>(c)); }

std::string_view skip(std::string_view text, bool (*kind)(char)) {
  size_t n = 0;
  while (n < text.size() && kind(text[n])) ++n;
  return text.substr(n);
}

// One expression from here to the end but for white space; a dot of the pattern is no line end.
bool is_expression_to_end(std::string_view text) {
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  if (text.size() < 4 || text.find('\n') != std::string_view::npos) return false;
  return (text.starts_with("<%") && text.ends_with("%>")) ||
         (text.starts_with("{{") && text.ends_with("}}"));
}

}  // namespace

std::vector<SchemaProblem> validate(const Value& schema, const Value& instance) {
  Validator validator;
  validator.check(schema, instance);
  return validator.take();
}

bool is_word(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, is_word_char);
}

bool is_items_clause(std::string_view text) {
  text = skip(text, is_space);
  if (is_expression_to_end(text)) return true;
  // NAME, NAME, NAME in EXPRESSION: a comma stands right after its name.
  while (true) {
    std::string_view rest = skip(text, is_word_char);
    if (rest.size() == text.size()) return false;
    if (rest.starts_with(',')) {
      text = skip(rest.substr(1), is_space);
      continue;
    }
    std::string_view keyword = skip(rest, is_space);
    if (keyword.size() == rest.size() || !keyword.starts_with("in")) return false;
    std::string_view expression = skip(keyword.substr(2), is_space);
    return expression.size() < keyword.size() - 2 && is_expression_to_end(expression);
  }
}

}  // namespace millrace::conductor
