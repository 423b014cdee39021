// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <cmath>
#include <compare>
#include <limits>
#include <memory>
#include <unordered_map>
#include <unordered_set>

#include "base/excerpt.h"
#include "base/json.h"
#include "base/json_schema.h"
#include "base/problems.h"
#include "base/regex_cost.h"
#include "base/text.h"
#include "base/value_hash.h"

namespace millrace {
namespace {

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

// What the parts of one validation share: the work that is left, and what was made ready of the
// schema, by the place of its node.
class Work {
 public:
  explicit Work(uint64_t steps) : left_(steps) {}

  // False once all is spent, for good.
  bool take(uint64_t steps) {
    spent_ = spent_ || steps > left_;
    if (!spent_) left_ -= steps;
    return !spent_;
  }
  bool spent() const { return spent_; }
  uint64_t left() const { return spent_ ? 0 : left_; }

  // Whether the text matches; a pattern that does not compile holds nothing back.
  bool matches(const Value& pattern, std::string_view text, bool otherwise) {
    auto [known, is_new] = patterns_.try_emplace(pattern.as_string());
    Pattern& of = known->second;
    if (is_new) {
      auto demand = regex_demand(pattern.as_string(), false, pattern.size());
      if (!demand.refusal.empty() || !take(demand.steps)) return otherwise;
      of.regex = user_regex(pattern.as_string());
      of.places = of.regex->ok() ? regex_places(pattern.as_string(), *of.regex) : 0;
      if (!take(of.places * 8)) return otherwise;
    }
    if (!of.regex || !of.regex->ok() || !take(regex_steps(text.size(), of.places)))
      return otherwise;
    return RE2::PartialMatch(re2::StringPiece(text.data(), text.size()), *of.regex);
  }

  bool is_one_of(const Value& value, const ValueList& choices) {
    constexpr size_t kFew = 8;
    if (!take(1 + weight(value) + std::min(choices.size(), kFew))) return true;
    if (choices.size() <= kFew) return std::ranges::find(choices, value) != choices.end();
    auto [known, is_new] = choices_.try_emplace(&choices);
    if (is_new) {
      for (const Value& choice : choices) {
        if (!take(1 + weight(choice))) return true;
        known->second.insert(choice);
      }
    }
    return known->second.contains(value);
  }

  // The first item that an earlier one equals, or its size.
  size_t first_repeated(const ValueList& list) {
    std::unordered_set<Value, ValueHash> seen;
    for (size_t i = 0; i < list.size(); ++i) {
      if (!take(4 + weight(list[i]))) break;
      if (!seen.insert(list[i]).second) return i;
    }
    return list.size();
  }

 private:
  struct Pattern {
    std::unique_ptr<RE2> regex;
    uint64_t places = 0;
  };

  // What comparing or hashing it costs.
  static uint64_t weight(const Value& value) {
    uint64_t steps = 1;
    if (value.is_string()) steps += value.size() / 64;
    if (value.is_list()) {
      for (const Value& item : value.as_list()) steps += weight(item);
    }
    if (value.is_map()) {
      for (const auto& entry : value.as_map()) steps += 2 + weight(entry.value);
    }
    return steps;
  }

  uint64_t left_;
  bool spent_ = false;
  std::unordered_map<std::string_view, Pattern, StringHash> patterns_;
  std::unordered_map<const ValueList*, std::unordered_set<Value, ValueHash>> choices_;
};

class Validator {
 public:
  Validator(ShowValues show, Work& work) : show_(show), work_(work) {}

  void validate(const Value& schema, const Value& value, const std::string& at) {
    if (enough() || !work_.take(kNodeSteps + at.size() / 64)) return;
    if (schema.is_bool() && !schema.as_bool()) {
      return add(at, [] { return std::string("is not allowed here"); });
    }
    if (!schema.is_map() || !check_type(schema, value, at)) return;
    check_alternatives(schema, value, at);
    check_choice(schema, value, at);
    if (value.is_number()) check_number(schema, value, at);
    if (value.is_string()) check_string(schema, value, at);
    if (value.is_list()) check_list(schema, value, at);
    if (value.is_map()) check_map(schema, value, at);
  }

  std::vector<Problem> take() { return std::move(problems_).take(); }

 private:
  static constexpr uint64_t kNodeSteps = 16;

