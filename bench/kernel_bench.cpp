// SPDX-License-Identifier: Apache-2.0
// One step: an execution is updated on its version, an outbox row and a dedupe key are written,
// the message that woke it is deleted.
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
constexpr int64_t kExecutions = 4096;

// What both sides do next, from the same counters.
struct StepNumbers {
  int64_t n = 0;  // of the step
  int64_t execution() const { return n % kExecutions + 1; }
  int64_t version() const { return n / kExecutions + 2; }
};

ExecutionRow first_row(int64_t id) {
  ExecutionRow row;
  row.id = row.root = ExecutionId{id};
  row.tenant = kTenant;
  row.action = "ci.build";
  row.release = "0123456789abcdef0123456789abcdef";
  row.identity = "admin";
  row.created = row.updated = kNow;
  row.parameters_json = R"({"repository":"millrace","ref":"refs/heads/main","commit":"0123abcd"})";
  row.env_json = "{}";
  return row;
}

constexpr std::string_view kResult = R"({"exit_code":0,"stdout":"ok","stderr":""})";
constexpr std::string_view kBody = R"({"execution":"1","attempt":1,"epoch":2})";

class Ours {
 public:
  explicit Ours(const std::string& folder) : flight_(folder) {
    int64_t id = 0;
    flight_.run(kExecutions, 512, [&] {
      auto step = std::make_unique<store::Step>();
      step->changes.new_executions.push_back(first_row(++id));
      return step;
    });
  }
  void prepare(int64_t steps) {
    flight_.run(steps, 512, [&] {
      auto step = std::make_unique<store::Step>();
      step->changes.messages.push_back({.id = MessageId{++messages_},
                                        .tenant = kTenant,
                                        .shard = 1,
                                        .subject = 1,
                                        .body_json = "{}",
                                        .created = kNow});
      return step;
    });
    flight_.checkpoint();
  }
  int64_t run(int64_t steps, int64_t in_flight) {
    return flight_.run(steps, in_flight, [&] { return make(); });
  }

 private:
  std::unique_ptr<store::Step> make() {
    auto step = std::make_unique<store::Step>();
    auto& c = step->changes;
    auto& row = c.executions.emplace_back();
    row.id = ExecutionId{next_.execution()};
    row.tenant = kTenant;
    row.status = ExecutionStatus::Running;
    row.updated = kNow;
    row.version = next_.version();
    row.result_json = kResult;
    int64_t n = ++next_.n;
    c.outbox.push_back({.id = OutboxId{n},
                        .tenant = kTenant,
                        .shard = 1,
                        .subject = row.id.value,
                        .body_json = std::string(kBody),
                        .created = kNow});
    c.dedupe.push_back({.tenant = kTenant,
                        .scope = "completion",
                        .key = fmt::format("{:016}/1/2", n),
                        .value = "1",
                        .expires = kNow + 1'000'000 + n});
    c.acked.push_back({kTenant, MessageId{n}});
    return step;
  }

  Flight flight_;
  StepNumbers next_;
  int64_t messages_ = 0;
};

class Floor {
 public:
  explicit Floor(const std::string& folder) : db_((make_store(folder), folder + "/millrace.db")) {
    db_.exec(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY;"
        "PRAGMA cache_size=-32768; PRAGMA journal_size_limit=33554432");
    begin_ = db_.prepare("BEGIN IMMEDIATE");
    commit_ = db_.prepare("COMMIT");
    update_ = db_.prepare(
        "UPDATE execution SET status = ?, failure = ?, attempt = ?, epoch = ?, worker = ?, "
        "updated = ?, started = ?, ended = ?, version = ?, held = ?, result = ?, result_size = ? "
        "WHERE id = ? AND version = ? AND status < 16");
    outbox_ = db_.prepare(
        "INSERT INTO outbox (id, tenant, shard, destination, subject, created, "
        "body) VALUES (?, ?, ?, ?, ?, ?, ?)");
    dedupe_ = db_.prepare(
        "INSERT INTO dedupe (tenant, scope, key, value, expires) VALUES "
        "(?, ?, ?, ?, ?) ON CONFLICT (tenant, scope, key) DO UPDATE SET "
        "value = excluded.value, expires = excluded.expires "
        "WHERE dedupe.expires <= ?");
    ack_ = db_.prepare("DELETE FROM message WHERE id = ?");
    fill_executions();
  }
  ~Floor() {
    for (auto* stmt : {begin_, commit_, update_, outbox_, dedupe_, ack_}) sqlite3_finalize(stmt);
  }
  void prepare(int64_t steps) {
    auto* insert = db_.prepare(
        "INSERT INTO message (id, tenant, shard, kind, subject, created, "
        "body) VALUES (?, 1, 1, 0, 1, ?, ?)");
    db_.run(begin_);
    for (int64_t i = 0; i < steps; ++i) db_.run(insert, ++messages_, kNow, std::string_view("{}"));
    db_.run(commit_);
    sqlite3_finalize(insert);
    db_.exec("PRAGMA wal_checkpoint(PASSIVE)");
  }
  int64_t run(int64_t steps, int64_t in_flight) {
    for (int64_t done = 0; done < steps; done += in_flight) {
      db_.run(begin_);
      for (int64_t i = 0; i < in_flight && done + i < steps; ++i) step();
      db_.run(commit_);
    }
    return steps;
  }

