// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "expr/functions.h"
#include "expr/item.h"

// JSON and YAML as Python's json and PyYAML write and read them, and JSONPath of jsonpath_rw.
namespace millrace::expr {

inline constexpr int64_t kMostIndent = 64;  // blanks a level

struct JsonStyle {
  std::optional<int64_t> indent;  // none, or up to kMostIndent; see json_indent
  bool sort_keys = false;
  std::string item_separator = ", ";
  std::string key_separator = ": ";
  bool ascii_only = true;
};

// The argument `indent` of a function: null, or an integer up to kMostIndent, else a ValueError.
Result<std::optional<int64_t>> json_indent(const Item& given);

// json.dumps. In YAQL the maps of the input are no dicts: a TypeError, as in the reference.
Result<std::string> dump_json(Evaluator& eval, const Item& item, const JsonStyle& style);
Result<Item> load_json(Evaluator& eval, std::string_view text);

struct YamlStyle {
  int64_t indent = 2;
  bool allow_unicode = true;
};

// yaml.safe_dump(default_flow_style=False) and yaml.safe_load; a timestamp stays a string.
Result<std::string> dump_yaml(Evaluator& eval, const Item& item, const YamlStyle& style);
Result<Item> load_yaml(Evaluator& eval, std::string_view text);
// What a plain scalar means by YAML 1.1 (yes, 0x1F, 1:30, ~); nothing for a string.
std::optional<Item> resolve_yaml_scalar(std::string_view text);
bool is_yaml_timestamp(std::string_view text);

// The values at `path`, or null when there are none.
Result<Item> query_jsonpath(Evaluator& eval, const Item& item, std::string_view path);

// For YAQL: whether Python would see a dict or a list here, not a frozen copy.
bool is_python_dict(const Evaluator& eval, const Item& item);
bool is_python_list(const Evaluator& eval, const Item& item);
bool is_map(const Item& item);
bool is_sequence(const Item& item);  // list or tuple
// The entries of a map (keys, values in step).
Result<std::vector<std::pair<Item, Item>>> entries_of(Evaluator& eval, const Item& map);

}  // namespace millrace::expr
