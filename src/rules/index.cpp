// SPDX-License-Identifier: Apache-2.0
#include "rules/index.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <unordered_map>

#include "base/value_hash.h"

namespace millrace::rules {
namespace {

bool is_scalar(const Value& value) {
  return value.is_string() || value.is_number() || value.is_bool();
}

// One test by which a rule can be found: its place must have one of these values, or this prefix.
struct AccessTest {
  const Criterion* criterion;
  bool is_prefix = false;

  std::span<const Value> values() const {
    const Value& pattern = criterion->pattern;
    return pattern.is_list() ? std::span<const Value>(pattern.as_list()) : std::span(&pattern, 1);
  }
};

void gather_tests(const Criterion& criterion, std::vector<AccessTest>& out) {
  if (criterion.kind == Criterion::Kind::All) {
    for (const Criterion& part : criterion.parts) gather_tests(part, out);
  }
  if (criterion.kind != Criterion::Kind::Test || !criterion.matcher) return;
  const Value& pattern = criterion.pattern;
  bool is_choice = criterion.op == Operator::Inside && pattern.is_list() &&
                   std::ranges::all_of(pattern.as_list(), is_scalar);
  bool is_prefix =
      criterion.op == Operator::StartsWith && pattern.is_string() && pattern.size() > 0;
  if ((criterion.op == Operator::Equals && is_scalar(pattern)) || is_choice || is_prefix) {
    out.push_back({&criterion, is_prefix});
  }
}

std::vector<AccessTest> access_tests(const CompiledRule& rule) {
  std::vector<AccessTest> tests;
  gather_tests(rule.trigger_criteria(), tests);
  gather_tests(rule.criteria(), tests);
  return tests;
}

using RuleNumbers = std::vector<uint32_t>;
using ByValue = std::unordered_map<Value, RuleNumbers, ValueHash>;
using ByPrefix = std::unordered_map<std::string, RuleNumbers, StringHash, std::equal_to<>>;

std::string_view ref_of(const RulePtr& rule) { return rule->spec().ref; }

// Rules in the order of their refs, and the tables that lead to those that an event may match.
class Tables {
 public:
  explicit Tables(std::vector<RulePtr> rules) : rules_(std::move(rules)) {
    std::ranges::sort(rules_, {}, ref_of);
    number_paths();
    arrange();
  }

  // A rule's number is its position here.
  const std::vector<RulePtr>& rules() const { return rules_; }
  // By slot.
  std::span<const Path* const> paths() const { return paths_; }
  // For each path of the rule: its slot.
  std::span<const uint32_t> slots_of(uint32_t number) const {
    return {slots_.data() + first_slot_[number], rules_[number]->paths().size()};
  }
  std::optional<uint32_t> find(std::string_view ref) const {
    auto found = std::ranges::lower_bound(rules_, ref, {}, ref_of);
    if (found == rules_.end() || ref_of(*found) != ref) return std::nullopt;
    return static_cast<uint32_t>(found - rules_.begin());
  }

  // Every rule stands in one table only, so that none is found twice. Ascending.
  RuleNumbers candidates(PathValues& values) const {
    RuleNumbers out = one_by_one_;
    auto add = [&](const RuleNumbers& numbers) {
      out.insert(out.end(), numbers.begin(), numbers.end());
    };
    for (const EqualityTable& table : equalities_) {
      const Value* value = values.get(table.slot);
      if (!value || !is_scalar(*value)) continue;
      auto found = table.rules.find(*value);
      if (found != table.rules.end()) add(found->second);
    }
    for (const PrefixTable& table : prefixes_) {
      const Value* value = values.get(table.slot);
      if (!value || !value->is_string()) continue;
      std::string_view text = value->as_string();
      for (size_t size : table.sizes) {
        if (size > text.size()) break;
        auto found = table.rules.find(text.substr(0, size));
        if (found != table.rules.end()) add(found->second);
      }
    }
    if (out.size() > one_by_one_.size()) std::ranges::sort(out);
    return out;
  }

 private:
  struct EqualityTable {
    uint32_t slot;
    ByValue rules;
  };
  struct PrefixTable {
    uint32_t slot;
    std::set<size_t> sizes;  // of the prefixes
    ByPrefix rules;
  };
  using Places = std::unordered_map<uint32_t, size_t>;  // by slot: where its table stands

  // Gives each distinct place of the event one slot, however many rules look at it.
  void number_paths() {
    std::unordered_map<std::string_view, uint32_t, StringHash> known;
    for (const RulePtr& rule : rules_) {
      first_slot_.push_back(static_cast<uint32_t>(slots_.size()));
      for (const Path& path : rule->paths()) {
        auto [entry, is_new] = known.try_emplace(path.key(), static_cast<uint32_t>(paths_.size()));
        if (is_new) paths_.push_back(&path);
        slots_.push_back(entry->second);
      }
    }
  }

