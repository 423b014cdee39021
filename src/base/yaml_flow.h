// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace millrace {

// A node has its tag written out: of a long prefix, given once by %TAG, each node makes a copy.
inline constexpr size_t kLongestYamlTag = 256;

// yaml-cpp keeps every token of a line of brackets until the first of them is closed, hundreds of
// bytes each, before it tells of anything. So what stands in brackets is counted before, without
// memory.
struct YamlFlow {
  enum class Fault { TooDeep, TooMany };
  Fault fault;
  int line;  // from 1
};

// The place where `[` and `{` nest `most_levels` deep, or where the scalars and collections in them
// become more than `most_nodes`; none in a text that stays below. Brackets in quotes, comments,
// plain and block scalars do not count. A text that it finds fault with has the fault or is no
// YAML; it may overlook one.
std::optional<YamlFlow> find_flow_fault(std::string_view text, size_t most_levels,
                                        size_t most_nodes);

}  // namespace millrace
