// SPDX-License-Identifier: Apache-2.0
#include "store/backup.h"

#include "model/execution.h"
#include "store/read.h"
#include "store/repository.h"
#include "store/row_reader.h"

namespace millrace::store {

using namespace kernel;

Result<std::vector<std::string>> output_blobs(sql::Connection& reader) {
  return query<std::string>(
      reader, "SELECT file FROM output /*every tenant: backup*/ WHERE file <> ''",
      +[](RowReader r, std::string& file) { r >> file; });
}

Result<std::vector<PackReleaseRow>> named_releases(sql::Connection& reader) {
  return query<PackReleaseRow>(
      reader,
      "SELECT p.tenant, p.pack, p.version, p.digest, p.created, p.state, p.updated "
      "FROM pack_release p /*every tenant: backup*/ WHERE p.digest IN (SELECT DISTINCT "
      "pack_release FROM execution) OR "
      "(p.state <> $1 AND p.updated = (SELECT max(n.updated) FROM pack_release n "
      "WHERE n.tenant = p.tenant AND n.pack = p.pack))",
      +[](RowReader r, PackReleaseRow& p) {
        r >> p.tenant >> p.pack >> p.version >> p.digest >> p.created >> p.state >> p.updated;
      },
      PackState::Uninstalled);
}

Result<std::vector<KeyRow>> sealed_keys(sql::Connection& reader, int64_t most) {
  return query<KeyRow>(
      reader,
      "SELECT tenant, scope, name, value, version FROM key_value "
      "/*every tenant: backup*/ WHERE encrypted = 1 "
      "ORDER BY updated DESC LIMIT $1",
      +[](RowReader r, KeyRow& k) {
        r >> k.key.tenant >> k.key.scope >> k.key.name >> k.value_json >> k.version;
        k.encrypted = true;
      },
      most);
}

Result<Unfinished> unfinished(sql::Connection& reader) {
  constexpr std::string_view kRuns =
      "SELECT count(*) FROM execution /*every tenant: backup*/ WHERE status IN ($1, $2, $3) AND "
      "worker <> 0";
  constexpr std::string_view kToDecide =
      "SELECT count(*) FROM execution /*every tenant: backup*/ WHERE status IN ($1, $2, $3) AND "
      "worker <> 0 AND "
      "effect_class = $4";
  constexpr auto kScheduled = ExecutionStatus::Scheduled;
  constexpr auto kRunning = ExecutionStatus::Running;
  constexpr auto kCanceling = ExecutionStatus::Canceling;
  Unfinished found;
  TRY(found.deliveries, query_int(reader, "SELECT count(*) FROM outbox /*every tenant: backup*/"));
  TRY(found.runs, query_int(reader, kRuns, kScheduled, kRunning, kCanceling));
  TRY(found.runs_to_decide,
      query_int(reader, kToDecide, kScheduled, kRunning, kCanceling, EffectClass::AtMostOnce));
  return found;
}

Result<TokenRow> add_token(sql::Connection& writer, TokenRow token) {
  TRY(int64_t newest, newest_id(writer));
  token.id = IdSource(0, newest).next<TokenId>(token.created);
  const TokenRow* row = &token;
  TRY(writer.run("BEGIN IMMEDIATE"));
  if (auto written = write_rows<&Changes::tokens>(writer, {&row, 1}); !written.ok()) {
    auto undone = writer.run("ROLLBACK");
    return std::move(written).error();
  }
  TRY(writer.run("COMMIT"));
  return token;
}

}  // namespace millrace::store
