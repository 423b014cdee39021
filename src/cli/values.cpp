// SPDX-License-Identifier: Apache-2.0
#include "cli/values.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <iterator>
#include <optional>
#include <utility>

#include "base/charset.h"
#include "base/files.h"
#include "base/json.h"
#include "base/text.h"
#include "base/yaml.h"
#include "cli/command.h"

namespace millrace::cli {
namespace {

constexpr size_t kMaxInput = 64 << 20;

std::vector<std::string> types_of(const Value& schema) {
  std::vector<std::string> types;
  const auto& type = schema["type"];
  if (type.is_string()) types.emplace_back(type.as_string());
  if (type.is_list()) {
    for (const auto& one : type.as_list()) {
      if (one.is_string()) types.emplace_back(one.as_string());
    }
  }
  return types;
}

Result<Value> typed_list(std::string_view name, const Value& schema, std::string_view text) {
  if (trim(text).starts_with('[')) return parse_json(text);
  ValueList items;
  if (trim(text).empty()) return Value(items);
  for (auto part : split(text, ',')) {
    TRY(auto item, typed_value(name, schema["items"], trim(part)));
    items.push_back(std::move(item));
  }
  return Value(std::move(items));
}

// False when `text` is no value of `type`.
bool fits(std::string_view type, const Value& value) {
  if (type == "number") return value.is_number();
  return value.type_name() == type;
}

// Stdin has no name that tells: what does not begin as JSON does is YAML.
bool is_yaml(const std::string& path, std::string_view text) {
  if (path != "-") return path.ends_with(".yaml") || path.ends_with(".yml");
  auto begin = trim(text);
  return !begin.starts_with('{') && !begin.starts_with('[');
}

Result<Value> document_of(const std::string& path, std::string_view text) {
  std::string name = path == "-" ? "stdin" : path;
  if (is_yaml(path, text)) {
    TRY(auto node, parse_yaml(text, name));
    return node.value;
  }
  auto parsed = parse_json(without_mark(text));
  if (!parsed.ok()) return std::move(parsed).error().with_context(name);
  return parsed;
}

Result<Value> content_of(const Value& parameter, const std::string& path) {
  TRY(auto text, read_line_text(path));
  auto types = types_of(parameter["schema"]);
  bool is_document = std::ranges::find(types, "object") != types.end();
  if (is_document) return document_of(path, text);
  return typed_value(parameter.string_or("name", ""), parameter["schema"], text);
}

Result<Value> value_of(const Value& parameter, std::string_view text, bool is_json) {
  auto name = parameter.string_or("name", "");
  bool is_file = !is_json && text.starts_with('@');
  if (parameter.bool_or("secret", false) && !is_file) {
    return usage_error(
        fmt::format("parameter '{}' is secret: a command line can be seen by others, expected "
                    "{}=@FILE or {}=@-",
                    name, name, name));
  }
  if (is_file) return content_of(parameter, std::string(text.substr(1)));
  if (!is_json) return typed_value(name, parameter["schema"], text);
  auto parsed = parse_json(text);
  if (!parsed.ok()) return std::move(parsed).error().with_context(name);
  return parsed;
}

}  // namespace

Result<Value> typed_value(std::string_view name, const Value& schema, std::string_view text) {
  auto types = types_of(schema);
  auto takes = [&](std::string_view type) { return std::ranges::find(types, type) != types.end(); };
  if (takes("array")) return typed_list(name, schema, text);
  auto parsed = parse_json(text);
  if (types.empty()) return parsed.ok() ? *parsed : Value(text);
  for (const auto& type : types) {
    if (type != "string" && parsed.ok() && fits(type, *parsed)) return parsed;
  }
  if (takes("string")) return Value(text);
  if (takes("boolean") && (iequals_ascii(text, "yes") || iequals_ascii(text, "true"))) return true;
  if (takes("boolean") && (iequals_ascii(text, "no") || iequals_ascii(text, "false"))) {
    return Value(false);
  }
  return usage_error(
      fmt::format("parameter '{}': expected {}, found '{}'", name, fmt::join(types, " or "), text));
}

Result<Value> read_parameters(const Value& action, const std::vector<std::string>& words) {
  std::vector<std::string> names;
  const auto& known = action["parameters"];
  if (known.is_list()) {
    for (const auto& one : known.as_list()) names.emplace_back(one.string_or("name", ""));
  }
  Value parameters = Value::map();
  for (const auto& word : words) {
    auto equals = word.find('=');
    if (equals == std::string::npos || equals == 0) {
      return usage_error(
          fmt::format("expected key=value, key=@file or key:=json, found '{}'", word));
    }
    bool is_json = word[equals - 1] == ':';
    auto name = word.substr(0, is_json ? equals - 1 : equals);
    auto found = std::ranges::find(names, name);
    if (found == names.end()) {
      return usage_error(fmt::format("action '{}': no parameter '{}'{}",
                                     action.string_or("ref", ""), name, did_you_mean(name, names)));
    }
    const auto& parameter = known.as_list()[static_cast<size_t>(found - names.begin())];
    TRY(auto value, value_of(parameter, std::string_view(word).substr(equals + 1), is_json));
    if (parameters.find(name)) {
      return usage_error(fmt::format("parameter '{}' is given twice: expected it once", name));
    }
    parameters.set(name, std::move(value));
  }
  return parameters;
}

Result<std::string> read_text(const std::string& path) {
  if (path != "-") return read_file(path, kMaxInput);
  static bool was_read = false;
  if (std::exchange(was_read, true)) {
    return usage_error("'-' is named twice: stdin can be read once, expected a file for the other");
  }
  std::string text;
  std::vector<char> piece(64 << 10);
  while (true) {
    ssize_t count = ::read(STDIN_FILENO, piece.data(), piece.size());
    if (count < 0 && errno == EINTR) continue;
    // Not the end: what was to be read would become an empty text.
    if (count < 0) {
      return usage_error(fmt::format("stdin cannot be read: {}", std::strerror(errno)));
    }
    if (count == 0) return text;
    text.append(piece.data(), static_cast<size_t>(count));
    if (text.size() > kMaxInput) {
      return usage_error(fmt::format("stdin: expected at most {} bytes", kMaxInput));
    }
  }
}

Result<std::string> read_line_text(const std::string& path) {
  TRY(auto text, read_text(path));
  std::string_view line = without_mark(text);
  if (line.ends_with('\n')) line.remove_suffix(line.ends_with("\r\n") ? 2 : 1);
  return std::string(line);
}

Result<Value> read_document(const std::string& path) {
  TRY(auto text, read_text(path));
  return document_of(path, text);
}

Result<Value> json_or_file(std::string_view option, const std::string& text) {
  if (text.starts_with('@')) return read_document(text.substr(1));
  auto value = parse_json(text);
  if (value.ok()) return value;
  auto head = trim(text);
  bool is_json = head.starts_with('{') || head.starts_with('[');
  if (!is_json) return read_document(text);
  return std::move(value).error().with_context(option);
}

namespace {

// The JSON pointer of the first text that is not UTF-8. `at` leads here.
std::optional<std::string> first_bytes(const Value& value, const std::string& at) {
  if (value.is_string() && !is_utf8(value.as_string())) return at;
  if (value.is_map()) {
    for (const auto& entry : value.as_map()) {
      auto below = fmt::format("{}/{}", at, entry.name());
      if (!is_utf8(entry.name())) return below;
      if (auto found = first_bytes(entry.value, below)) return found;
    }
  }
  if (value.is_list()) {
    for (size_t i = 0; i < value.size(); ++i) {
      if (auto found = first_bytes(value.as_list()[i], fmt::format("{}/{}", at, i))) return found;
    }
  }
  return std::nullopt;
}

}  // namespace

Result<void> check_texts(const Value& body) {
  auto found = first_bytes(body, "");
  if (!found) return {};
  return Error(ErrorKind::Invalid, "CLI-0006",
               fmt::format("{}: expected text in UTF-8, found other bytes: nothing was sent; pass "
                           "them as base64",
                           found->empty() ? "the value" : *found));
}

Result<int64_t> parse_duration(std::string_view name, std::string_view text) {
  constexpr std::pair<std::string_view, int64_t> kUnits[] = {
      {"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}};
  int64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  for (const auto& [known, ms] : kUnits) {
    if (error == std::errc() && number > 0 && number < 1'000'000'000 && unit == known) {
      return number * ms;
    }
  }
  return usage_error(
      fmt::format("{}: expected a time such as 500ms, 30s, 5m, 2h, found '{}'", name, text));
}

Result<int64_t> parse_seconds(std::string_view name, std::string_view text) {
  TRY(auto ms, parse_duration(name, text));
  if (ms % 1000 == 0) return ms / 1000;
  return usage_error(fmt::format("{}: expected whole seconds, found '{}'", name, text));
}

Result<int64_t> parse_count(std::string_view name, std::string_view text, int64_t least) {
  int64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size() && number >= least) return number;
  return usage_error(
      fmt::format("{}: expected a number from {} on, found '{}'", name, least, text));
}

}  // namespace millrace::cli
