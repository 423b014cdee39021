// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "store/read.h"
#include "store/tables.h"

namespace millrace::store {

using namespace kernel;

Result<std::vector<PackReleaseRow>> pinned_releases(sql::Connection& db) {
  static const auto text = select<PackReleaseRow>(
      "WHERE tenant = $1 AND digest IN (SELECT pack_release FROM execution WHERE tenant = $1 AND "
      "status < $2)");
  std::vector<PackReleaseRow> found;
  TRY(auto tenants, tenants_with_executions(db));
  for (TenantId tenant : tenants) {
    TRY(auto rows, read_all<PackReleaseRow>(db, text, tenant, kFirstFinal));
    std::ranges::move(rows, std::back_inserter(found));
  }
  return found;
}

Result<CurrentReleases> current_releases(sql::Connection& db) {
  static const auto text = select<PackReleaseRow>(
      "AS p /*every tenant: start*/ WHERE updated = (SELECT max(n.updated) FROM pack_release AS n "
      "WHERE n.tenant = p.tenant AND n.pack = p.pack)");
  CurrentReleases current;
  TRY(current.rows, read_all<PackReleaseRow>(db, text));
  for (const auto& row : current.rows) current.newest = std::max(current.newest, row.updated);
  std::erase_if(current.rows, [](const auto& row) { return row.state == PackState::Uninstalled; });
  return current;
}

Result<std::optional<PackReleaseRow>> release_before(sql::Connection& db, TenantId tenant,
                                                     const std::string& pack,
                                                     const std::string& digest) {
  static const auto text = select<PackReleaseRow>(
      "AS p WHERE tenant = $1 AND pack = $2 AND updated = (SELECT max(n.updated) FROM pack_release "
      "AS n WHERE n.tenant = $1 AND n.pack = $2 AND n.digest NOT IN ('', $3))");
  return read_one<PackReleaseRow>(db, text, tenant, pack, digest);
}

Result<bool> has_release(sql::Connection& db, const std::string& pack, const std::string& digest) {
  TRY(int64_t rows, query_int(db,
                              "SELECT count(*) FROM pack_release /*every tenant: start*/ WHERE "
                              "pack = $1 AND digest = $2",
                              pack, digest));
  return rows > 0;
}

Result<int64_t> executions_of_release(sql::Connection& db, TenantId tenant,
                                      const std::string& digest) {
  return query_int(
      db,
      "SELECT count(*) FROM execution /*every tenant: releases*/ WHERE tenant = $1 AND status < $2 "
      "AND pack_release = $3",
      tenant, kFirstFinal, digest);
}

Result<std::vector<RuleRow>> gone_pack_rules(sql::Connection& db) {
  static const auto text = select<RuleRow>(
      "AS r /*every tenant: start*/ WHERE deleted = 1 AND pack <> '' AND revision = (SELECT "
      "max(n.revision) FROM rule AS n WHERE n.id = r.id AND n.tenant = r.tenant) ORDER BY id");
  return read_all<RuleRow>(db, text);
}

Result<std::vector<RuleRow>> rules_of_all_tenants(sql::Connection& db) {
  static const auto text = select<RuleRow>(
      "AS r /*every tenant: start*/ WHERE deleted = 0 AND revision = (SELECT max(n.revision) FROM "
      "rule AS n WHERE n.id = r.id AND n.tenant = r.tenant)");
  return read_all<RuleRow>(db, text);
}

Result<std::vector<RuleRow>> rule_revisions(sql::Connection& db, TenantId tenant, RuleId id) {
  static const auto text = select<RuleRow>("WHERE id = $1 AND tenant = $2 ORDER BY revision DESC");
  return read_all<RuleRow>(db, text, id, tenant);
}

Result<std::vector<RuleRow>> rule_history(sql::Connection& db, TenantId tenant,
                                          const std::string& ref, int limit) {
  static const auto text =
      select<RuleRow>("WHERE tenant = $1 AND ref = $2 ORDER BY id DESC, revision DESC LIMIT $3");
  return read_all<RuleRow>(db, text, tenant, ref, limit);
}

Result<std::optional<RuleRow>> find_rule(sql::Connection& db, TenantId tenant,
                                         const std::string& ref) {
  static const auto text =
      select<RuleRow>("WHERE tenant = $1 AND ref = $2 ORDER BY id DESC, revision DESC LIMIT 1");
  return read_one<RuleRow>(db, text, tenant, ref);
}

Result<std::optional<RuleRow>> rule_at(sql::Connection& db, TenantId tenant, const std::string& ref,
                                       int64_t at) {
  static const auto text = select<RuleRow>(
      "WHERE tenant = $1 AND ref = $2 AND updated <= $3 "
      "ORDER BY updated DESC, id DESC, revision DESC LIMIT 1");
  return read_one<RuleRow>(db, text, tenant, ref, at);
}

Result<std::vector<CatalogRow>> catalogs_of_all_tenants(sql::Connection& db) {
  static const auto text = select<CatalogRow>("/*every tenant: follow*/");
  return read_all<CatalogRow>(db, text);
}

Result<CatalogRow> catalog_of(sql::Connection& db, TenantId tenant) {
  static const auto text = select<CatalogRow>("WHERE tenant = $1");
  TRY(auto row, read_one<CatalogRow>(db, text, tenant));
  return row ? *std::move(row) : CatalogRow{.tenant = tenant, .version = 0};
}

Result<std::optional<WebhookRow>> find_webhook(sql::Connection& db, TenantId tenant, WebhookId id) {
  static const auto text = select<WebhookRow>("WHERE tenant = $1 AND id = $2");
  return read_one<WebhookRow>(db, text, tenant, id);
}

Result<std::vector<WebhookRow>> webhooks_of_all_tenants(sql::Connection& db) {
  static const auto text = select<WebhookRow>("/*every tenant: start*/ WHERE deleted = 0");
  return read_all<WebhookRow>(db, text);
}

Result<std::vector<TokenRow>> tokens_of_all_tenants(sql::Connection& db) {
  static const auto text = select<TokenRow>("/*every tenant: start*/");
  return read_all<TokenRow>(db, text);
}

Result<std::vector<TokenRow>> tokens_of(sql::Connection& db, TenantId tenant) {
  static const auto text = select<TokenRow>("WHERE tenant = $1 ORDER BY id");
  return read_all<TokenRow>(db, text, tenant);
}

Result<std::optional<TokenRow>> find_token(sql::Connection& db, TenantId tenant, TokenId id) {
  static const auto text = select<TokenRow>("WHERE +tenant = $1 AND id = $2");
  return read_one<TokenRow>(db, text, tenant, id);
}

Result<std::optional<KeyRow>> find_key(sql::Connection& db, const KeyName& key) {
  static const auto text = select<KeyRow>("WHERE tenant = $1 AND scope = $2 AND name = $3");
  return read_one<KeyRow>(db, text, key.tenant, key.scope, key.name);
}

Result<std::vector<KeyRow>> list_keys(sql::Connection& db, const KeyName& after,
                                      const std::string& scope, int limit) {
  static const auto of_scope =
      select<KeyRow>("WHERE tenant = $1 AND scope = $2 AND name > $3 ORDER BY name LIMIT $4");
  static const auto of_all = select<KeyRow>(
      "WHERE tenant = $1 AND (scope, name) > ($2, $3) ORDER BY scope, name LIMIT $4");
  if (scope.empty()) {
    return read_all<KeyRow>(db, of_all, after.tenant, after.scope, after.name, limit);
  }
  // Of one scope the order is that of the names alone.
  std::string name = after.scope == scope ? after.name : "";
  return read_all<KeyRow>(db, of_scope, after.tenant, scope, name, limit);
}

Result<std::vector<OperationRow>> list_operations(sql::Connection& db, TenantId tenant, Page page) {
  static const auto text =
      select<OperationRow>("WHERE id < $1 AND tenant = $2 ORDER BY id DESC LIMIT $3");
  int64_t before = page.before > 0 ? page.before : INT64_MAX;
  return read_all<OperationRow>(db, text, before, tenant, page.limit);
}

Result<std::optional<OperationRow>> find_operation(sql::Connection& db, TenantId tenant,
                                                   OperationId id) {
  static const auto text = select<OperationRow>("WHERE tenant = $1 AND id = $2");
  return read_one<OperationRow>(db, text, tenant, id);
}

Result<std::vector<OperationRow>> operations_left(sql::Connection& db, const std::string& server) {
  static const auto text =
      select<OperationRow>("/*every tenant: start*/ WHERE status = $1 AND server = $2");
  return read_all<OperationRow>(db, text, OperationStatus::Running, server);
}

Result<std::vector<WorkerRow>> all_workers(sql::Connection& db) {
  static const auto text = select<WorkerRow>("/*every tenant: worker*/");
  return read_all<WorkerRow>(db, text);
}

}  // namespace millrace::store
