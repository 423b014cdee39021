// SPDX-License-Identifier: Apache-2.0
#include "store/write.h"

#include <algorithm>
#include <unordered_set>
#include <vector>

#include "store/read.h"
#include "store/repository.h"

namespace millrace::store {
namespace {

using kernel::Changes;

// Gathers one entity's rows of the whole batch and hands them over in one call.
class EntityWriter {
 public:
  EntityWriter(sql::Connection& db, std::span<Changes* const> changes)
      : db_(db), changes_(changes) {}

  template <typename Row>
  Result<void> write(std::vector<Row> Changes::* member,
                     Result<void> (*repository)(sql::Connection&, Rows<Row>)) {
    std::vector<const Row*> rows;
    for (const Changes* c : changes_) {
      for (const auto& row : c->*member) rows.push_back(&row);
    }
    if (rows.empty()) return {};
    return repository(db_, rows);
  }

 private:
  sql::Connection& db_;
  std::span<Changes* const> changes_;
};

// Within one entity rows are inserted before they are deleted, timers deleted before they are
// inserted. Says when that order would undo what an earlier step of the batch wants.
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
                                     [&](auto x) { return known(timed_, x.id.value); });
    if (!fits) return false;
    for (auto out : next.dequeue) dequeued_.insert(out.id.value);
    for (const auto& timer : next.timers) {
      timers_.insert(timer.id.value);
      timed_.insert(timer.subject);
    }
    return true;
  }

 private:
  std::unordered_set<int64_t> dequeued_;  // executions
  std::unordered_set<int64_t> timers_;
  std::unordered_set<int64_t> timed_;  // subjects of timers
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

Result<void> write_together(sql::Connection& db, std::span<Changes* const> changes) {
  EntityWriter w(db, changes);
  TRY(w.write(&Changes::events, insert_events));
  TRY(w.write(&Changes::enforcements, insert_enforcements));
  TRY(w.write(&Changes::new_executions, insert_executions));
  TRY(w.write(&Changes::executions, update_executions));
  TRY(w.write(&Changes::enqueue, insert_queue));
  TRY(w.write(&Changes::dequeue, delete_queue));
  TRY(w.write(&Changes::outputs, insert_outputs));
  TRY(w.write(&Changes::result_blobs, insert_result_blobs));
  TRY(w.write(&Changes::workflows, write_workflows));
  TRY(w.write(&Changes::workflow_pieces, write_workflow_pieces));
  TRY(w.write(&Changes::workflow_runs, write_workflow_runs));
  TRY(w.write(&Changes::inquiries, write_inquiries));
  TRY(w.write(&Changes::messages, insert_messages));
  TRY(w.write(&Changes::acked, delete_messages));
  TRY(w.write(&Changes::timers_done, delete_timers));
  TRY(w.write(&Changes::timers_of_done, delete_timers_of));
  TRY(w.write(&Changes::timers, upsert_timers));
  TRY(w.write(&Changes::outbox, insert_outbox));
  TRY(w.write(&Changes::outbox_done, delete_outbox));
  TRY(w.write(&Changes::quarantine, insert_quarantine));
  TRY(w.write(&Changes::rules, insert_rules));
  TRY(w.write(&Changes::webhooks, upsert_webhooks));
  TRY(w.write(&Changes::tokens, insert_tokens));
  TRY(w.write(&Changes::tokens_done, delete_tokens));
  TRY(w.write(&Changes::keys, write_keys));
  TRY(w.write(&Changes::pack_releases, upsert_pack_releases));
  TRY(w.write(&Changes::workers, upsert_workers));
  TRY(w.write(&Changes::expire, expire));
  return w.write(&Changes::feed, insert_feed);
}

}  // namespace

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
