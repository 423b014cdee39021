// SPDX-License-Identifier: Apache-2.0
#include "model/casts.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/text.h"

namespace millrace {
namespace {

using Cast = std::optional<Value>;

constexpr double kExact = 9'007'199'254'740'992.0;  // 2^53: below it a double is each integer

template <typename Number>
std::optional<Number> number_of(std::string_view text) {
  if (text.starts_with('+') && !text.substr(1).starts_with('-')) text.remove_prefix(1);
  Number number{};
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  bool is_whole = error == std::errc() && end == text.data() + text.size();
  return is_whole ? std::optional(number) : std::nullopt;
}

bool is_integral(std::string_view text) {
  return text.find_first_not_of("+-0123456789") == std::string_view::npos;
}

Cast to_integer(const Value& value) {
  if (value.is_string()) {
    auto number = number_of<int64_t>(trim(value.as_string()));
    return number ? Cast(Value(*number)) : std::nullopt;
  }
  if (!value.is_float() || std::trunc(value.as_float()) != value.as_float()) return {};
  if (std::abs(value.as_float()) >= kExact) return {};
  return Value(static_cast<int64_t>(value.as_float()));
}

Cast to_number(const Value& value) {
  if (!value.is_string()) return {};
  std::string_view text = trim(value.as_string());
  // Of more digits than an integer holds some would be lost.
  if (is_integral(text)) return to_integer(value);
  auto number = number_of<double>(text);
  return number && std::isfinite(*number) ? Cast(Value(*number)) : std::nullopt;
}

Cast to_boolean(const Value& value) {
  if (value == Value(1)) return Value(true);
  if (value == Value(0)) return Value(false);
  if (!value.is_string()) return {};
  std::string_view text = trim(value.as_string());
  auto is_one_of = [&](std::initializer_list<std::string_view> words) {
    return std::ranges::any_of(words, [&](auto word) { return iequals_ascii(text, word); });
  };
  if (is_one_of({"true", "yes", "on", "1"})) return Value(true);
  if (is_one_of({"false", "no", "off", "0"})) return Value(false);
  return {};
}

Cast read_json(const Value& value, char first) {
  if (!value.is_string()) return {};
  std::string_view text = trim(value.as_string());
  if (!text.starts_with(first)) return {};
  auto read = parse_json(text);
  return read.ok() ? Cast(*std::move(read)) : std::nullopt;  // may fail: then it stays a text
}

Cast to_list(const Value& value, const Value& items) {
  if (!value.is_string()) return {};
  std::string_view text = trim(value.as_string());
  if (text.starts_with('[')) return read_json(value, '[');
  Value list = Value::list();
  if (text.empty()) return list;
  for (std::string_view part : split(text, ','))
    list.push_back(cast_value(items, Value(trim(part))));
  return list;
}

Cast to_type(std::string_view type, const Value& value, const Value& schema) {
  if (type == "integer") return to_integer(value);
  if (type == "number") return to_number(value);
  if (type == "boolean") return to_boolean(value);
  if (type == "array") return to_list(value, schema["items"]);
  if (type == "object") return read_json(value, '{');
  if (type == "string" && !value.is_string()) return Value(to_json(value));
  return {};
}

bool has_type(std::string_view type, const Value& value) {
  if (type == "integer") return value.is_int();
  if (type == "number") return value.is_number();
  if (type == "boolean") return value.is_bool();
  if (type == "array") return value.is_list();
  if (type == "object") return value.is_map();
  if (type == "null") return value.is_null();
  return type != "string" || value.is_string();
}

std::vector<std::string_view> types_in(const Value& schema) {
  const Value& type = schema["type"];
  if (type.is_string()) return {type.as_string()};
  std::vector<std::string_view> types;
  if (!type.is_list()) return types;
  for (const Value& one : type.as_list()) {
    if (one.is_string()) types.push_back(one.as_string());
  }
  return types;
}

}  // namespace

Value cast_value(const Value& schema, const Value& value) {
  if (value.is_null() || !schema.is_map()) return value;
  auto types = types_in(schema);
  if (std::ranges::any_of(types, [&](auto type) { return has_type(type, value); })) return value;
  for (std::string_view type : types) {
    if (auto is_cast = to_type(type, value, schema)) return *std::move(is_cast);
  }
  return value;
}

}  // namespace millrace