  // Only whether it fits is asked: the first problem is the last.
  Validator(ShowValues show, Work& work, bool is_trial)
      : show_(show), work_(work), is_trial_(is_trial) {}
  bool enough() const { return work_.spent() || (is_trial_ ? failed_ : problems_.full()); }

  // The message is only made when it will be told.
  template <typename Say>
  void add(const std::string& at, Say say) {
    failed_ = true;
    if (!is_trial_ && !problems_.full()) problems_.add(at, say());
  }
  std::string shown(const Value& value) const {
    constexpr size_t kLongest = 80;
    if (show_ == ShowValues::No) return std::string(value.type_name());
    return json_excerpt(value, kLongest);
  }
  bool accepts(const Value& schema, const Value& value) const {
    Validator trial(show_, work_, true);
    trial.validate(schema, value, {});
    return !trial.failed_;
  }

  bool check_type(const Value& schema, const Value& value, const std::string& at) {
    const Value& type = schema["type"];
    std::vector<std::string_view> allowed;
    if (type.is_string()) allowed.push_back(type.as_string());
    if (type.is_list()) {
      if (!work_.take(type.size())) return false;
      for (const Value& t : type.as_list()) {
        if (t.is_string()) allowed.push_back(t.as_string());
      }
    }
    if (allowed.empty()) return true;
    if (std::ranges::any_of(allowed, [&](auto t) { return has_type(value, t); })) return true;
    add(at, [&] {
      std::string found(value.type_name());
      bool scalar = !value.is_null() && !value.is_list() && !value.is_map();
      if (scalar && show_ == ShowValues::Yes) found += " " + shown(value);
      return fmt::format("expected {}, found {}", fmt::join(allowed, " or "), found);
    });
    return false;
  }

  void check_choice(const Value& schema, const Value& value, const std::string& at) {
    const Value& choices = schema["enum"];
    if (choices.is_list() && !work_.is_one_of(value, choices.as_list())) {
      add(at, [&] { return missed_choice(choices, value); });
    }
    const Value* constant = schema.find("const");
    if (constant && !work_.is_one_of(value, {*constant})) {
      add(at, [&] {
        return fmt::format("expected {}, found {}", json_excerpt(*constant, kLongestProblem),
                           shown(value));
      });
    }
  }

  std::string missed_choice(const Value& choices, const Value& value) const {
    std::string names;
    std::vector<std::string_view> texts;
    for (const Value& choice : choices.as_list()) {
      if (names.size() > kLongestProblem / 2) {
        names += ", ...";
        break;
      }
      if (!names.empty()) names += ", ";
      names += json_excerpt(choice, kLongestProblem / 2);
      if (choice.is_string()) texts.push_back(choice.as_string());
    }
    std::string hint;
    if (value.is_string() && show_ == ShowValues::Yes) {
      hint = did_you_mean(value.as_string(), texts);
    }
    return fmt::format("expected one of {}, found {}{}", names, shown(value), hint);
  }

  void check_number(const Value& schema, const Value& value, const std::string& at) {
    auto compare = [&](std::string_view key, std::string_view word, auto holds) {
      const Value& limit = schema[key];
      if (!limit.is_number() || holds(compare_numbers(value, limit))) return;
      add(at, [&] {
        return fmt::format("expected {} {}, found {}", word, to_json(limit), shown(value));
      });
    };
    bool above = schema.bool_or("exclusiveMinimum", false);
    bool below = schema.bool_or("exclusiveMaximum", false);
    using Order = std::partial_ordering;
    compare("minimum", above ? "more than" : "at least",
            [&](Order order) { return above ? std::is_gt(order) : std::is_gteq(order); });
    compare("maximum", below ? "less than" : "at most",
            [&](Order order) { return below ? std::is_lt(order) : std::is_lteq(order); });
    compare("exclusiveMinimum", "more than", std::is_gt);
    compare("exclusiveMaximum", "less than", std::is_lt);
    const Value& of = schema["multipleOf"];
    if (!of.is_number() || is_multiple(value, of)) return;
    add(at, [&] {
      return fmt::format("expected a multiple of {}, found {}", to_json(of), shown(value));
    });
  }

