// SPDX-License-Identifier: Apache-2.0
#include "rules/tables.h"

#include <algorithm>

#include "base/hash.h"
#include "base/mix.h"
#include "rules/dates.h"
#include "rules/fold.h"

namespace millrace::rules {
namespace {

using ByValue = std::unordered_map<Value, RuleNumbers, ValueHash>;
using ByText = std::unordered_map<std::string, RuleNumbers, StringHash, std::equal_to<>>;
using TextEnd = std::pair<int, std::string>;  // -1: before all texts, 1: behind them

template <typename Map, typename Key>
void add_of(const Map& map, const Key& key, RuleNumbers& out) {
  auto found = map.find(key);
  if (found != map.end()) out.insert(out.end(), found->second.begin(), found->second.end());
}

void add_all(const RuleNumbers& numbers, RuleNumbers& out) {
  out.insert(out.end(), numbers.begin(), numbers.end());
}

std::string last_backwards(std::string_view text, size_t most) {
  text = text.substr(text.size() - std::min(text.size(), most));
  return {text.rbegin(), text.rend()};
}

}  // namespace

// The rules that are found by one place. Most places have few kinds of tests: what others need
// stands apart, so that a place is small and an event touches little.
struct Tables::Place {
  struct Hashes {
    ByValue equal, items;
  };
  struct Texts {
    ByText folded;
    Literals begins, ends, holds;  // of folds; `ends` of them backwards
  };
  struct Bounds {
    Intervals<double> numbers, ages;
    Intervals<TextEnd> texts;
  };

  RuleNumbers exists;
  std::unique_ptr<Hashes> hashes;
  std::unique_ptr<Texts> texts;
  std::unique_ptr<Bounds> bounds;
  RuleNumbers absent;
  RuleNumbers everybody;  // that is found by a value

  void find(const Value& value, const EventScope& scope, RuleNumbers& out) const {
    if (value.is_null()) return;
    // What the rules together may do does not suffice: whoever is filed here is tried, and told.
    if (scope.allowance && !scope.allowance->take(steps(value))) return add_all(everybody, out);
    add_all(exists, out);
    if (hashes) find_equal(value, out);
    if (texts && value.is_string()) find_text(fold(value.as_string()), out);
    if (bounds) find_bounds(value, scope.now_ms, out);
  }

 private:
  uint64_t steps(const Value& value) const {
    constexpr uint64_t kBytesPerStep = 8;
    if (value.is_string()) return 1 + value.size() / kBytesPerStep;
    return hashes && !hashes->items.empty() ? 1 + value.size() : 1;
  }

  void find_equal(const Value& value, RuleNumbers& out) const {
    const ByValue& items = hashes->items;
    if (is_scalar(value) && !hashes->equal.empty()) add_of(hashes->equal, value, out);
    if (items.empty()) return;
    if (value.is_list()) {
      for (const Value& item : value.as_list()) {
        if (is_scalar(item)) add_of(items, item, out);
      }
    }
    if (value.is_map()) {
      for (const auto& entry : value.as_map()) add_of(items, entry.key, out);
    }
  }

  void find_text(const std::string& folded, RuleNumbers& out) const {
    if (!texts->folded.empty()) add_of(texts->folded, folded, out);
    if (!texts->begins.empty()) texts->begins.find_at_begin(folded, out);
    if (!texts->ends.empty()) {
      texts->ends.find_at_begin(last_backwards(folded, texts->ends.longest()), out);
    }
    if (!texts->holds.empty()) texts->holds.find_within(folded, out);
  }

  void find_bounds(const Value& value, int64_t now_ms, RuleNumbers& out) const {
    if (value.is_bool()) bounds->numbers.find(value.as_bool() ? 1 : 0, out);
    if (value.is_number()) bounds->numbers.find(value.as_float(), out);
    if (!value.is_string()) return;
    if (!bounds->texts.empty()) bounds->texts.find({0, std::string(value.as_string())}, out);
    if (bounds->ages.empty()) return;
    auto then_ms = parse_date(value.as_string(), "UTC");
    if (then_ms) bounds->ages.find(static_cast<double>(now_ms - *then_ms) / 1000, out);
  }
};

// Files each rule, then makes the places ready.
class Tables::Builder {
 public:
  explicit Builder(Tables& tables) : tables_(tables) {}