 private:
  void fill_executions() {
    auto* insert = db_.prepare(
        "INSERT INTO execution (id, tenant, shard, action, pack_release, status, failure, "
        "effect_class, priority, attempt, epoch, worker, parent, root, enforcement, original, "
        "timeout_ms, created, updated, started, ended, version, requested_by, trace, held, "
        "parameters, env, result, result_size, task, task_route, task_item) VALUES (?, 1, 1, ?, ?, "
        "0, 0, 0, 2, 1, 0, 0, 0, ?, 0, 0, 0, ?, ?, 0, 0, 1, ?, '', '', ?, ?, '', 0, '', 0, -1)");
    db_.run(begin_);
    for (int64_t id = 1; id <= kExecutions; ++id) {
      auto row = first_row(id);
      db_.run(insert, id, row.action, row.release, id, kNow, kNow, row.identity,
              row.parameters_json, row.env_json);
    }
    db_.run(commit_);
    sqlite3_finalize(insert);
  }
  void step() {
    constexpr int64_t kZero = 0;
    int64_t execution = next_.execution();
    int64_t version = next_.version();
    int64_t n = ++next_.n;
    db_.run(update_, int64_t{3}, kZero, int64_t{1}, kZero, kZero, kNow, kZero, kZero, version,
            std::string_view(""), kResult, kZero, execution, version - 1);
    db_.run(outbox_, n, int64_t{1}, int64_t{1}, kZero, execution, kNow, kBody);
    char key[32];
    auto end = fmt::format_to(key, "{:016}/1/2", n);
    db_.run(dedupe_, int64_t{1}, std::string_view("completion"),
            std::string_view(key, static_cast<size_t>(end - key)), std::string_view("1"),
            kNow + 1'000'000 + n, kNow);
    db_.run(ack_, n);
  }

  BareSqlite db_;
  sqlite3_stmt *begin_, *commit_, *update_, *outbox_, *dedupe_, *ack_;
  StepNumbers next_;
  int64_t messages_ = 0;
};

}  // namespace

std::vector<Line> kernel_figure(const Options& options) {
  std::vector<Line> lines;
  for (int64_t in_flight : {1, 8, 64, 512}) {
    Ours ours(fmt::format("{}/kernel-ours-{}", options.folder, in_flight));
    Floor floor(fmt::format("{}/kernel-floor-{}", options.folder, in_flight));
    // The first steps, not counted, tell how fast the disk is now.
    int64_t steps = std::max<int64_t>(in_flight * 10, 100);
    ours.prepare(steps);
    floor.prepare(steps);
    ours.run(steps, in_flight);
    auto first = measure([&] { return floor.run(steps, in_flight); });
    steps = options.count(operations_per_round(first), steps);
    Interleaved samples;
    for (int round = 0; round < options.rounds(7); ++round) {
      ours.prepare(steps);
      floor.prepare(steps);
      samples.round([&] { return ours.run(steps, in_flight); },
                    [&] { return floor.run(steps, in_flight); });
    }
    bool aimed = in_flight == 64;
    lines.push_back({.figure = fmt::format("kernel steps, {} in flight", in_flight),
                     .unit = "/s",
                     .ours = samples.ours(&Sample::rate),
                     .floor = samples.floor(&Sample::rate),
                     .aim = aimed ? 0.6 : 0,
                     .better = Line::Better::More});
    lines.push_back({.figure = fmt::format("kernel CPU per step, {} in flight", in_flight),
                     .unit = "us",
                     .ours = samples.ours(&Sample::cpu_us),
                     .floor = samples.floor(&Sample::cpu_us),
                     .aim = aimed ? 1.5 : 0});
  }
  return lines;
}

}  // namespace millrace::bench
