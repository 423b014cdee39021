// SPDX-License-Identifier: Apache-2.0
// The real rows of a webhook that matches a rule: dedupe, event, enforcement, execution, queue and
// three entries of the change feed, with all their indexes.
#include <fmt/format.h>

#include <algorithm>

#include "bare_sqlite.h"
#include "figure.h"
#include "flight.h"

namespace millrace::bench {
namespace {

using namespace kernel;

constexpr TenantId kTenant = kDefaultTenant;
constexpr int64_t kNow = 1'800'000'000'000;
constexpr std::string_view kTrigger = "core.webhook";
constexpr std::string_view kSource = "webhook:github";
constexpr std::string_view kTrace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
constexpr std::string_view kAction = "ci.build";
constexpr std::string_view kRelease = "0123456789abcdef0123456789abcdef";
constexpr std::string_view kParameters = R"({"repository":"millrace","ref":"refs/heads/main"})";
constexpr std::string_view kVerdicts = R"([{"key":"trigger.ref","matched":true}])";
const std::string kPayload = "{\"pad\":\"" + std::string(1000, 'x') + "\"}";

// GitHub names a delivery by a random UUID: so do both sides, from the same sequence.
std::string delivery(int64_t n) {
  auto x = static_cast<uint64_t>(n) * 0x9E3779B97F4A7C15ULL;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
  uint64_t y = x * 0x94D049BB133111EBULL;
  return fmt::format("{:016x}-{:016x}", x ^ (x >> 27), y ^ (y >> 31));
}

std::unique_ptr<store::Step> webhook_step(int64_t n) {
  auto step = std::make_unique<store::Step>();
  auto& c = step->changes;
  int64_t id = n * 4;
  c.dedupe.push_back({.tenant = kTenant,
                      .scope = fmt::format("event:{}", kSource),
                      .key = delivery(n),
                      .value = std::to_string(id),
                      .expires = kNow + n});
  auto& event = c.events.emplace_back();
  event.id = EventId{id};
  event.tenant = kTenant;
  event.trigger = kTrigger;
  event.source = kSource;
  event.source_id = delivery(n);
  event.payload_json = kPayload;
  event.trace = kTrace;
  event.created = kNow;
  auto& enforcement = c.enforcements.emplace_back();
  enforcement.id = EnforcementId{id + 1};
  enforcement.tenant = kTenant;
  enforcement.rule = RuleId{77};
  enforcement.rule_ref = "ci.on_push";
  enforcement.rule_revision = 1;
  enforcement.event = event.id;
  enforcement.execution = ExecutionId{id + 2};
  enforcement.verdicts_json = kVerdicts;
  enforcement.created = kNow;
  auto& execution = c.new_executions.emplace_back();
  execution.id = execution.root = ExecutionId{id + 2};
  execution.tenant = kTenant;
  execution.action = kAction;
  execution.release = kRelease;
  execution.enforcement = enforcement.id;
  execution.created = execution.updated = kNow;
  execution.identity = "rule:ci.on_push";
  execution.trace = kTrace;
  execution.parameters_json = kParameters;
  execution.env_json = "{}";
  c.enqueue.push_back({execution.id, kTenant, kNow + n});
  c.feed.push_back({.tenant = kTenant,
                    .type = EntityType::Event,
                    .entity = id,
                    .detail = std::string(kTrigger),
                    .at = kNow});
  c.feed.push_back({.tenant = kTenant,
                    .type = EntityType::Enforcement,
                    .entity = id + 1,
                    .detail = "ci.on_push",
                    .at = kNow});
  c.feed.push_back({.tenant = kTenant,
                    .type = EntityType::Execution,
                    .entity = id + 2,
                    .detail = "requested",
                    .at = kNow});
  return step;
}

class Floor {
 public:
  explicit Floor(const std::string& folder) : db_((make_store(folder), folder + "/millrace.db")) {
    db_.exec(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY;"
        "PRAGMA cache_size=-32768; PRAGMA journal_size_limit=33554432");
    begin_ = db_.prepare("BEGIN IMMEDIATE");
    commit_ = db_.prepare("COMMIT");
    dedupe_ = db_.prepare(
        "INSERT INTO dedupe (tenant, scope, key, value, expires) VALUES "
        "(?, ?, ?, ?, ?) ON CONFLICT (tenant, scope, key) DO UPDATE SET "
        "value = excluded.value, expires = excluded.expires "
        "WHERE dedupe.expires <= ?");
    event_ = db_.prepare(
        "INSERT INTO event (id, tenant, event_trigger, source, source_id, type, "
        "trace, replay_of, created, trigger_parameters, payload) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    enforcement_ = db_.prepare(
        "INSERT INTO enforcement (id, tenant, rule, rule_ref, "
        "rule_revision, event, execution, status, error, created, verdicts) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    execution_ = db_.prepare(
        "INSERT INTO execution (id, tenant, shard, action, pack_release, status, failure, "
        "effect_class, priority, attempt, epoch, worker, parent, root, enforcement, original, "
        "timeout_ms, created, updated, started, ended, version, requested_by, trace, held, "
        "parameters, env, result, result_size) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
        "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    queue_ = db_.prepare(
        "INSERT INTO queue (execution, tenant, shard, queue_rank) "
        "VALUES (?, ?, ?, ?)");
    feed_ = db_.prepare(
        "INSERT INTO change_feed (seq, tenant, entity_type, op, entity, at, "
        "detail) VALUES (?, ?, ?, ?, ?, ?, ?)");
  }
  ~Floor() {
    for (auto* stmt : {begin_, commit_, dedupe_, event_, enforcement_, execution_, queue_, feed_}) {
      sqlite3_finalize(stmt);
    }
  }
  int64_t run(int64_t steps, int64_t in_flight) {
    for (int64_t done = 0; done < steps; done += in_flight) {
      db_.run(begin_);
      for (int64_t i = 0; i < in_flight && done + i < steps; ++i) step(++n_);
      db_.run(commit_);
    }
    return steps;
  }
  void checkpoint() { db_.exec("PRAGMA wal_checkpoint(PASSIVE)"); }

