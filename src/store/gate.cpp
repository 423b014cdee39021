// SPDX-License-Identifier: Apache-2.0
#include "store/gate.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string_view>
#include <tuple>

#include "base/mutants.h"
#include "store/repository.h"

namespace millrace::store {
namespace {

using kernel::DedupeRow;

// Who has a key at the end of the batch.
struct Claim {
  const DedupeRow* first = nullptr;  // of the batch; stored, when the key was free
  bool was_free = false;
  const DedupeRow* owner = nullptr;
  std::optional<DedupeRow> stored = {};  // of a recent key that was not free
};

// Judges step after step as if each had claimed its keys alone, and puts right what was claimed for
// a step that leaves: its key is free for the next.
class Judgement {
 public:
  explicit Judgement(RecentKeys& recent) : recent_(recent) {}
  void add(const DedupeRow& row, bool was_free, std::optional<DedupeRow> stored = {}) {
    claims_.try_emplace(name_of(row), Claim{&row, was_free, nullptr, std::move(stored)});
  }

  bool gets_all(Step& step) {
    const auto& keys = step.changes.dedupe;
    bool all = std::ranges::all_of(keys, [&](const auto& key) {
      const Claim& claim = claims_.at(name_of(key));
      return claim.was_free && !claim.owner;
    });
    if (!all && !mutant(Mutant::DedupeSkipped)) {
      note_taken(step);
      return false;
    }
    for (const auto& key : keys) claims_.at(name_of(key)).owner = &key;
    return true;
  }

  Result<void> put_right(sql::Connection& db, int64_t now_ms) const {
    std::vector<const DedupeRow*> released;
    std::vector<const DedupeRow*> moved;
    for (const auto& [name, claim] : claims_) {
      if (!claim.was_free || claim.owner == claim.first) continue;
      if (recent_.takes(*claim.first)) {
        recent_.release(*claim.first);
        if (claim.owner) TRY(recent_.claim(db, *claim.owner, now_ms));
        continue;
      }
      released.push_back(claim.first);
      if (claim.owner) moved.push_back(claim.owner);
    }
    if (!released.empty()) TRY(release_keys(db, released));
    if (!moved.empty()) TRY(claim_keys(db, moved, now_ms));
    return {};
  }

 private:
  using Name = std::tuple<TenantId, std::string_view, std::string_view>;
  static Name name_of(const DedupeRow& row) { return {row.tenant, row.scope, row.key}; }
  // Nobody else finds a recent key.
  void note_taken(Step& step) const {
    for (const auto& key : step.changes.dedupe) {
      const Claim& claim = claims_.at(name_of(key));
      if (!recent_.takes(key)) continue;
      if (claim.owner) step.taken.push_back(*claim.owner);
      if (!claim.owner && claim.stored) step.taken.push_back(*claim.stored);
    }
  }

  RecentKeys& recent_;
  std::map<Name, Claim> claims_;
};

// Several servers that claim the same keys take them in one order: of two that wait for each other
// the database would end one. Those of one name stay in the order of their steps.
void sort_by_name(std::vector<const DedupeRow*>& rows) {
  std::vector<std::pair<const DedupeRow*, size_t>> places;
  for (size_t i = 0; i < rows.size(); ++i) places.emplace_back(rows[i], i);
  std::ranges::sort(places, [](const auto& a, const auto& b) {
    auto name = [](const auto& place) {
      const auto& [row, at] = place;
      return std::tie(row->tenant, row->scope, row->key, at);
    };
    return name(a) < name(b);
  });
  std::ranges::transform(places, rows.begin(), [](const auto& place) { return place.first; });
}

}  // namespace

Result<std::vector<WriteEnd>> pass_gate(sql::Connection& db, RecentKeys& recent,
                                        std::span<const std::unique_ptr<Step>> steps,
                                        int64_t now_ms, std::unordered_set<int64_t>& turned_away) {
  std::vector<WriteEnd> ends(steps.size(), WriteEnd::Committed);
  std::vector<const DedupeRow*> rows;
  std::vector<const DedupeRow*> recents;
  auto is_turned_away = [&](const Step& step) {
    return step.key != 0 && turned_away.contains(step.key);
  };
  for (size_t i = 0; i < steps.size(); ++i) {
    // It was decided on rows that are not there.
    if (is_turned_away(*steps[i])) {
      ends[i] = WriteEnd::Stale;
      continue;
    }
    steps[i]->taken.clear();
    for (const auto& key : steps[i]->changes.dedupe) {
      (recent.takes(key) ? recents : rows).push_back(&key);
    }
  }
  sort_by_name(rows);
  std::vector<bool> claimed;
  if (!rows.empty()) {
    TRY(claimed, claim_keys(db, rows, now_ms));
  }
  std::vector<std::optional<DedupeRow>> taken(recents.size());
  for (size_t i = 0; i < recents.size(); ++i) {
    TRY(taken[i], recent.claim(db, *recents[i], now_ms));
  }
  bool all_free = std::ranges::find(claimed, false) == claimed.end() &&
                  std::ranges::none_of(taken, [](const auto& it) { return it.has_value(); });
  if (all_free) return ends;

  Judgement judgement(recent);
  for (size_t i = 0; i < rows.size(); ++i) judgement.add(*rows[i], claimed[i]);
  for (size_t i = 0; i < recents.size(); ++i) {
    bool was_free = !taken[i];
    judgement.add(*recents[i], was_free, std::move(taken[i]));
  }
  for (size_t i = 0; i < steps.size(); ++i) {
    Step& step = *steps[i];
    if (ends[i] != WriteEnd::Committed) continue;
    if (is_turned_away(step)) {
      ends[i] = WriteEnd::Stale;
    } else if (!judgement.gets_all(step)) {
      ends[i] = WriteEnd::Duplicate;
      if (step.key != 0) turned_away.insert(step.key);
    }
  }
  TRY(judgement.put_right(db, now_ms));
  return ends;
}

}  // namespace millrace::store
