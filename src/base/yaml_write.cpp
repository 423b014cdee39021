// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/json.h"
#include "base/yaml.h"
#include "base/yaml_scalar.h"

namespace millrace {
namespace {

// A plain scalar must read back as the same string, and its first and last characters must not
// be read as syntax.
bool can_be_plain(std::string_view text) {
  if (text.empty() || text.size() > 200) return false;
  auto is_safe = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view(" _-./+,()'@=<>;$~*").find(c) != std::string_view::npos;
  };
  if (!std::ranges::all_of(text, is_safe)) return false;
  auto starts_safely = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '/' ||
           c == '_' || c == '(';
  };
  if (!starts_safely(text.front()) || text.back() == ' ') return false;
  // Readers of YAML 1.2 see numbers and dates where PyYAML sees text.
  double number = 0;
  bool is_number = std::from_chars(text.data(), text.data() + text.size(), number).ptr ==
                   text.data() + text.size();
  return !is_number && yaml_scalar_kind(text) == YamlScalar::String;
}

// A float with a point and a sign in its exponent: else it would be read as text.
void append_float(std::string& out, double number) {
  if (!std::isfinite(number)) {
    out += std::isnan(number) ? ".nan" : number < 0 ? "-.inf" : ".inf";
    return;
  }
  std::string text = to_json(Value(number));
  auto exponent = text.find('e');
  if (exponent != std::string::npos) {
    if (text[exponent + 1] != '-' && text[exponent + 1] != '+') text.insert(exponent + 1, 1, '+');
    if (text.find('.') == std::string::npos) text.insert(exponent, ".0");
  }
  out += text;
}

// `|` keeps lines as they are; what it cannot hold is quoted.
bool can_be_block(std::string_view text) {
  if (text.find('\n') == std::string_view::npos || text.front() == ' ' || text.front() == '\n') {
    return false;
  }
  if (text.ends_with("\n\n") || text.find(" \n") != std::string_view::npos) return false;
  return is_utf8(text) && std::ranges::none_of(text, [](char c) {
           auto byte = static_cast<unsigned char>(c);
           return (byte < 0x20 && byte != '\n') || byte >= 0x7f;
         });
}

void append_block(std::string& out, std::string_view text, size_t indent) {
  out += text.ends_with('\n') ? "|\n" : "|-\n";
  if (text.ends_with('\n')) text.remove_suffix(1);
  while (true) {
    auto end = text.find('\n');
    auto line = text.substr(0, end);
    if (!line.empty()) out.append(indent, ' ').append(line);
    out += '\n';
    if (end == std::string_view::npos) return;
    text.remove_prefix(end + 1);
  }
}

void append_string(std::string& out, std::string_view text, size_t indent) {
  if (can_be_plain(text)) {
    out.append(text) += '\n';
  } else if (can_be_block(text)) {
    append_block(out, text, indent);
  } else {
    append_json_string(out, text);
    out += '\n';
  }
}

void append_key(std::string& out, std::string_view name, size_t indent) {
  std::string key;
  if (can_be_plain(name)) {
    key = name;
  } else {
    append_json_string(key, name);
  }
  // Without a mark in front a key ends within 1024 characters.
  constexpr size_t kLongestUnmarked = 1000;
  if (key.size() > kLongestUnmarked) {
    out.append("? ").append(key).append("\n").append(indent, ' ');
  } else {
    out += key;
  }
  out += ':';
}

bool is_nested(const Value& value) {
  return (value.is_map() || value.is_list()) && value.size() > 0;
}

// Writes a value after `key:` or `-`; the cursor stands at the end of that.
void append(std::string& out, const Value& value, size_t indent);

void append_entries(std::string& out, const Value& value, size_t indent, bool first_is_indented) {
  bool indented = first_is_indented;
  auto begin_line = [&] {
    if (!indented) out.append(indent, ' ');
    indented = false;
  };
  if (value.is_list()) {
    for (const auto& item : value.as_list()) {
      begin_line();
      out += '-';
      if (is_nested(item)) {
        out += ' ';
        append_entries(out, item, indent + 2, true);
      } else {
        append(out, item, indent + 2);
      }
    }
    return;
  }
  for (const auto& entry : value.as_map()) {
    begin_line();
    append_key(out, entry.name(), indent);
    append(out, entry.value, indent + 2);
  }
}

void append(std::string& out, const Value& value, size_t indent) {
  if (is_nested(value)) {
    out += '\n';
    append_entries(out, value, indent, false);
  } else if (value.is_string()) {
    out += ' ';
    append_string(out, value.as_string(), indent);
  } else if (value.is_float()) {
    out += ' ';
    append_float(out, value.as_float());
    out += '\n';
  } else {
    out += ' ';
    append_json(out, value);
    out += '\n';
  }
}

}  // namespace

std::string to_yaml(const Value& value) {
  std::string out;
  if (is_nested(value)) {
    append_entries(out, value, 0, false);
  } else {
    append(out, value, 2);
    out.erase(0, 1);
  }
  return out;
}

}  // namespace millrace