  // A rule is filed under that of its tests which the fewest rules share.
  void arrange() {
    std::vector<std::vector<AccessTest>> tests;
    std::unordered_map<uint32_t, ByValue> shared;  // by slot: who has a test for this value
    for (uint32_t number = 0; number < rules_.size(); ++number) {
      tests.push_back(access_tests(*rules_[number]));
      for (const AccessTest& test : tests.back()) {
        auto& by_value = shared[slots_of(number)[test.criterion->slot]];
        for (const Value& value : test.values()) by_value[value].push_back(number);
      }
    }
    for (uint32_t number = 0; number < rules_.size(); ++number) {
      auto cost = [&](const AccessTest& test) {
        const auto& by_value = shared[slots_of(number)[test.criterion->slot]];
        size_t rules = test.is_prefix ? 1 : 0;  // an equality is the better of two equals
        for (const Value& value : test.values()) rules += by_value.find(value)->second.size();
        return rules;
      };
      auto best = std::ranges::min_element(tests[number], {}, cost);
      if (best == tests[number].end()) {
        one_by_one_.push_back(number);
      } else {
        file(number, *best);
      }
    }
  }

  void file(uint32_t number, const AccessTest& test) {
    uint32_t slot = slots_of(number)[test.criterion->slot];
    if (test.is_prefix) {
      std::string prefix(test.criterion->pattern.as_string());
      PrefixTable& table = table_of(prefixes_, prefix_at_, slot);
      table.sizes.insert(prefix.size());
      table.rules[std::move(prefix)].push_back(number);
      return;
    }
    EqualityTable& table = table_of(equalities_, equality_at_, slot);
    for (const Value& value : test.values()) {
      RuleNumbers& numbers = table.rules[value];
      if (numbers.empty() || numbers.back() != number) numbers.push_back(number);
    }
  }

  template <typename Table>
  static Table& table_of(std::vector<Table>& tables, Places& places, uint32_t slot) {
    auto [at, is_new] = places.try_emplace(slot, tables.size());
    if (is_new) tables.push_back({.slot = slot});
    return tables[at->second];
  }

  std::vector<RulePtr> rules_;
  std::vector<const Path*> paths_;  // owned by the rules
  std::vector<uint32_t> slots_;
  std::vector<uint32_t> first_slot_;  // of each rule, in slots_
  std::vector<EqualityTable> equalities_;
  std::vector<PrefixTable> prefixes_;
  Places equality_at_, prefix_at_;
  RuleNumbers one_by_one_;
};

}  // namespace

// The rules of one trigger: many in tables that stay as they are, and the few that changed since in
// small ones, so that changing one of 10,000 rules costs no new tables for all.
class RuleIndex::OfTrigger {
 public:
  explicit OfTrigger(std::vector<RulePtr> rules)
      : settled_(std::make_shared<const Tables>(std::move(rules))),
        recent_(std::make_shared<const Tables>(std::vector<RulePtr>())) {}

  size_t size() const {
    return settled_->rules().size() - hidden_.size() + recent_->rules().size();
  }
  // Those of these refs that it has. Looks at whichever are fewer: many rules may have changed, of
  // as many triggers.
  std::set<std::string_view> known_of(const std::set<std::string_view>& refs) const {
    std::set<std::string_view> known;
    if (refs.size() <= size()) {
      for (std::string_view ref : refs) {
        auto number = settled_->find(ref);
        if (recent_->find(ref) || (number && !is_hidden(*number))) known.insert(ref);
      }
      return known;
    }
    for (const Tables* tables : {settled_.get(), recent_.get()}) {
      for (const RulePtr& rule : tables->rules()) {
        if (auto found = refs.find(ref_of(rule)); found != refs.end()) known.insert(*found);
      }
    }
    return known;
  }

  // Without the rules of these refs, and with the added ones.
  std::shared_ptr<const OfTrigger> changed(const std::set<std::string_view>& refs,
                                           std::vector<RulePtr> added) const {
    RuleNumbers hidden = hidden_;
    for (std::string_view ref : refs) {
      if (auto number = settled_->find(ref); number && !is_hidden(*number)) {
        hidden.push_back(*number);
      }
    }
    std::ranges::sort(hidden);
    std::vector<RulePtr> recent = std::move(added);
    for (const RulePtr& rule : recent_->rules()) {
      if (!refs.contains(ref_of(rule))) recent.push_back(rule);
    }
    // Both kinds of work are about equal at the root of the number of rules.
    size_t few = 32 + static_cast<size_t>(std::sqrt(settled_->rules().size()));
    if (recent.size() + hidden.size() > few) {
      const auto& rules = settled_->rules();
      for (uint32_t number = 0; number < rules.size(); ++number) {
        if (!std::ranges::binary_search(hidden, number)) recent.push_back(rules[number]);
      }
      return std::make_shared<const OfTrigger>(std::move(recent));
    }
    auto out = std::make_shared<OfTrigger>(*this);
    out->hidden_ = std::move(hidden);
    out->recent_ = std::make_shared<const Tables>(std::move(recent));
    return out;
  }

