// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/hash.h"
#include "base/value.h"
#include "rules/path.h"

namespace millrace::rules {

// Many places of an event, found in one walk that follows only what both the event and the paths
// have: a hundred thousand paths cost an event no more than its own values.
class PathTree {
 public:
  // `path` must outlive this.
  void add(const Path& path, uint32_t slot);
  // Calls `found` for each place that `root` has, once.
  void walk(const Value& root,
            const std::function<void(uint32_t slot, const Value& value)>& found) const;

 private:
  struct Node {
    // Names are those of the paths.
    std::unordered_map<std::string_view, uint32_t, StringHash, std::equal_to<>> by_name;
    std::unordered_map<size_t, uint32_t> by_index;
    std::optional<uint32_t> slot;
    std::vector<std::pair<uint32_t, const Path*>> each;  // [*] comes next: each looks for itself
  };
  using Found = std::function<void(uint32_t, const Value&)>;
  void walk(uint32_t node, const Value& at, const Value& root, const Found& found) const;

  std::vector<Node> nodes_ = std::vector<Node>(1);
};

}  // namespace millrace::rules