  static bool is_multiple(const Value& value, const Value& of) {
    double step = of.as_float();
    if (step == 0) return true;
    constexpr double kExactly = 0x1p53;  // from here on doubles round
    bool both_whole = value.is_int() && std::trunc(step) == step && std::abs(step) < kExactly;
    if (both_whole) return value.as_int() % static_cast<int64_t>(std::abs(step)) == 0;
    return std::abs(std::remainder(value.as_float(), step)) < 1e-9 * std::abs(step);
  }

  // `size` of `what` against the keywords minX and maxX.
  void check_size(const Value& schema, std::string_view min, std::string_view max, size_t size,
                  std::string_view what, const std::string& at) {
    auto low = schema.int_or(min, 0);
    auto high = schema.int_or(max, std::numeric_limits<int64_t>::max());
    auto count = static_cast<int64_t>(size);
    auto say = [&](std::string_view bound, int64_t limit) {
      add(at,
          [&] { return fmt::format("expected at {} {} {}, found {}", bound, limit, what, count); });
    };
    if (count < low) say("least", low);
    if (count > high) say("most", high);
  }

  void check_string(const Value& schema, const Value& value, const std::string& at) {
    if (!work_.take(value.size() / 64)) return;
    bool counts = schema.find("minLength") || schema.find("maxLength");
    if (counts) {
      check_size(schema, "minLength", "maxLength", characters(value.as_string()), "characters", at);
    }
    const Value& pattern = schema["pattern"];
    if (!pattern.is_string() || work_.matches(pattern, value.as_string(), true)) return;
    add(at, [&] {
      return fmt::format("expected a text that matches '{}', found {}", pattern.as_string(),
                         shown(value));
    });
  }

  void check_list(const Value& schema, const Value& value, const std::string& at) {
    const ValueList& list = value.as_list();
    check_size(schema, "minItems", "maxItems", list.size(), "items", at);
    check_items(schema, list, at);
    const Value* wanted = schema.find("contains");
    auto fits = [&](const Value& item) { return accepts(*wanted, item); };
    if (wanted && std::ranges::none_of(list, fits)) {
      add(at, [] { return std::string("expected an item of the form that it has to contain"); });
    }
    if (enough() || !schema.bool_or("uniqueItems", false)) return;
    size_t repeated = work_.first_repeated(list);
    if (repeated == list.size()) return;
    add(json_pointer(at, repeated), [] { return std::string("repeats an earlier item"); });
  }

  // The first ones each by a schema of its own (a list of `items` until draft 2019-09, then
  // `prefixItems`), the others by one for all.
  void check_items(const Value& schema, const ValueList& list, const std::string& at) {
    const Value* first = schema.find("prefixItems");
    const Value* others = schema.find("items");
    if (!first && others && others->is_list()) {
      first = others;
      others = schema.find("additionalItems");
    }
    size_t apart = first && first->is_list() ? first->size() : 0;
    for (size_t i = 0; i < list.size() && !enough(); ++i) {
      const Value* by = i < apart ? &first->as_list()[i] : others;
      if (!by) return;
      validate(*by, list[i], json_pointer(at, i));
    }
  }

  void check_map(const Value& schema, const Value& value, const std::string& at) {
    const Value& properties = schema["properties"];
    check_size(schema, "minProperties", "maxProperties", value.size(), "entries", at);
    for (const auto& [key, entry] : value.as_map()) {
      if (enough() || !work_.take(2)) return;
      check_entry(schema, key.as_string(), entry, at);
    }
    if (properties.is_map()) {
      for (const auto& [key, property] : properties.as_map()) {
        if (!work_.take(1)) return;
        if (property.bool_or("required", false)) check_present(value, key.as_string(), at);
      }
    }
    check_all_present(schema["required"], value, at);
    for (std::string_view keyword : {"dependencies", "dependentRequired", "dependentSchemas"}) {
      check_dependent(schema[keyword], value, at);
    }
  }

  void check_all_present(const Value& names, const Value& map, const std::string& at) {
    if (!names.is_list()) return;
    for (const Value& name : names.as_list()) {
      if (enough() || !work_.take(1)) return;
      if (name.is_string()) check_present(map, name.as_string(), at);
    }
  }

  void check_dependent(const Value& by_name, const Value& map, const std::string& at) {
    if (!by_name.is_map()) return;
    for (const auto& [key, needed] : by_name.as_map()) {
      if (enough() || !work_.take(1)) return;
      if (!map.find(key.as_string())) continue;
      needed.is_list() ? check_all_present(needed, map, at) : validate(needed, map, at);
    }
  }