  Result<std::vector<Match>> match(const EventScope& scope, expr::Engine& engine) const {
    PathValues settled_values(scope.event, settled_->paths());
    PathValues recent_values(scope.event, recent_->paths());
    RuleNumbers settled = settled_->candidates(settled_values);
    RuleNumbers recent = recent_->candidates(recent_values);
    std::erase_if(settled, [&](uint32_t number) { return is_hidden(number); });
    std::vector<Match> matches;
    std::optional<Error> needs;
    for (bool backstop : {false, true}) {
      size_t before = matches.size();
      try_all(*settled_, settled, backstop, settled_values, scope, engine, matches, needs);
      size_t of_settled = matches.size();
      try_all(*recent_, recent, backstop, recent_values, scope, engine, matches, needs);
      bool is_mixed = of_settled > before && matches.size() > of_settled;
      if (is_mixed || before > 0) {
        std::ranges::sort(matches, {}, [](auto& m) { return ref_of(m.rule); });
      }
      if (!std::ranges::all_of(matches, [](auto& m) { return m.failure.has_value(); })) break;
    }
    if (needs) return std::move(*needs);
    return matches;
  }

 private:
  bool is_hidden(uint32_t number) const { return std::ranges::binary_search(hidden_, number); }

  static void try_all(const Tables& tables, const RuleNumbers& candidates, bool backstop,
                      PathValues& values, const EventScope& scope, expr::Engine& engine,
                      std::vector<Match>& matches, std::optional<Error>& needs) {
    for (uint32_t number : candidates) {
      const RulePtr& rule = tables.rules()[number];
      if (rule->spec().backstop != backstop) continue;
      auto may = scope.may_judge ? (*scope.may_judge)(*rule) : Result<void>();
      if (!may.ok()) {
        matches.push_back({.rule = rule, .failure = std::move(may).error()});
        continue;
      }
      Judge judge(scope, rule->name(), values, tables.slots_of(number), engine);
      bool holds = judge.holds(rule->trigger_criteria()) && judge.holds(rule->criteria());
      if (judge.need()) {
        expr::add_needs(needs, *judge.need());
        continue;
      }
      if (!holds && !judge.spent()) continue;
      Match& match = matches.emplace_back(Match{.rule = rule});
      if (holds && !needs) {
        judge.explain_each(rule->trigger_criteria(), match.verdicts);
        judge.explain_each(rule->criteria(), match.verdicts);
      }
      match.failure = judge.spent();
    }
  }

  std::shared_ptr<const Tables> settled_;
  RuleNumbers hidden_;  // of settled_: rules that are gone or replaced since. Ascending
  std::shared_ptr<const Tables> recent_;
};

RuleIndex::RuleIndex(std::vector<RulePtr> rules) { *this = RuleIndex().with(std::move(rules)); }

RuleIndex RuleIndex::changed_by(std::vector<RulePtr> changed,
                                std::set<std::string_view> gone) const {
  std::set<std::string_view> refs = std::move(gone);
  std::map<std::string_view, std::vector<RulePtr>> added;
  for (const RulePtr& rule : changed) {
    refs.insert(ref_of(rule));
    if (rule->spec().enabled) added[rule->spec().trigger].push_back(rule);
  }
  RuleIndex out = *this;
  for (const auto& [trigger, of_trigger] : triggers_) {
    auto more = added.find(trigger);
    auto known = of_trigger->known_of(refs);
    if (known.empty() && more == added.end()) continue;
    out.put(trigger, of_trigger->changed(
                         known, more == added.end() ? std::vector<RulePtr>() : more->second));
    if (more != added.end()) added.erase(more);
  }
  for (auto& [trigger, rules] : added) {
    out.put(std::string(trigger), std::make_shared<const OfTrigger>(std::move(rules)));
  }
  return out;
}

void RuleIndex::put(const std::string& trigger, std::shared_ptr<const OfTrigger> rules) {
  if (rules->size() == 0) {
    triggers_.erase(trigger);
  } else {
    triggers_[trigger] = std::move(rules);
  }
}

size_t RuleIndex::size() const {
  size_t count = 0;
  for (const auto& [trigger, of_trigger] : triggers_) count += of_trigger->size();
  return count;
}

Result<std::vector<Match>> RuleIndex::match(const EventScope& scope, expr::Engine& engine) const {
  auto found = triggers_.find(scope.event.string_or("trigger", ""));
  if (found == triggers_.end()) return std::vector<Match>();
  return found->second->match(scope, engine);
}

}  // namespace millrace::rules
