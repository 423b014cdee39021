// SPDX-License-Identifier: Apache-2.0
#include "store/write.h"

#include <algorithm>
#include <set>
#include <unordered_set>
#include <vector>

#include "store/read.h"
#include "store/repository.h"

namespace millrace::store {
namespace {

using kernel::Changes;

// Within one member rows are inserted before they are deleted, timers deleted before they are
// inserted, a key stands once, and so does an execution's place. Says when that order would undo
// what an earlier step of the batch wants.
class OrderGuard {
 public:
  // False: `next` must not be written together with what was added before.
  bool add(const Changes& next) {
    auto known = [](const auto& set, int64_t id) { return !set.empty() && set.contains(id); };
    bool fits = std::ranges::none_of(
                    next.enqueue, [&](auto& q) { return known(dequeued_, q.execution.value); }) &&
                std::ranges::none_of(next.timers_done,
                                     [&](auto t) { return known(timers_, t.id.value); }) &&
                std::ranges::none_of(next.timers_of_done,
                                     [&](auto x) { return known(timed_, x.id.value); }) &&
                std::ranges::none_of(next.keys, [&](auto& k) { return keys_.contains(k.key); }) &&
                std::ranges::none_of(next.places,
                                     [&](auto& p) { return known(places_, p.execution.value); });
    if (!fits) return false;
    for (auto out : next.dequeue) dequeued_.insert(out.id.value);
    for (const auto& timer : next.timers) {
      timers_.insert(timer.id.value);
      timed_.insert(timer.subject);
    }
    for (const auto& row : next.keys) keys_.insert(row.key);
    for (const auto& row : next.places) places_.insert(row.execution.value);
    return true;
  }

 private:
  std::unordered_set<int64_t> dequeued_;  // executions
  std::unordered_set<int64_t> timers_;
  std::unordered_set<int64_t> timed_;  // subjects of timers
  std::set<kernel::KeyName> keys_;
  std::unordered_set<int64_t> places_;  // whose
};

// In commit order, over all tenants and owners: whoever follows the feed sees each number once.
Result<void> number_feed(sql::Connection& db, std::span<Changes* const> changes) {
  if (std::ranges::all_of(changes, [](const Changes* c) { return c->feed.empty(); })) return {};
  TRY(int64_t seq, last_change(db));
  for (Changes* c : changes) {
    for (auto& row : c->feed) row.seq = ++seq;
  }
  return {};
}

// One member's rows of the whole batch.
template <auto kMember>
Result<void> write_member(sql::Connection& db, std::span<Changes* const> changes) {
  std::vector<const RowOf<kMember>*> rows;
  for (const Changes* c : changes) {
    for (const auto& row : c->*kMember) rows.push_back(&row);
  }
  if (rows.empty()) return {};
  return write_rows<kMember>(db, rows);
}

Result<void> write_together(sql::Connection& db, std::span<Changes* const> changes) {
  Result<void> done;
  kernel::ChangesMembers::all_of([&]<auto kMember>() {
    done = write_member<kMember>(db, changes);
    return done.ok();
  });
  return done;
}

}  // namespace

Result<void> lock_numbering(sql::Connection& db) {
  TRY(db.lock_numbering());
  return ahead_of_last_change(db);
}

Result<void> write_changes(sql::Connection& db, std::span<Changes* const> changes) {
  TRY(number_feed(db, changes));
  while (!changes.empty()) {
    OrderGuard guard;
    size_t count = 0;
    while (count < changes.size() && guard.add(*changes[count])) ++count;
    TRY(write_together(db, changes.first(count)));
    changes = changes.subspan(count);
  }
  return {};
}

}  // namespace millrace::store