 private:
  void step(int64_t n) {
    constexpr int64_t k0 = 0, k1 = 1;
    constexpr std::string_view kNone = "";
    int64_t id = n * 4;
    std::string name = delivery(n);
    db_.run(dedupe_, k1, "event:webhook:github", name, std::to_string(id), kNow + n, kNow);
    db_.run(event_, id, k1, kTrigger, kSource, name, kNone, kTrace, k0, kNow, kNone, kPayload);
    db_.run(enforcement_, id + 1, k1, int64_t{77}, "ci.on_push", k1, id, id + 2, k0, kNone, kNow,
            kVerdicts);
    db_.run(execution_, id + 2, k1, k1, kAction, kRelease, k0, k0, k0, int64_t{2}, k1, k0, k0, k0,
            id + 2, id + 1, k0, k0, kNow, kNow, k0, k0, k1, "rule:ci.on_push", kTrace, kNone,
            kParameters, "{}", kNone, k0);
    db_.run(queue_, id + 2, k1, k1, kNow + n);
    db_.run(feed_, ++seq_, k1, k0, k0, id, kNow, kTrigger);
    db_.run(feed_, ++seq_, k1, k1, k0, id + 1, kNow, "ci.on_push");
    db_.run(feed_, ++seq_, k1, int64_t{2}, k0, id + 2, kNow, "requested");
  }

  BareSqlite db_;
  sqlite3_stmt *begin_, *commit_, *dedupe_, *event_, *enforcement_, *execution_, *queue_, *feed_;
  int64_t n_ = 0;
  int64_t seq_ = 0;
};

}  // namespace

std::vector<Line> rows_figure(const Options& options) {
  std::vector<Line> lines;
  for (int64_t in_flight : {1, 64}) {
    Flight ours(fmt::format("{}/rows-ours-{}", options.folder, in_flight));
    Floor floor(fmt::format("{}/rows-floor-{}", options.folder, in_flight));
    int64_t n = 0;
    auto run_ours = [&](int64_t steps) {
      return ours.run(steps, in_flight, [&] { return webhook_step(++n); });
    };
    // The first steps, not counted, tell how fast the disk is now.
    int64_t steps = std::max<int64_t>(in_flight * 10, 100);
    run_ours(steps);
    steps =
        operations_per_round(measure([&] { return floor.run(steps, in_flight); }), options.quick);
    Interleaved samples;
    for (int round = 0; round < (options.quick ? 3 : 7); ++round) {
      ours.checkpoint();
      floor.checkpoint();
      samples.round([&] { return run_ours(steps); }, [&] { return floor.run(steps, in_flight); });
    }
    lines.push_back({.figure = fmt::format("rows of a webhook, {} in flight", in_flight),
                     .unit = "/s",
                     .ours = samples.ours(&Sample::rate),
                     .floor = samples.floor(&Sample::rate),
                     .better = Line::Better::More});
    lines.push_back({.figure = fmt::format("rows of a webhook, CPU, {} in flight", in_flight),
                     .unit = "us",
                     .ours = samples.ours(&Sample::cpu_us),
                     .floor = samples.floor(&Sample::cpu_us),
                     .aim = in_flight == 64 ? 1.3 : 0});
  }
  return lines;
}

}  // namespace millrace::bench
