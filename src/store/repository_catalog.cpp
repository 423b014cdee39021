// SPDX-License-Identifier: Apache-2.0
// What people configure: rules, webhook endpoints, tokens, keys, packs, workers.
#include <fmt/format.h>

#include "store/repository.h"

namespace millrace::store {

using namespace kernel;

template <>
Result<void> write_rows<&Changes::catalogs>(sql::Connection& db, Rows<CatalogRow> rows) {
  static const auto text =
      insert<CatalogRow>("ON CONFLICT (tenant) DO UPDATE SET " + excluded<CatalogRow>() +
                         " WHERE catalog.version = excluded.version - 1");
  TRY(auto batch, db.batch(text));
  for (const auto* r : rows) add_row(*batch, *r);
  return expect_touched(*batch, rows, [](const CatalogRow& r) {
    return stale(fmt::format("the catalogue of tenant {}: version {} does not hold any more",
                             r.tenant.value, r.version - 1));
  });
}

template <>
Result<void> write_rows<&Changes::rules>(sql::Connection& db, Rows<RuleRow> rows) {
  static const auto text = insert<RuleRow>("ON CONFLICT (id, revision) DO NOTHING");
  TRY(auto batch, db.batch(text));
  for (const auto* r : rows) add_row(*batch, *r);
  return expect_touched(*batch, rows, [](const RuleRow& r) {
    return stale(fmt::format("rule '{}': revision {} is there already", r.ref, r.revision));
  });
}

template <>
Result<void> write_rows<&Changes::webhooks>(sql::Connection& db, Rows<WebhookRow> rows) {
  static const auto text = insert<WebhookRow>(
      "ON CONFLICT (id) DO UPDATE SET " + excluded<WebhookRow>() +
      " WHERE webhook.version = excluded.version - 1 AND webhook.tenant = excluded.tenant");
  TRY(auto batch, db.batch(text));
  for (const auto* r : rows) add_row(*batch, *r);
  return expect_touched(*batch, rows, [](const WebhookRow& r) {
    return stale(
        fmt::format("webhook '{}': version {} does not hold any more", r.name, r.version - 1));
  });
}

// Each is deleted once, whatever other servers do: who joins with a token has used it up.
template <>
Result<void> write_rows<&Changes::tokens_done>(sql::Connection& db, Rows<Of<TokenId>> rows) {
  TRY(auto batch, db.batch("DELETE FROM token WHERE id = $1 AND +tenant = $2"));
  for (const auto* row : rows) batch->add(row->id, row->tenant);
  return expect_touched(*batch, rows, [](const Of<TokenId>& row) {
    return stale(fmt::format("token {} is gone already", row.id.value));
  });
}

// A batch names a key once (write.cpp).
template <>
Result<void> write_rows<&Changes::keys>(sql::Connection& db, Rows<KeyRow> rows) {
  static const auto text =
      insert<KeyRow>("ON CONFLICT (tenant, scope, name) DO UPDATE SET " + excluded<KeyRow>() +
                     " WHERE key_value.version = excluded.version - 1");
  TRY(auto upserts, db.batch(text));
  TRY(auto deletes, db.batch("DELETE FROM key_value WHERE tenant = $1 AND scope = $2 AND "
                             "name = $3 AND version = $4"));
  std::vector<const KeyRow*> kept;
  std::vector<const KeyRow*> gone;
  for (const auto* r : rows) {
    (r->deleted ? gone : kept).push_back(r);
    if (r->deleted) {
      deletes->add(r->key.tenant, r->key.scope, r->key.name, r->version - 1);
    } else {
      add_row(*upserts, *r);
    }
  }
  auto error_of = [](const KeyRow& r) {
    return stale(fmt::format("key '{}' of {}: version {} does not hold any more", r.key.name,
                             r.key.scope, r.version - 1));
  };
  if (!kept.empty()) TRY(expect_touched(*upserts, Rows<KeyRow>(kept), error_of));
  if (!gone.empty()) TRY(expect_touched(*deletes, Rows<KeyRow>(gone), error_of));
  return {};
}

template <>
Result<void> write_rows<&Changes::pack_releases>(sql::Connection& db, Rows<PackReleaseRow> rows) {
  static const auto text = insert<PackReleaseRow>(
      "ON CONFLICT (tenant, pack, digest) DO UPDATE SET " + excluded<PackReleaseRow>());
  TRY(auto batch, db.batch(text));
  for (const auto* r : rows) add_row(*batch, *r);
  return batch->put_off({});
}

template <>
Result<void> write_rows<&Changes::operations>(sql::Connection& db, Rows<OperationRow> rows) {
  static const auto text =
      insert<OperationRow>("ON CONFLICT (id) DO UPDATE SET " + excluded<OperationRow>() +
                           " WHERE operation.tenant = excluded.tenant");
  TRY(auto batch, db.batch(text));
  for (const auto* r : rows) add_row(*batch, *r);
  return expect_touched(*batch, rows,
                        [](const OperationRow& r) { return not_its_own("operation", r.kind); });
}

template <>
Result<void> write_rows<&Changes::workers>(sql::Connection& db, Rows<WorkerRow> rows) {
  static const auto text =
      insert<WorkerRow>("ON CONFLICT (tenant, name) DO UPDATE SET " + excluded<WorkerRow>() +
                        " WHERE worker.version = excluded.version - 1 AND worker.id = excluded.id");
  TRY(auto batch, db.batch(text));
  for (const auto* r : rows) add_row(*batch, *r);
  return expect_touched(*batch, rows, [](const WorkerRow& r) {
    return stale(
        fmt::format("worker '{}': version {} does not hold any more", r.name, r.version - 1));
  });
}

}  // namespace millrace::store
