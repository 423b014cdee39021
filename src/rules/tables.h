// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/hash.h"
#include "base/value_hash.h"
#include "rules/intervals.h"
#include "rules/literals.h"
#include "rules/path_tree.h"
#include "rules/rule.h"

namespace millrace::rules {

using RuleNumbers = std::vector<uint32_t>;

// Rules of one trigger in the order of their refs, and what leads an event to those that it may
// match: for each place and each kind of test one arrangement. A rule is filed under that of its
// tests which the fewest others share. Immutable.
class Tables {
 public:
  explicit Tables(std::vector<RulePtr> rules);
  ~Tables();

  // A rule's number is its position here.
  const std::vector<RulePtr>& rules() const { return rules_; }
  // By slot.
  std::span<const Path* const> paths() const { return paths_; }
  // For each path of the rule: its slot.
  std::span<const uint32_t> slots_of(uint32_t number) const {
    return {slots_.data() + first_slot_[number], rules_[number]->paths().size()};
  }
  std::optional<uint32_t> find(std::string_view ref) const;

  // Ascending, each once. `values` are those of paths(), of the event of `scope`.
  RuleNumbers candidates(const EventScope& scope, PathValues& values) const;
  // How many rules are tried for every event.
  size_t one_by_one() const { return one_by_one_.size(); }

 private:
  class Builder;
  struct Place;

  std::vector<RulePtr> rules_;
  std::vector<const Path*> paths_;  // owned by the rules
  std::vector<uint32_t> slots_;
  std::vector<uint32_t> first_slot_;                  // of each rule, in slots_
  PathTree tree_;                                     // of the slots that have a place
  std::vector<std::unique_ptr<const Place>> places_;  // by slot
  std::vector<uint32_t> absent_;                      // slots by whose absence rules are found
  RuleNumbers one_by_one_;
};

}  // namespace millrace::rules
