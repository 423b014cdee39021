// SPDX-License-Identifier: Apache-2.0
#include "bare_rows.h"

#include <fmt/format.h>

#include "bare_postgres.h"
#include "flight.h"
#include "model/execution.h"
#include "process.h"

namespace millrace::bench {
namespace {

constexpr int64_t kNow = 1'800'000'000'000;
constexpr std::string_view kTrigger = "core.webhook";
constexpr std::string_view kSource = "webhook:github";
constexpr std::string_view kTrace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
constexpr std::string_view kAction = "ci.build";
constexpr std::string_view kRelease = "0123456789abcdef0123456789abcdef";
constexpr std::string_view kParameters = R"({"repository":"millrace","ref":"refs/heads/main"})";
constexpr std::string_view kVerdicts = R"([{"key":"trigger.ref","matched":true}])";
constexpr std::string_view kResult = R"({"stdout":"","stderr":"","exit_code":0})";
constexpr std::string_view kNone = "";
// Of a workflow as long as ours: an id has 63 bits, a digest 64 digits.
constexpr int64_t kShard = 35;
constexpr int64_t kFirstId = 385'698'422'872'604'672;
constexpr std::string_view kDigest =
    "c1d54f59903c4298b6b749d28dca7104c58c0e375d540ebdbc2484c968d50657";
constexpr std::string_view kHead =
    R"({"version":1,"status":"succeeded","parameters":{"n":1},"output":{"b":3},"routes":[[]],)"
    R"("staged":[]})";
constexpr std::string_view kContexts[] = {
    R"({"st2":{"action_execution_id":"385698422872604672","workflow_execution_id":)"
    R"("385698422872604672","user":"admin","pack":"bench","action":"bench.three"},"n":1})",
    R"({"a":2})", R"({"b":3})"};
constexpr std::string_view kEntries[] = {
    R"({"id":"one","route":0,"ctxs":{"in":[0],"out":{"two__t0":1}},"prev":{},)"
    R"("next":{"two__t0":true},"status":"succeeded"})",
    R"({"id":"two","route":0,"ctxs":{"in":[0,1],"out":{"three__t0":2}},"prev":{"one__t0":0},)"
    R"("next":{"three__t0":true},"status":"succeeded"})",
    R"({"id":"three","route":0,"ctxs":{"in":[0,1,2]},"prev":{"two__t0":1},"next":{},)"
    R"("status":"succeeded","term":true})"};

}  // namespace

std::string delivery(int64_t n) {
  auto x = static_cast<uint64_t>(n) * 0x9E3779B97F4A7C15ULL;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
  uint64_t y = x * 0x94D049BB133111EBULL;
  return fmt::format("{:016x}-{:016x}", x ^ (x >> 27), y ^ (y >> 31));
}

std::unique_ptr<BareSqlite> bare_sqlite(const std::string& folder) {
  make_store(folder);
  auto db = std::make_unique<BareSqlite>(folder + "/millrace.db");
  db->exec(
      "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY;"
      "PRAGMA cache_size=-32768; PRAGMA journal_size_limit=33554432");
  return db;
}

template <typename Db>
BareRowsIn<Db>::BareRowsIn(std::unique_ptr<Db> db) : db_(std::move(db)) {
  dedupe_ = db_->prepare(
      "INSERT INTO dedupe (tenant, scope, key, value, expires) VALUES "
      "(?, ?, ?, ?, ?) ON CONFLICT (tenant, scope, key) DO UPDATE SET "
      "value = excluded.value, expires = excluded.expires "
      "WHERE dedupe.expires <= ?");
  event_ = db_->prepare(
      "INSERT INTO event (id, tenant, event_trigger, source, source_id, type, "
      "trace, replay_of, created, chain, trigger_parameters, payload) "
      "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?)");
  enforcement_ = db_->prepare(
      "INSERT INTO enforcement (id, tenant, rule, rule_ref, "
      "rule_revision, event, execution, status, error, created, verdicts) "
      "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
  execution_ = db_->prepare(
      "INSERT INTO execution (id, tenant, shard, action, pack_release, status, failure, "
      "effect_class, priority, attempt, epoch, worker, parent, root, enforcement, original, "
      "timeout_ms, created, updated, started, ended, version, requested_by, trace, held, "
      "parameters, env, result, result_size, task, task_route, task_item, needs, defaults, "
      "limits, retries) VALUES "
      "(?, ?, ?, "
      "?, ?, "
      "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', 0, -1, '', '', "
      "'', 0)");
  queue_ = db_->prepare(
      "INSERT INTO queue (execution, tenant, shard, queue_rank, needs) "
      "VALUES (?, ?, ?, ?, '')");
  feed_ = db_->prepare(
      "INSERT INTO change_feed (seq, tenant, entity_type, op, entity, at, "
      "detail) VALUES (?, ?, ?, ?, ?, ?, ?)");
  finish_ = db_->prepare(
      "UPDATE execution SET status = ?, updated = ?, ended = ?, version = version + 1, "
      "result = ?, result_size = ? WHERE id = ?");
  step_ = db_->prepare(
      "INSERT INTO execution (id, tenant, shard, action, pack_release, status, failure, "
      "effect_class, priority, attempt, epoch, worker, parent, root, enforcement, original, "
      "timeout_ms, created, updated, started, ended, version, requested_by, trace, held, "
      "parameters, env, result, result_size, task, task_route, task_item, needs, defaults, "
      "limits, retries) VALUES "
      "(?, ?, ?, "
      "?, ?, "
      "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, -1, '', '', "
      "'', 0)");
  head_ = db_->prepare(
      "INSERT INTO workflow (execution, tenant, shard, version, head) VALUES "
      "(?, ?, ?, ?, ?)");
  piece_ = db_->prepare(
      "INSERT INTO workflow_piece (workflow, kind, position, tenant, body) VALUES "
      "(?, ?, ?, ?, ?)");
  run_ = db_->prepare(
      "INSERT INTO workflow_run (workflow, task, route, item, tenant, execution, "
      "status) VALUES (?, ?, ?, ?, ?, ?, ?)");
  output_ = db_->prepare(
      "INSERT INTO output (execution, attempt, stream, tenant, size, dropped, "
      "file, bytes) VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
}

template <typename Db>
int64_t BareRowsIn<Db>::webhooks(int64_t total, int64_t per_commit, std::string_view payload,
                                 bool matched, std::vector<double>* commit_us) {
  for (int64_t done = 0; done < total; done += per_commit) {
    double begin = wall_seconds();
    db_->begin();
    for (int64_t i = 0; i < per_commit && done + i < total; ++i) {
      webhook(++n_, payload, matched ? Start::Queued : Start::None);
    }
    db_->commit();
    if (commit_us) commit_us->push_back((wall_seconds() - begin) * 1e6);
  }
  return total;
}

template <typename Db>
int64_t BareRowsIn<Db>::workflows(int64_t total, int64_t per_commit) {
  for (int64_t done = 0; done < total; done += per_commit) {
    db_->begin();
    for (int64_t i = 0; i < per_commit && done + i < total; ++i) workflow(++n_);
    db_->commit();
  }
  return total;
}

template <typename Db>
void BareRowsIn<Db>::execution(int64_t id, int64_t parent, std::string_view action,
                               std::string_view task, std::string_view parameters,
                               std::string_view result) {
  constexpr int64_t k0 = 0, k1 = 1;
  db_->run(step_, id, k1, kShard, action, kDigest, static_cast<int64_t>(ExecutionStatus::Succeeded),
           k0, int64_t{3}, int64_t{2}, k1, k0, k0, parent, parent ? parent : id, k0, k0, k0, kNow,
           kNow, kNow, kNow, k1, "admin", kTrace, kNone, parameters, kNone, result,
           static_cast<int64_t>(result.size()), task);
  db_->run(feed_, ++seq_, k1, int64_t{2}, k0, id, kNow, "succeeded");
}

template <typename Db>
void BareRowsIn<Db>::workflow(int64_t n) {
  constexpr int64_t k0 = 0, k1 = 1;
  int64_t id = kFirstId + n * 8;
  constexpr std::string_view kTasks[] = {"one", "two", "three"};
  for (int64_t i = 0; i < 3; ++i) {
    int64_t step = id + 1 + i;
    execution(step, id, "core.echo", kTasks[i], R"({"message":1})",
              R"({"stdout":"1","stderr":"","exit_code":0,"output":1})");
    db_->run(output_, step, k1, k0, k1, k1, k0, kNone, "1");
    db_->run(run_, id, kTasks[i], k0, int64_t{-1}, k1, step, k0);
  }
  for (int64_t i = 0; i < 3; ++i) db_->run(piece_, id, k0, i, k1, kContexts[i]);
  for (int64_t i = 0; i < 3; ++i) db_->run(piece_, id, k1, i, k1, kEntries[i]);
  execution(id, 0, "bench.three", kNone, R"({"n":1})", R"({"output":{"b":3}})");
  db_->run(head_, id, k1, kShard, k1, kHead);
}

template <typename Db>
void BareRowsIn<Db>::run(std::string_view payload, const std::function<void()>& work) {
  db_->begin();
  webhook(++n_, payload, Start::AtOnce);
  db_->commit();
  work();
  db_->begin();
  finish(n_);
  db_->commit();
}

template <typename Db>
void BareRowsIn<Db>::history(int64_t count, std::string_view payload) {
  constexpr int64_t kPerCommit = 5'000;
  for (int64_t done = 0; done < count; done += kPerCommit) {
    db_->begin();
    for (int64_t i = 0; i < kPerCommit && done + i < count; ++i) {
      webhook(++n_, payload, Start::AtOnce);
      finish(n_);
    }
    db_->commit();
  }
}

template <typename Db>
void BareRowsIn<Db>::webhook(int64_t n, std::string_view payload, Start start) {
  constexpr int64_t k0 = 0, k1 = 1;
  int64_t id = n * 4;
  std::string name = delivery(n);
  db_->run(dedupe_, k1, "event:webhook:github", name, std::to_string(id), kNow + n, kNow);
  db_->run(event_, id, k1, kTrigger, kSource, name, kNone, kTrace, k0, kNow, kNone, payload);
  db_->run(feed_, ++seq_, k1, k0, k0, id, kNow, kTrigger);
  if (start == Start::None) return;
  auto status = static_cast<int64_t>(start == Start::AtOnce ? ExecutionStatus::Running
                                                            : ExecutionStatus::Requested);
  db_->run(enforcement_, id + 1, k1, int64_t{77}, "ci.on_push", k1, id, id + 2, k0, kNone, kNow,
           kVerdicts);
  db_->run(execution_, id + 2, k1, k1, kAction, kRelease, status, k0, k0, int64_t{2}, k1, k0, k0,
           k0, id + 2, id + 1, k0, k0, kNow, kNow, k0, k0, k1, "rule:ci.on_push", kTrace, kNone,
           kParameters, "{}", kNone, k0);
  if (start == Start::Queued) db_->run(queue_, id + 2, k1, k1, kNow + n);
  db_->run(feed_, ++seq_, k1, k1, k0, id + 1, kNow, "ci.on_push");
  db_->run(feed_, ++seq_, k1, int64_t{2}, k0, id + 2, kNow, "requested");
}

template <typename Db>
void BareRowsIn<Db>::finish(int64_t n) {
  int64_t id = n * 4 + 2;
  db_->run(finish_, static_cast<int64_t>(ExecutionStatus::Succeeded), kNow, kNow, kResult,
           static_cast<int64_t>(kResult.size()), id);
  db_->run(feed_, ++seq_, int64_t{1}, int64_t{2}, int64_t{1}, id, kNow, "succeeded");
}

template class BareRowsIn<BareSqlite>;
template class BareRowsIn<BarePostgres>;

}  // namespace millrace::bench
