// SPDX-License-Identifier: Apache-2.0
// Dedupe keys, messages, timers, outbox.
#include <ranges>
#include <set>

#include "store/repository.h"

namespace millrace::store {

using namespace kernel;

template <>
Result<void> write_rows<&Changes::dedupe>(sql::Connection&, Rows<DedupeRow>) {
  return {};
}

Result<std::vector<bool>> claim_keys(sql::Connection& db, Rows<DedupeRow> rows, int64_t now) {
  static const auto text = insert<DedupeRow>("ON CONFLICT (tenant, scope, key) DO UPDATE SET " +
                                             excluded<DedupeRow>() + " WHERE dedupe.expires <= $6");
  TRY(auto batch, db.batch(text));
  for (const auto* r : rows) batch->add(r->tenant, r->scope, r->key, r->value, r->expires, now);
  TRY(auto touched, batch->flush());
  std::vector<bool> claimed;
  claimed.reserve(touched.size());
  for (int64_t count : touched) claimed.push_back(count == 1);
  return claimed;
}

Result<void> release_keys(sql::Connection& db, Rows<DedupeRow> rows) {
  TRY(auto batch, db.batch("DELETE FROM dedupe WHERE tenant = $1 AND scope = $2 AND key = $3"));
  for (const auto* r : rows) batch->add(r->tenant, r->scope, r->key);
  TRY(batch->flush());
  return {};
}

template <>
Result<void> write_rows<&Changes::acked>(sql::Connection& db, Rows<Of<MessageId>> rows) {
  return delete_rows(db, "DELETE FROM message WHERE id = $1 AND tenant = $2", rows);
}

template <>
Result<void> write_rows<&Changes::timers_done>(sql::Connection& db, Rows<Of<TimerId>> rows) {
  return delete_rows(db, "DELETE FROM timer WHERE id = $1 AND tenant = $2", rows);
}

template <>
Result<void> write_rows<&Changes::timers_of_done>(sql::Connection& db, Rows<Of<ExecutionId>> rows) {
  return delete_rows(db, "DELETE FROM timer WHERE subject = $1 AND tenant = $2 AND subject <> 0",
                     rows);
}

template <>
Result<void> write_rows<&Changes::timers>(sql::Connection& db, Rows<TimerRow> rows) {
  static const auto text = insert<TimerRow>();
  TRY(auto displace, db.batch("DELETE FROM timer WHERE tenant = $1 AND name = $2 AND name <> ''"));
  // Of a name the last one stays.
  std::set<std::pair<TenantId, std::string_view>> names;
  std::vector<const TimerRow*> kept;
  for (const auto* r : std::views::reverse(rows)) {
    if (!r->name.empty()) {
      if (!names.emplace(r->tenant, r->name).second) continue;
      displace->add(r->tenant, r->name);
    }
    kept.push_back(r);
  }
  if (!names.empty()) TRY(displace->put_off({}));
  TRY(auto batch, db.batch(text));
  for (const auto* r : std::views::reverse(kept)) add_row(*batch, *r);
  return batch->put_off({});
}

template <>
Result<void> write_rows<&Changes::outbox_done>(sql::Connection& db, Rows<Of<OutboxId>> rows) {
  return delete_rows(db, "DELETE FROM outbox WHERE id = $1 AND tenant = $2", rows);
}

}  // namespace millrace::store
