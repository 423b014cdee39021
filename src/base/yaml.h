// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/value.h"

namespace millrace {

// What stops a hostile file. Nodes are counted after aliases are expanded.
struct YamlLimits {
  size_t max_bytes = 1 << 20;
  size_t max_depth = 64;
  size_t max_nodes = 100'000;
  size_t max_keys = 10'000;  // of one map, merged ones too
};

// A YAML value that knows where it stands. Scalars are resolved as PyYAML's safe loader does
// (YAML 1.1: `yes` is true, `0o17` and `1e3` are strings, `017` is 15, `1:30` is 90), so that
// StackStorm's files mean what they mean there; dates stay strings. A key that is no string becomes
// its text.
struct YamlNode {
  Value value;                     // the whole subtree
  std::string text;                // of a scalar: as written, without its quotes
  std::string key;                 // of an entry of a map
  int line = 1;                    // of the key, of an item, of the root; from 1
  std::vector<YamlNode> children;  // items, or entries in the order of the file

  const YamlNode* find(std::string_view name) const;
  // The line of the deepest node that exists on the way of a JSON pointer (RFC 6901).
  int line_of(std::string_view json_pointer) const;
};

// Parses one YAML document; an empty text is null. `<<` merges. Errors (Invalid, BAS-0006) carry
// one problem per mistake with the path `file:line`: bad syntax, repeated keys, a second document,
// unknown tags, more than the limits allow. At most 100 are told.
Result<YamlNode> parse_yaml(std::string_view text, std::string_view file,
                            const YamlLimits& limits = {});

// Block style, two spaces per level, a newline at the end. parse_yaml reads it back as the same
// value, but for bytes that are no UTF-8.
std::string to_yaml(const Value& value);

}  // namespace millrace
