// SPDX-License-Identifier: Apache-2.0
#include "rules/index.h"

#include <algorithm>
#include <deque>
#include <optional>
#include <set>

#include "rules/tables.h"

namespace millrace::rules {
namespace {

std::string_view ref_of(const RulePtr& rule) { return rule->spec().ref; }

// Tables that stay as they are, and which of their rules are gone or replaced since.
struct Layer {
  std::shared_ptr<const Tables> tables;
  std::shared_ptr<const std::vector<bool>> gone;  // by number; null: none is
  size_t living = 0;

  explicit Layer(std::vector<RulePtr> rules)
      : tables(std::make_shared<const Tables>(std::move(rules))), living(tables->rules().size()) {}

  bool lives(uint32_t number) const { return !gone || !(*gone)[number]; }
  std::optional<uint32_t> find(std::string_view ref) const {
    auto number = tables->find(ref);
    return number && lives(*number) ? number : std::nullopt;
  }
  void add_living(std::vector<RulePtr>& out) const {
    for (uint32_t number = 0; number < tables->rules().size(); ++number) {
      if (lives(number)) out.push_back(tables->rules()[number]);
    }
  }
  void remove(std::span<const uint32_t> numbers) {
    auto more = gone ? *gone : std::vector<bool>(tables->rules().size());
    for (uint32_t number : numbers) more[number] = true;
    gone = std::make_shared<const std::vector<bool>>(std::move(more));
    living -= numbers.size();
  }
};

// One rule that an event may match, and where its criteria find their values.
struct Candidate {
  const RulePtr* rule = nullptr;
  PathValues* values = nullptr;
  std::span<const uint32_t> slots = {};
};

}  // namespace

// The rules of one trigger, in the manner of J. L. Bentley and J. B. Saxe, "Decomposable searching
// problems I", J. Algorithms 1, 1980: the newest few stand by themselves and are tried one by one;
// when there are too many of them they become a layer, and layers that are not far larger than the
// one that comes are made one with it. So each is several times as large as the next, and a rule
// is arranged again a few times in its life, however many others there are.
class RuleIndex::OfTrigger {
 public:
  size_t size() const {
    size_t count = newest_.size();
    for (const Layer& layer : layers_) count += layer.living;
    return count;
  }

  // Those of these refs that it has. Looks at whichever are fewer: many rules may have changed, of
  // as many triggers.
  std::set<std::string_view> known_of(const std::set<std::string_view>& refs) const {
    std::set<std::string_view> known;
    auto add = [&](const RulePtr& rule) {
      if (auto found = refs.find(ref_of(rule)); found != refs.end()) known.insert(*found);
    };
    for (const RulePtr& rule : newest_) add(rule);
    for (const Layer& layer : layers_) {
      if (refs.size() > layer.tables->rules().size()) {
        for (const RulePtr& rule : layer.tables->rules()) add(rule);
        continue;
      }
      for (std::string_view ref : refs) {
        if (layer.find(ref)) known.insert(ref);
      }
    }
    return known;
  }

  // Without the rules of these refs, and with the added ones.
  std::shared_ptr<const OfTrigger> changed(const std::set<std::string_view>& refs,
                                           std::vector<RulePtr> added) const {
    auto out = std::make_shared<OfTrigger>();
    for (const RulePtr& rule : newest_) {
      if (!refs.contains(ref_of(rule))) added.push_back(rule);
    }
    for (const Layer& layer : layers_) {
      Layer left = without(layer, refs);
      bool is_mostly_gone = left.living * 2 < left.tables->rules().size();
      if (is_mostly_gone) {
        left.add_living(added);
      } else {
        out->layers_.push_back(std::move(left));
      }
    }
    constexpr size_t kFew = 8;
    constexpr size_t kTimes = 3;
    if (added.size() <= kFew) {
      std::ranges::sort(added, {}, ref_of);
      out->newest_ = std::move(added);
      return out;
    }
    auto& layers = out->layers_;
    while (!layers.empty() && layers.back().living <= kTimes * added.size()) {
      layers.back().add_living(added);
      layers.pop_back();
    }
    layers.push_back(Layer(std::move(added)));
    return out;
  }

  Result<std::vector<Match>> match(const EventScope& scope, expr::Engine& engine) const {
    std::deque<PathValues> values;
    std::vector<Candidate> candidates = find_candidates(scope, values);
    std::vector<Match> matches;
    std::optional<Error> needs;
    for (bool backstop : {false, true}) {
      bool are_mixed = !matches.empty();
      try_all(candidates, backstop, scope, engine, matches, needs);
      if (are_mixed) std::ranges::sort(matches, {}, [](auto& m) { return ref_of(m.rule); });
      if (!std::ranges::all_of(matches, [](auto& m) { return m.failure.has_value(); })) break;
    }
    if (needs) return std::move(*needs);
    return matches;
  }

 private:
  static Layer without(const Layer& layer, const std::set<std::string_view>& refs) {
    std::vector<uint32_t> numbers;
    for (std::string_view ref : refs) {
      if (auto number = layer.find(ref)) numbers.push_back(*number);
    }
    Layer out = layer;
    if (!numbers.empty()) out.remove(numbers);
    return out;
  }

  // In the order of their refs.
  std::vector<Candidate> find_candidates(const EventScope& scope,
                                         std::deque<PathValues>& values) const {
    std::vector<Candidate> out;
    auto add = [&](std::vector<Candidate> more) {
      auto ref = [](const Candidate& candidate) { return ref_of(*candidate.rule); };
      if (out.empty()) return out.swap(more);
      std::vector<Candidate> both(out.size() + more.size());
      std::ranges::merge(out, more, both.begin(), {}, ref, ref);
      out.swap(both);
    };
    for (const Layer& layer : layers_) {
      const Tables& tables = *layer.tables;
      PathValues& found = values.emplace_back(scope.event, tables.paths());
      std::vector<Candidate> more;
      for (uint32_t number : tables.candidates(scope, found)) {
        if (!layer.lives(number)) continue;
        more.push_back({&tables.rules()[number], &found, tables.slots_of(number)});
      }
      if (!more.empty()) add(std::move(more));
    }
    std::vector<Candidate> newest;
    for (const RulePtr& rule : newest_) {
      newest.push_back({&rule, &values.emplace_back(scope.event, rule->paths()), {}});
    }
    if (!newest.empty()) add(std::move(newest));
    return out;
  }

  static void try_all(const std::vector<Candidate>& candidates, bool backstop,
                      const EventScope& scope, expr::Engine& engine, std::vector<Match>& matches,
                      std::optional<Error>& needs) {
    for (const Candidate& candidate : candidates) {
      const RulePtr& rule = *candidate.rule;
      if (rule->spec().backstop != backstop) continue;
      auto may = scope.may_judge ? (*scope.may_judge)(*rule) : Result<void>();
      if (!may.ok()) {
        matches.push_back({.rule = rule, .failure = std::move(may).error()});
        continue;
      }
      Judge judge(scope, rule->name(), *candidate.values, candidate.slots, engine);
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

  std::vector<Layer> layers_;    // the largest first
  std::vector<RulePtr> newest_;  // in the order of their refs
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
    out.put(std::string(trigger), OfTrigger().changed({}, std::move(rules)));
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