  void build() {
    for (uint32_t number = 0; number < tables_.rules_.size(); ++number) count(number);
    for (uint32_t number = 0; number < tables_.rules_.size(); ++number) file(number);
    tables_.places_.resize(tables_.paths_.size());
    for (auto& [slot, drafted] : drafts_) finish(slot, drafted);
  }

 private:
  // What a place gets before its arrangements can be made.
  struct Draft {
    std::unique_ptr<Place> place = std::make_unique<Place>();
    std::vector<Literals::Entry> begins, ends, holds;
    std::vector<Intervals<double>::Entry> numbers, ages;
    std::vector<Intervals<TextEnd>::Entry> texts;
  };
  struct Choice {
    double cost = 0;  // about as many rules are tried in vain
    std::vector<const Access*> accesses;
  };

  uint32_t slot_of(uint32_t number, const Access& access) const {
    return tables_.slots_of(number)[access.slot];
  }

  // Who shares a mark is found together.
  uint64_t mark(uint32_t number, const Access& access) const {
    size_t what = 0;
    switch (access.way) {
      case Way::Equal:
      case Way::Item: what = ValueHash()(access.value); break;
      case Way::FoldedEqual:
      case Way::Begins:
      case Way::Ends:
      case Way::Holds: what = StringHash()(access.text); break;
      default: break;
    }
    uint64_t place = uint64_t{slot_of(number, access)} << 8 | static_cast<uint64_t>(access.way);
    return what ^ mix64(place);
  }

  void count(uint32_t number) { count(number, tables_.rules_[number]->access()); }
  void count(uint32_t number, const AccessPlan& plan) {
    for (const Access& access : plan.accesses) ++sharers_[mark(number, access)];
    for (const AccessPlan& part : plan.parts) count(number, part);
  }

  double cost(uint32_t number, const Access& access) const {
    double sharers = sharers_.find(mark(number, access))->second;
    switch (access.way) {
      case Way::Equal: return sharers;
      case Way::Item:
      case Way::FoldedEqual: return sharers + 0.5;
      // A short text stands in many others.
      case Way::Begins:
      case Way::Ends: return sharers + 8.0 / static_cast<double>(access.text.size());
      case Way::Holds: return sharers + 64.0 / static_cast<double>(access.text.size());
      // Of bounds nobody knows how many hold a value.
      case Way::Number:
      case Way::Age:
      case Way::UpTo:
      case Way::From: return 8 + sharers / 8;
      case Way::Exists:
      case Way::Absent: return 16 + sharers;
    }
    return 0;
  }

  std::optional<Choice> choose(uint32_t number, const AccessPlan& plan) const {
    Choice choice;
    switch (plan.kind) {
      case AccessPlan::Kind::None: return std::nullopt;
      case AccessPlan::Kind::AnyOf:
        for (const Access& access : plan.accesses) {
          choice.cost += cost(number, access);
          choice.accesses.push_back(&access);
        }
        return choice;
      case AccessPlan::Kind::EachOf:
        for (const AccessPlan& part : plan.parts) {
          auto of_part = choose(number, part);
          if (!of_part) return std::nullopt;
          choice.cost += of_part->cost;
          choice.accesses.insert(choice.accesses.end(), of_part->accesses.begin(),
                                 of_part->accesses.end());
        }
        return choice;
      case AccessPlan::Kind::BestOf: break;
    }
    std::optional<Choice> best;
    for (const AccessPlan& part : plan.parts) {
      auto of_part = choose(number, part);
      if (of_part && (!best || of_part->cost < best->cost)) best = std::move(of_part);
    }
    return best;
  }

  void file(uint32_t number) {
    auto choice = choose(number, tables_.rules_[number]->access());
    if (!choice) {
      tables_.one_by_one_.push_back(number);
      return;
    }
    for (const Access* access : choice->accesses) file(number, *access);
  }

  template <typename Part>
  static Part& made(std::unique_ptr<Part>& part) {
    if (!part) part = std::make_unique<Part>();
    return *part;
  }

