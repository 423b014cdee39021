// SPDX-License-Identifier: Apache-2.0
#include "base/fuzzing.h"
#include "base/json.h"
#include "base/yaml.h"
#include "base/yaml_scalar.h"

namespace millrace {
namespace {

constexpr YamlLimits kLimits{.max_depth = 32, .max_nodes = 10'000};

struct Size {
  size_t nodes = 0;
  size_t depth = 0;
};

Size size_of(const Value& value) {
  Size size{.nodes = 1, .depth = 1};
  auto add = [&](const Value& part) {
    Size below = size_of(part);
    size.nodes += below.nodes;
    size.depth = std::max(size.depth, below.depth + 1);
  };
  if (value.is_list()) {
    for (const Value& item : value.as_list()) add(item);
  } else if (value.is_map()) {
    for (const auto& entry : value.as_map()) add(entry.value);
  }
  return size;
}

// What may be read is not larger than the limits say, and is the same when it is written and read
// again (in JSON's spelling: NaN is not equal to itself).
FUZZ(yaml) {
  auto document = parse_yaml(input, "f.yaml", kLimits);
  if (!document.ok()) {
    ASSERT(!document.error().problems().empty());
    return;
  }
  Size size = size_of(document->value);
  ASSERT(size.nodes <= kLimits.max_nodes);
  ASSERT(size.depth <= kLimits.max_depth + 1);
  (void)document->line_of("/a/0/b");
  std::string text = to_yaml(document->value);
  bool has_block = text.find("|-\n") != text.npos;
  if (fuzz::planted() && has_block) text.erase(text.find("|-\n") + 1, 1);
  auto again = parse_yaml(text, "f.yaml", {.max_bytes = 64 << 20, .max_nodes = SIZE_MAX});
  ASSERT_MSG(again.ok(), text);
  ASSERT_MSG(to_json(again->value) == to_json(document->value), text);
}

}  // namespace
}  // namespace millrace