  void check_present(const Value& map, std::string_view name, const std::string& at) {
    if (map.find(name)) return;
    add(json_pointer(at, name), [] { return std::string("is required"); });
  }

  void check_entry(const Value& schema, std::string_view name, const Value& entry,
                   const std::string& at) {
    const Value& properties = schema["properties"];
    auto entry_at = json_pointer(at, name);
    const Value* names = schema.find("propertyNames");
    if (names && !accepts(*names, Value(name))) {
      add(entry_at, [&] { return fmt::format("'{}' is no name that is allowed here", name); });
    }
    bool described = false;
    if (const Value* property = properties.find(name)) {
      validate(*property, entry, entry_at);
      described = true;
    }
    if (const Value& patterns = schema["patternProperties"]; patterns.is_map()) {
      for (const auto& [pattern, property] : patterns.as_map()) {
        if (enough()) return;
        if (!work_.matches(pattern, name, false)) continue;
        validate(property, entry, entry_at);
        described = true;
      }
    }
    const Value* others = schema.find("additionalProperties");
    if (described || !others) return;
    if (!others->is_bool()) return validate(*others, entry, entry_at);
    if (others->as_bool()) return;
    add(entry_at, [&] {
      std::vector<std::string_view> names;
      if (properties.is_map()) {
        for (const auto& [key, property] : properties.as_map()) names.push_back(key.as_string());
      }
      return fmt::format("unknown key '{}'{}", name, did_you_mean(name, names));
    });
  }

  void check_alternatives(const Value& schema, const Value& value, const std::string& at) {
    if (const Value& all = schema["allOf"]; all.is_list()) {
      for (const Value& part : all.as_list()) {
        if (enough()) return;
        validate(part, value, at);
      }
    }
    auto fits = [&](const Value& s) { return accepts(s, value); };
    const Value& any = schema["anyOf"];
    if (any.is_list() && std::ranges::none_of(any.as_list(), fits)) {
      add(at, [&] {
        return fmt::format("{} fits none of the {} allowed forms", shown(value), any.size());
      });
    }
    if (const Value& one = schema["oneOf"]; one.is_list()) {
      auto fitting = std::ranges::count_if(one.as_list(), fits);
      if (fitting != 1) {
        add(at, [&] {
          return fmt::format("{} fits {} of the {} allowed forms, expected exactly one",
                             shown(value), fitting, one.size());
        });
      }
    }
    if (const Value* condition = schema.find("if")) {
      const Value* part = schema.find(fits(*condition) ? "then" : "else");
      if (part) validate(*part, value, at);
    }
    const Value* forbidden = schema.find("not");
    if (forbidden && accepts(*forbidden, value)) {
      add(at, [&] { return fmt::format("{} has a form that is not allowed", shown(value)); });
    }
  }

  ShowValues show_;
  Work& work_;
  bool is_trial_ = false;
  bool failed_ = false;
  Problems problems_;
};

}  // namespace

std::vector<const Value*> member_schemas(const Value& schema, std::string_view name) {
  std::vector<const Value*> found;
  if (!schema.is_map()) return found;
  if (const Value* property = schema["properties"].find(name)) found.push_back(property);
  if (const Value& patterns = schema["patternProperties"]; patterns.is_map()) {
    Work work(kSchemaSteps);
    for (const auto& [pattern, property] : patterns.as_map()) {
      if (work.matches(pattern, name, false)) found.push_back(&property);
    }
  }
  const Value* others = schema.find("additionalProperties");
  if (found.empty() && others && others->is_map()) found.push_back(others);
  return found;
}

std::vector<Problem> validate_json(const Value& schema, const Value& value, ShowValues show,
                                   uint64_t* steps) {
  uint64_t given = steps ? std::min(*steps, kSchemaSteps) : kSchemaSteps;
  Work work(given);
  Validator validator(show, work);
  validator.validate(schema, value, {});
  if (steps) *steps -= given - work.left();
  if (!work.spent()) return validator.take();
  return {{"", fmt::format("checking it against its schema takes more than {} steps: make the "
                           "value or the schema smaller",
                           given)}};
}

}  // namespace millrace
