// SPDX-License-Identifier: Apache-2.0
#include "rules/index.h"

#include <algorithm>
#include <set>
#include <unordered_map>

#include "base/text.h"

namespace millrace::rules {
namespace {

// Equal scalars hash alike: 1 and 1.0 are equal.
struct ScalarHash {
  size_t operator()(const Value& value) const noexcept {
    if (value.is_string()) return std::hash<std::string_view>{}(value.as_string());
    if (value.is_number()) return std::hash<double>{}(value.as_float());
    return value.is_bool() && value.as_bool() ? 1 : 2;
  }
};

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
using ByValue = std::unordered_map<Value, RuleNumbers, ScalarHash>;
using ByPrefix = std::unordered_map<std::string, RuleNumbers, StringHash, std::equal_to<>>;

}  // namespace

// The rules of one trigger and the tables that lead to them.
class RuleIndex::OfTrigger {
 public:
  explicit OfTrigger(std::vector<RulePtr> rules) : rules_(std::move(rules)) {
    std::ranges::sort(rules_, {}, [](const RulePtr& r) { return std::string_view(r->spec().ref); });
    number_paths();
    arrange();
  }

  const std::vector<RulePtr>& rules() const { return rules_; }

  Result<std::vector<Match>> match(const EventScope& scope, expr::Engine& engine) const {
    PathValues values(scope.event, paths_);
    RuleNumbers candidates = find_candidates(values);
    std::vector<Match> matches;
    for (bool backstop : {false, true}) {
      for (uint32_t number : candidates) {
        const RulePtr& rule = rules_[number];
        if (rule->spec().backstop != backstop) continue;
        Judge judge(scope, rule->pack(), values, slots_of(number), engine);
        bool holds = judge.holds(rule->trigger_criteria()) && judge.holds(rule->criteria());
        if (judge.need()) return *judge.need();
        if (holds) matches.push_back({rule, verdicts(*rule, judge)});
      }
      if (!matches.empty()) break;
    }
    return matches;
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

  std::span<const uint32_t> slots_of(uint32_t number) const {
    return {slots_.data() + first_slot_[number], rules_[number]->paths().size()};
  }

  // Gives each distinct place of the event one slot, however many rules look at it.
  void number_paths() {
    std::unordered_map<std::string_view, uint32_t> known;
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
      PrefixTable& table = table_of(prefixes_, slot);
      table.sizes.insert(prefix.size());
      table.rules[std::move(prefix)].push_back(number);
      return;
    }
    EqualityTable& table = table_of(equalities_, slot);
    for (const Value& value : test.values()) {
      RuleNumbers& numbers = table.rules[value];
      if (numbers.empty() || numbers.back() != number) numbers.push_back(number);
    }
  }

  template <typename Table>
  static Table& table_of(std::vector<Table>& tables, uint32_t slot) {
    auto found = std::ranges::find(tables, slot, &Table::slot);
    if (found == tables.end()) found = tables.insert(found, Table{.slot = slot});
    return *found;
  }

  // Every rule stands in one table only, so that none is found twice.
  RuleNumbers find_candidates(PathValues& values) const {
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

  static std::vector<Verdict> verdicts(const CompiledRule& rule, Judge& judge) {
    std::vector<Verdict> out;
    for (const Criterion& part : rule.trigger_criteria().parts) out.push_back(judge.explain(part));
    const Criterion& criteria = rule.criteria();
    if (criteria.kind != Criterion::Kind::All) {
      out.push_back(judge.explain(criteria));
      return out;
    }
    for (const Criterion& part : criteria.parts) out.push_back(judge.explain(part));
    return out;
  }

  std::vector<RulePtr> rules_;        // by ref; their numbers are positions here
  std::vector<const Path*> paths_;    // by slot; owned by the rules
  std::vector<uint32_t> slots_;       // for each rule, for each of its paths: the slot
  std::vector<uint32_t> first_slot_;  // of each rule, in slots_
  std::vector<EqualityTable> equalities_;
  std::vector<PrefixTable> prefixes_;
  RuleNumbers one_by_one_;
};

RuleIndex::RuleIndex(std::vector<RulePtr> rules) { *this = RuleIndex().with(std::move(rules)); }

RuleIndex RuleIndex::with(std::vector<RulePtr> changed) const {
  std::set<std::string_view> refs;
  for (const RulePtr& rule : changed) refs.insert(rule->spec().ref);
  std::map<std::string_view, std::vector<RulePtr>> added;
  for (const RulePtr& rule : changed) {
    if (rule->spec().enabled) added[rule->spec().trigger].push_back(rule);
  }
  RuleIndex out = *this;
  for (const auto& [trigger, of_trigger] : triggers_) {
    std::vector<RulePtr> kept;
    for (const RulePtr& rule : of_trigger->rules()) {
      if (!refs.contains(rule->spec().ref)) kept.push_back(rule);
    }
    auto more = added.find(trigger);
    bool same = kept.size() == of_trigger->rules().size() && more == added.end();
    if (more != added.end()) {
      std::ranges::copy(more->second, std::back_inserter(kept));
      added.erase(more);
    }
    if (!same) out.rebuild(trigger, std::move(kept));
  }
  for (auto& [trigger, rules] : added) out.rebuild(trigger, std::move(rules));
  return out;
}

RuleIndex RuleIndex::without(std::string_view ref) const {
  RuleIndex out = *this;
  for (const auto& [trigger, of_trigger] : triggers_) {
    std::vector<RulePtr> kept = of_trigger->rules();
    auto removed =
        std::ranges::remove(kept, ref, [](auto& r) -> std::string_view { return r->spec().ref; });
    if (removed.empty()) continue;
    kept.erase(removed.begin(), removed.end());
    out.rebuild(trigger, std::move(kept));
  }
  return out;
}

void RuleIndex::rebuild(std::string_view trigger, std::vector<RulePtr> rules) {
  std::string key(trigger);
  if (rules.empty()) {
    triggers_.erase(key);
  } else {
    triggers_[key] = std::make_shared<const OfTrigger>(std::move(rules));
  }
}

size_t RuleIndex::size() const {
  size_t count = 0;
  for (const auto& [trigger, of_trigger] : triggers_) count += of_trigger->rules().size();
  return count;
}

Result<std::vector<Match>> RuleIndex::match(const EventScope& scope, expr::Engine& engine) const {
  auto found = triggers_.find(scope.event.string_or("trigger", ""));
  if (found == triggers_.end()) return std::vector<Match>();
  return found->second->match(scope, engine);
}

}  // namespace millrace::rules