  void file(uint32_t number, const Access& access) {
    Draft& draft = drafts_[slot_of(number, access)];
    Place& place = *draft.place;
    if (access.way != Way::Absent) place.everybody.push_back(number);
    auto backwards = [&] { return last_backwards(access.text, access.text.size()); };
    switch (access.way) {
      case Way::Equal: made(place.hashes).equal[access.value].push_back(number); break;
      case Way::Item: made(place.hashes).items[access.value].push_back(number); break;
      case Way::FoldedEqual: made(place.texts).folded[access.text].push_back(number); break;
      case Way::Begins: draft.begins.push_back({access.text, number}); break;
      case Way::Ends: draft.ends.push_back({backwards(), number}); break;
      case Way::Holds: draft.holds.push_back({access.text, number}); break;
      case Way::Number: draft.numbers.push_back({access.low, access.high, number}); break;
      case Way::Age: draft.ages.push_back({access.low, access.high, number}); break;
      case Way::UpTo: draft.texts.push_back({{-1, ""}, {0, access.text}, number}); break;
      case Way::From: draft.texts.push_back({{0, access.text}, {1, ""}, number}); break;
      case Way::Exists: place.exists.push_back(number); break;
      case Way::Absent: place.absent.push_back(number); break;
    }
  }

  void finish(uint32_t slot, Draft& draft) {
    Place& place = *draft.place;
    if (!draft.begins.empty()) made(place.texts).begins = Literals(std::move(draft.begins), false);
    if (!draft.ends.empty()) made(place.texts).ends = Literals(std::move(draft.ends), false);
    if (!draft.holds.empty()) made(place.texts).holds = Literals(std::move(draft.holds), true);
    if (!draft.numbers.empty()) {
      made(place.bounds).numbers = Intervals<double>(std::move(draft.numbers));
    }
    if (!draft.ages.empty()) made(place.bounds).ages = Intervals<double>(std::move(draft.ages));
    if (!draft.texts.empty()) made(place.bounds).texts = Intervals<TextEnd>(std::move(draft.texts));
    if (!place.absent.empty()) tables_.absent_.push_back(slot);
    tables_.tree_.add(*tables_.paths_[slot], slot);
    tables_.places_[slot] = std::move(draft.place);
  }

  Tables& tables_;
  std::unordered_map<uint64_t, uint32_t> sharers_;  // by mark
  std::unordered_map<uint32_t, Draft> drafts_;      // by slot
};

Tables::Tables(std::vector<RulePtr> rules) : rules_(std::move(rules)) {
  std::ranges::sort(rules_, {},
                    [](const RulePtr& rule) -> std::string_view { return rule->spec().ref; });
  // Each distinct place of the event has one slot, however many rules look at it.
  std::unordered_map<std::string_view, uint32_t, StringHash> known;
  for (const RulePtr& rule : rules_) {
    first_slot_.push_back(static_cast<uint32_t>(slots_.size()));
    for (const Path& path : rule->paths()) {
      auto [entry, is_new] = known.try_emplace(path.key(), static_cast<uint32_t>(paths_.size()));
      if (is_new) paths_.push_back(&path);
      slots_.push_back(entry->second);
    }
  }
  Builder(*this).build();
}

Tables::~Tables() = default;

std::optional<uint32_t> Tables::find(std::string_view ref) const {
  auto ref_of = [](const RulePtr& rule) -> std::string_view { return rule->spec().ref; };
  auto found = std::ranges::lower_bound(rules_, ref, {}, ref_of);
  if (found == rules_.end() || ref_of(*found) != ref) return std::nullopt;
  return static_cast<uint32_t>(found - rules_.begin());
}

RuleNumbers Tables::candidates(const EventScope& scope, PathValues& values) const {
  RuleNumbers out;
  tree_.walk(scope.event, [&](uint32_t slot, const Value& value) {
    values.set(slot, value);
    places_[slot]->find(value, scope, out);
  });
  for (uint32_t slot : absent_) {
    const Value* value = values.get(slot);
    if (!value || value->is_null()) add_all(places_[slot]->absent, out);
  }
  if (out.empty()) return one_by_one_;
  add_all(one_by_one_, out);
  std::ranges::sort(out);
  auto again = std::ranges::unique(out);
  out.erase(again.begin(), again.end());
  return out;
}

}  // namespace millrace::rules
