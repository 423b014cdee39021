// SPDX-License-Identifier: Apache-2.0
// What people configure: rules, webhook endpoints, tokens, keys, packs, workers.
#include <fmt/format.h>

#include "store/repository.h"

namespace millrace::store {

using namespace kernel;
using sql::Blob;

Result<void> insert_rules(sql::Connection& db, Rows<RuleRow> rows) {
  TRY(auto* insert,
      db.prepare("INSERT INTO rule (id, revision, tenant, ref, pack, enabled, deleted, "
                 "created, updated, spec) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) "
                 "ON CONFLICT (id, revision) DO NOTHING"));
  for (const auto* r : rows) {
    TRY(int64_t touched, insert->execute(r->id, r->revision, r->tenant, r->ref, r->pack, r->enabled,
                                         r->deleted, r->created, r->updated, Blob{r->spec_json}));
    if (touched != 1) {
      return Error(ErrorKind::Unavailable, sql::kStale,
                   fmt::format("rule '{}': revision {} is there already", r->ref, r->revision));
    }
  }
  return {};
}

Result<void> upsert_webhooks(sql::Connection& db, Rows<WebhookRow> rows) {
  TRY(auto* upsert,
      db.prepare(
          "INSERT INTO webhook (id, tenant, name, scheme, webhook_trigger, secrets, deleted, "
          "created, updated, version) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) "
          "ON CONFLICT (id) DO UPDATE SET scheme = $4, webhook_trigger = $5, secrets = $6, "
          "deleted = $7, updated = $9, version = $10 WHERE webhook.version = $10 - 1 AND "
          "webhook.tenant = $2"));
  for (const auto* r : rows) {
    TRY(int64_t touched,
        upsert->execute(r->id, r->tenant, r->name, r->scheme, r->trigger, r->sealed_secrets,
                        r->deleted, r->created, r->updated, r->version));
    if (touched != 1) {
      return Error(
          ErrorKind::Unavailable, sql::kStale,
          fmt::format("webhook '{}': version {} does not hold any more", r->name, r->version - 1));
    }
  }
  return {};
}

Result<void> insert_tokens(sql::Connection& db, Rows<TokenRow> rows) {
  TRY(auto* insert, db.prepare("INSERT INTO token (id, tenant, hash, identity, permissions, "
                               "execution, created, expires) "
                               "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"));
  for (const auto* r : rows) {
    TRY(insert->execute(r->id, r->tenant, r->hash, r->identity, r->permissions, r->execution,
                        r->created, r->expires));
  }
  return {};
}

Result<void> delete_tokens(sql::Connection& db, Rows<Of<TokenId>> ids) {
  TRY(auto* remove, db.prepare("DELETE FROM token WHERE id = $1 AND tenant = $2"));
  for (const auto* row : ids) TRY(remove->execute(row->id, row->tenant));
  return {};
}

Result<void> write_keys(sql::Connection& db, Rows<KeyRow> rows) {
  TRY(auto* upsert,
      db.prepare("INSERT INTO key_value (tenant, scope, name, value, encrypted, version, expires, "
                 "created, updated) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) "
                 "ON CONFLICT (tenant, scope, name) DO UPDATE SET value = $4, encrypted = $5, "
                 "version = $6, expires = $7, created = $8, updated = $9 "
                 "WHERE key_value.version = $6 - 1"));
  TRY(auto* remove, db.prepare("DELETE FROM key_value WHERE tenant = $1 AND scope = $2 AND "
                               "name = $3 AND version = $4"));
  for (const auto* r : rows) {
    const auto& k = r->key;
    auto touched =
        r->deleted ? remove->execute(k.tenant, k.scope, k.name, r->version - 1)
                   : upsert->execute(k.tenant, k.scope, k.name, Blob{r->value_json}, r->encrypted,
                                     r->version, r->expires, r->created, r->updated);
    if (!touched.ok()) return touched.error();
    if (*touched != 1) {
      return Error(ErrorKind::Unavailable, sql::kStale,
                   fmt::format("key '{}' of {}: version {} does not hold any more", k.name, k.scope,
                               r->version - 1));
    }
  }
  return {};
}

Result<void> upsert_pack_releases(sql::Connection& db, Rows<PackReleaseRow> rows) {
  TRY(auto* upsert,
      db.prepare("INSERT INTO pack_release (tenant, pack, digest, version, created, state, "
                 "updated) VALUES ($1, $2, $3, $4, $5, $6, $7) "
                 "ON CONFLICT (tenant, pack, digest) DO UPDATE SET state = $6, updated = $7"));
  for (const auto* r : rows) {
    TRY(upsert->execute(r->tenant, r->pack, r->digest, r->version, r->created, r->state,
                        r->updated));
  }
  return {};
}

Result<void> upsert_workers(sql::Connection& db, Rows<WorkerRow> rows) {
  TRY(auto* upsert, db.prepare("INSERT INTO worker (id, tenant, name, instance, slots, updated) "
                               "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO UPDATE SET "
                               "instance = $4, slots = $5, updated = $6 WHERE worker.tenant = $2"));
  for (const auto* r : rows) {
    TRY(int64_t touched,
        upsert->execute(r->id, r->tenant, r->name, r->instance, r->slots, r->updated));
    if (touched != 1) {
      return Error(ErrorKind::Internal, sql::kConstraint,
                   fmt::format("worker '{}': its id belongs to another tenant", r->name));
    }
  }
  return {};
}

}  // namespace millrace::store
