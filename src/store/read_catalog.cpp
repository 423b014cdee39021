// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "store/read.h"
#include "store/row_reader.h"

namespace millrace::store {

using namespace kernel;

namespace {

#define RULE_ALL                                                                                \
  "SELECT r.id, r.tenant, r.ref, r.revision, r.enabled, r.deleted, r.pack, r.spec, r.created, " \
  "r.updated FROM rule r "

void read_rule(RowReader r, RuleRow& row) {
  r >> row.id >> row.tenant >> row.ref >> row.revision >> row.enabled >> row.deleted >> row.pack >>
      row.spec_json >> row.created >> row.updated;
}

void read_webhook(RowReader r, WebhookRow& w) {
  r >> w.id >> w.tenant >> w.name >> w.scheme >> w.trigger >> w.sealed_secrets >> w.deleted >>
      w.created >> w.updated >> w.version;
}

void read_token(RowReader r, TokenRow& t) {
  r >> t.id >> t.tenant >> t.hash >> t.identity >> t.permissions >> t.execution >> t.created >>
      t.expires;
}

#define KEY_ALL                                                                            \
  "SELECT tenant, scope, name, value, encrypted, version, expires, created, updated FROM " \
  "key_value "

void read_key(RowReader r, KeyRow& k) {
  r >> k.key.tenant >> k.key.scope >> k.key.name >> k.value_json >> k.encrypted >> k.version >>
      k.expires >> k.created >> k.updated;
}

#define RELEASE_ALL                                                                                \
  "SELECT p.tenant, p.pack, p.version, p.digest, p.created, p.state, p.updated FROM pack_release " \
  "p "

void read_release(RowReader r, PackReleaseRow& p) {
  r >> p.tenant >> p.pack >> p.version >> p.digest >> p.created >> p.state >> p.updated;
}

void read_worker(RowReader r, WorkerRow& w) {
  r >> w.id >> w.tenant >> w.name >> w.instance >> w.slots >> w.updated;
}

}  // namespace

Result<std::vector<PackReleaseRow>> pinned_releases(sql::Connection& db) {
  std::vector<PackReleaseRow> found;
  TRY(auto tenants, tenants_with_executions(db));
  for (TenantId tenant : tenants) {
    TRY(auto rows,
        query<PackReleaseRow>(
            db,
            RELEASE_ALL "WHERE p.tenant = $1 AND p.digest IN (SELECT pack_release FROM execution "
                        "WHERE tenant = $1 AND status < 16)",
            read_release, tenant));
    std::ranges::move(rows, std::back_inserter(found));
  }
  return found;
}

Result<std::vector<PackReleaseRow>> current_releases(sql::Connection& db) {
  return query<PackReleaseRow>(
      db,
      RELEASE_ALL
      "WHERE p.state <> $1 AND p.updated = (SELECT max(n.updated) FROM pack_release n "
      "WHERE n.tenant = p.tenant AND n.pack = p.pack)",
      read_release, PackState::Uninstalled);
}

Result<int64_t> executions_of_release(sql::Connection& db, TenantId tenant,
                                      const std::string& digest) {
  return query_int(
      db, "SELECT count(*) FROM execution WHERE tenant = $1 AND status < 16 AND pack_release = $2",
      tenant, digest);
}

Result<std::vector<RuleRow>> rules_of_all_tenants(sql::Connection& db) {
  return query<RuleRow>(
      db,
      "/*every tenant: start*/ " RULE_ALL
      "WHERE r.deleted = 0 AND r.revision = "
      "(SELECT max(n.revision) FROM rule n WHERE n.id = r.id AND n.tenant = r.tenant)",
      read_rule);
}

Result<std::vector<RuleRow>> gone_pack_rules(sql::Connection& db) {
  return query<RuleRow>(db,
                        "/*every tenant: start*/ " RULE_ALL
                        "WHERE r.deleted = 1 AND r.pack <> '' AND r.revision = (SELECT "
                        "max(n.revision) FROM rule n WHERE n.id = r.id AND n.tenant = r.tenant) "
                        "ORDER BY r.id",
                        read_rule);
}

Result<std::vector<RuleRow>> rule_revisions(sql::Connection& db, TenantId tenant, RuleId id) {
  return query<RuleRow>(db, RULE_ALL "WHERE r.id = $1 AND r.tenant = $2 ORDER BY r.revision DESC",
                        read_rule, id, tenant);
}

Result<std::optional<RuleRow>> find_rule(sql::Connection& db, TenantId tenant,
                                         const std::string& ref) {
  return query_one<RuleRow>(
      db, RULE_ALL "WHERE r.tenant = $1 AND r.ref = $2 ORDER BY r.id DESC, r.revision DESC LIMIT 1",
      read_rule, tenant, ref);
}

Result<std::optional<RuleRow>> rule_at(sql::Connection& db, TenantId tenant, const std::string& ref,
                                       int64_t at) {
  return query_one<RuleRow>(db,
                            RULE_ALL
                            "WHERE r.tenant = $1 AND r.ref = $2 AND r.updated <= $3 "
                            "ORDER BY r.updated DESC, r.id DESC, r.revision DESC LIMIT 1",
                            read_rule, tenant, ref, at);
}

Result<std::vector<WebhookRow>> webhooks_of_all_tenants(sql::Connection& db) {
  return query<WebhookRow>(
      db,
      "/*every tenant: start*/ SELECT id, tenant, name, scheme, webhook_trigger, secrets, deleted, "
      "created, updated, version FROM webhook WHERE deleted = 0",
      read_webhook);
}

#define TOKEN_ALL \
  "SELECT id, tenant, hash, identity, permissions, execution, created, expires FROM token"

Result<std::vector<TokenRow>> tokens_of_all_tenants(sql::Connection& db) {
  return query<TokenRow>(db, "/*every tenant: start*/ " TOKEN_ALL, read_token);
}

Result<std::vector<TokenRow>> tokens_of(sql::Connection& db, TenantId tenant) {
  return query<TokenRow>(db, TOKEN_ALL " WHERE tenant = $1 ORDER BY id", read_token, tenant);
}

Result<std::optional<TokenRow>> find_token(sql::Connection& db, TenantId tenant, TokenId id) {
  return query_one<TokenRow>(db, TOKEN_ALL " WHERE tenant = $1 AND id = $2", read_token, tenant,
                             id);
}

Result<std::optional<KeyRow>> find_key(sql::Connection& db, const KeyName& key) {
  return query_one<KeyRow>(db, KEY_ALL "WHERE tenant = $1 AND scope = $2 AND name = $3", read_key,
                           key.tenant, key.scope, key.name);
}

Result<std::vector<KeyRow>> list_keys(sql::Connection& db, const KeyName& after,
                                      const std::string& scope, int limit) {
  if (!scope.empty()) {
    // Of one scope the order is that of the names alone.
    std::string name = after.scope == scope ? after.name : "";
    return query<KeyRow>(
        db, KEY_ALL "WHERE tenant = $1 AND scope = $2 AND name > $3 ORDER BY name LIMIT $4",
        read_key, after.tenant, scope, name, limit);
  }
  return query<KeyRow>(db,
                       KEY_ALL
                       "WHERE tenant = $1 AND (scope, name) > ($2, $3) "
                       "ORDER BY scope, name LIMIT $4",
                       read_key, after.tenant, after.scope, after.name, limit);
}

Result<std::vector<WorkerRow>> all_workers(sql::Connection& db) {
  return query<WorkerRow>(
      db, "/*every tenant: worker*/ SELECT id, tenant, name, instance, slots, updated FROM worker",
      read_worker);
}

Result<std::vector<WorkerRow>> workers_of(sql::Connection& db, TenantId tenant) {
  return query<WorkerRow>(
      db, "SELECT id, tenant, name, instance, slots, updated FROM worker WHERE tenant = $1",
      read_worker, tenant);
}

}  // namespace millrace::store
