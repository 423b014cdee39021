// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "rules/rule.h"

namespace millrace::rules {

struct Match {
  RulePtr rule;
  std::vector<Verdict> verdicts;  // of its trigger parameters and criteria; all hold
  // Whether it matches could not be told: the event's allowance was spent (RUL-0012).
  std::optional<Error> failure;
};

// All enabled rules, arranged so that an event meets only those that it may match: by trigger,
// then by the rarest test of each rule (access.h, tables.h); only rules of which nothing is known
// are tried one by one. An immutable snapshot: matching is safe from several threads (each with its
// own engine), and a changed rule makes a new snapshot that shares all compiled rules, the
// arrangement of every other trigger and most of its own one's.
class RuleIndex {
 public:
  RuleIndex() = default;
  // Rules that are not enabled are left out. Refs are unique.
  explicit RuleIndex(std::vector<RulePtr> rules);

  // With these rules added, or put in the place of those of the same refs.
  RuleIndex with(std::vector<RulePtr> changed) const { return changed_by(std::move(changed), {}); }
  RuleIndex without(std::string_view ref) const { return changed_by({}, {ref}); }
  // Both at once; none is in both.
  RuleIndex changed_by(std::vector<RulePtr> changed, std::set<std::string_view> gone) const;
  size_t size() const;
  bool has_rules_on(std::string_view trigger) const { return triggers_.contains(trigger); }

  // The rules that match, and those that could not be judged, in the order of their refs. Backstop
  // rules count only when no other rule matches. Error EXP-0004 (expr::needed_keys), for all rules
  // together: load the values and match again.
  Result<std::vector<Match>> match(const EventScope& scope, expr::Engine& engine) const;

 private:
  class OfTrigger;
  using Triggers = std::map<std::string, std::shared_ptr<const OfTrigger>, std::less<>>;
  void put(const std::string& trigger, std::shared_ptr<const OfTrigger> rules);

  Triggers triggers_;
};

}  // namespace millrace::rules
