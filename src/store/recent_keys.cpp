// SPDX-License-Identifier: Apache-2.0
#include "store/recent_keys.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "store/read.h"
#include "store/tables.h"

namespace millrace::store {

using kernel::DedupeRow;
using kernel::RecentKeyRow;

namespace {

constexpr size_t kLeastMoved = 64;  // by one commit
constexpr int64_t kCleared = 512;   // rows by one commit: they lie side by side

}  // namespace

bool RecentKeys::takes(const DedupeRow& row) const {
  return most_ > 0 && !row.scope.starts_with("idem:");
}

Result<void> RecentKeys::load(sql::Connection& db) {
  static const auto text = select<RecentKeyRow>("/*every tenant: start*/ ORDER BY id");
  TRY(auto stored, read_all<RecentKeyRow>(db, text));
  if (stored.empty()) return {};
  // A later one of a name has come when the earlier one had expired.
  for (const auto& [id, key] : stored) growing_[name_of(key)] = {key.value, key.expires};
  last_id_ = stored.back().id;
  cleared_to_ = stored.front().id - 1;
  if (most_ > 0) return {};
  moving_ = std::move(growing_);
  moved_to_ = last_id_;
  TRY(db.run("BEGIN IMMEDIATE"));
  TRY(move(db, moving_.size()));
  TRY(clear(db, last_id_));
  TRY(db.run("COMMIT"));
  committed();
  return {};
}

Result<std::optional<DedupeRow>> RecentKeys::claim(sql::Connection& db, const DedupeRow& row,
                                                   int64_t now) {
  auto as_stored = [&](const Recent& recent) {
    return DedupeRow{row.tenant, row.scope, row.key, recent.value, recent.expires};
  };
  auto name = name_of(row);
  auto place = growing_.lower_bound(name);
  bool is_here = place != growing_.end() && place->first == name;
  if (is_here && place->second.expires > now) return std::optional(as_stored(place->second));
  if (!is_here) {
    auto old = moving_.find(name);
    if (old != moving_.end() && old->second.expires > now) {
      return std::optional(as_stored(old->second));
    }
    if (old == moving_.end()) {
      TRY(auto stored, find_dedupe(db, row.tenant, row.scope, row.key));
      if (stored && stored->expires > now) return stored;
    }
    place = growing_.emplace_hint(place, std::move(name), Recent{row.value, row.expires});
    claimed_.push_back({place, std::nullopt});
  } else {
    claimed_.push_back({place, std::exchange(place->second, {row.value, row.expires})});
  }
  return std::optional<DedupeRow>();
}

void RecentKeys::forget(Claimed& claimed) {
  if (claimed.before) {
    claimed.place->second = *std::move(claimed.before);
  } else {
    growing_.erase(claimed.place);
  }
}

void RecentKeys::release(const DedupeRow& row) {
  auto name = name_of(row);
  auto found = std::ranges::find_if(claimed_, [&](auto& it) { return it.place->first == name; });
  if (found == claimed_.end()) return;
  forget(*found);
  claimed_.erase(found);
}

Result<void> RecentKeys::write(sql::Connection& db) {
  if (claimed_.empty()) return {};
  TRY(insert_claimed(db));
  // More moves than comes, so that what moves is gone before as many have come.
  if (!moving_.empty()) return move(db, std::max(kLeastMoved, 2 * claimed_.size()));
  return clear(db, moved_to_);
}

Result<void> RecentKeys::insert_claimed(sql::Connection& db) {
  static const auto text = insert<RecentKeyRow>();
  TRY(auto batch, db.batch(text));
  int64_t id = last_id_;
  for (const auto& [place, before] : claimed_) {
    const auto& [tenant, scope, key] = place->first;
    batch->add(++id, tenant, scope, key, place->second.value, place->second.expires);
  }
  TRY(batch->flush());
  return {};
}

Result<void> RecentKeys::move(sql::Connection& db, size_t count) {
  // What is stored is older, or the same.
  static const auto text =
      insert<DedupeRow>("ON CONFLICT (tenant, scope, key) DO UPDATE SET " + excluded<DedupeRow>());
  TRY(auto batch, db.batch(text));
  moved_ = 0;
  for (const auto& [name, recent] : moving_) {
    if (moved_ == count) break;
    const auto& [tenant, scope, key] = name;
    batch->add(tenant, scope, key, recent.value, recent.expires);
    ++moved_;
  }
  TRY(batch->flush());
  return {};
}

Result<void> RecentKeys::clear(sql::Connection& db, int64_t to) {
  if (cleared_to_ >= to) return {};
  clears_to_ = most_ > 0 ? std::min(to, cleared_to_ + kCleared) : to;
  TRY(auto* statement, db.prepare("DELETE FROM dedupe_recent /*every tenant: sweep*/ "
                                  "WHERE id > $1 AND id <= $2"));
  TRY(statement->execute(cleared_to_, clears_to_));
  return {};
}

void RecentKeys::committed() {
  last_id_ += static_cast<int64_t>(claimed_.size());
  claimed_.clear();
  if (moved_ > 0) {
    moving_.erase(moving_.begin(), std::next(moving_.begin(), static_cast<ptrdiff_t>(moved_)));
    moved_ = 0;
  }
  cleared_to_ = std::max(cleared_to_, std::exchange(clears_to_, 0));
  bool is_time = moving_.empty() && cleared_to_ >= moved_to_ && growing_.size() >= most_;
  if (most_ == 0 || !is_time) return;
  moving_ = std::exchange(growing_, {});
  moved_to_ = last_id_;
}

void RecentKeys::rolled_back() {
  for (auto claimed = claimed_.rbegin(); claimed != claimed_.rend(); ++claimed) forget(*claimed);
  claimed_.clear();
  moved_ = 0;
  clears_to_ = 0;
}

}  // namespace millrace::store
