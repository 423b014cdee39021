// SPDX-License-Identifier: Apache-2.0
#include "kernel_steps.h"

#include <fmt/format.h>

#include "bare_postgres.h"
#include "bare_sqlite.h"

namespace millrace::bench {
namespace {

using namespace kernel;

constexpr TenantId kTenant = kDefaultTenant;
constexpr int64_t kNow = 1'800'000'000'000;

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

}  // namespace

KernelSteps::KernelSteps(std::unique_ptr<Flight> flight) : flight_(std::move(flight)) {
  int64_t id = 0;
  flight_->run(StepNumbers::kExecutions, 512, [&] {
    auto step = std::make_unique<store::Step>();
    step->changes.new_executions.push_back(first_row(++id));
    return step;
  });
}

void KernelSteps::prepare(int64_t steps) {
  flight_->run(steps, 512, [&] {
    auto step = std::make_unique<store::Step>();
    step->changes.messages.push_back({.id = MessageId{++messages_},
                                      .tenant = kTenant,
                                      .shard = 1,
                                      .subject = 1,
                                      .body_json = "{}",
                                      .created = kNow});
    return step;
  });
  flight_->checkpoint();
}

int64_t KernelSteps::run(int64_t steps, int64_t in_flight) {
  return flight_->run(steps, in_flight, [&] { return make(); });
}

std::unique_ptr<store::Step> KernelSteps::make() {
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

template <typename Db>
BareKernelSteps<Db>::BareKernelSteps(std::unique_ptr<Db> db) : db_(std::move(db)) {
  update_ = db_->prepare(
      "UPDATE execution SET status = ?, failure = ?, attempt = ?, epoch = ?, worker = ?, "
      "updated = ?, started = ?, ended = ?, version = ?, held = ?, result = ?, result_size = ? "
      "WHERE id = ? AND version = ? AND status < 16");
  outbox_ = db_->prepare(
      "INSERT INTO outbox (id, tenant, shard, destination, subject, created, "
      "body) VALUES (?, ?, ?, ?, ?, ?, ?)");
  dedupe_ = db_->prepare(
      "INSERT INTO dedupe (tenant, scope, key, value, expires) VALUES "
      "(?, ?, ?, ?, ?) ON CONFLICT (tenant, scope, key) DO UPDATE SET "
      "value = excluded.value, expires = excluded.expires "
      "WHERE dedupe.expires <= ?");
  ack_ = db_->prepare("DELETE FROM message WHERE id = ?");
  message_ = db_->prepare(
      "INSERT INTO message (id, tenant, shard, kind, subject, created, "
      "body) VALUES (?, 1, 1, 0, 1, ?, ?)");
  fill_executions();
}

template <typename Db>
void BareKernelSteps<Db>::prepare(int64_t steps) {
  db_->begin();
  for (int64_t i = 0; i < steps; ++i) db_->run(message_, ++messages_, kNow, std::string_view("{}"));
  db_->commit();
  db_->checkpoint();
}

template <typename Db>
int64_t BareKernelSteps<Db>::run(int64_t steps, int64_t in_flight) {
  for (int64_t done = 0; done < steps; done += in_flight) {
    db_->begin();
    for (int64_t i = 0; i < in_flight && done + i < steps; ++i) step();
    db_->commit();
  }
  return steps;
}

template <typename Db>
void BareKernelSteps<Db>::fill_executions() {
  auto* insert = db_->prepare(
      "INSERT INTO execution (id, tenant, shard, action, pack_release, status, failure, "
      "effect_class, priority, attempt, epoch, worker, parent, root, enforcement, original, "
      "timeout_ms, created, updated, started, ended, version, requested_by, trace, held, "
      "parameters, env, result, result_size, task, task_route, task_item, needs, defaults, "
      "limits, retries) VALUES "
      "(?, 1, 1, "
      "?, ?, 0, 0, 0, 2, 1, 0, 0, 0, ?, 0, 0, 0, ?, ?, 0, 0, 1, ?, '', '', ?, ?, '', 0, '', 0, -1, "
      "'', '', '', 0)");
  db_->begin();
  for (int64_t id = 1; id <= StepNumbers::kExecutions; ++id) {
    auto row = first_row(id);
    db_->run(insert, id, row.action, row.release, id, kNow, kNow, row.identity, row.parameters_json,
             row.env_json);
  }
  db_->commit();
}

template <typename Db>
void BareKernelSteps<Db>::step() {
  constexpr int64_t kZero = 0;
  int64_t execution = next_.execution();
  int64_t version = next_.version();
  int64_t n = ++next_.n;
  db_->run(update_, int64_t{3}, kZero, int64_t{1}, kZero, kZero, kNow, kZero, kZero, version,
           std::string_view(""), kResult, kZero, execution, version - 1);
  db_->run(outbox_, n, int64_t{1}, int64_t{1}, kZero, execution, kNow, kBody);
  char key[32];
  auto end = fmt::format_to(key, "{:016}/1/2", n);
  db_->run(dedupe_, int64_t{1}, std::string_view("completion"),
           std::string_view(key, static_cast<size_t>(end - key)), std::string_view("1"),
           kNow + 1'000'000 + n, kNow);
  db_->run(ack_, n);
}

template class BareKernelSteps<BareSqlite>;
template class BareKernelSteps<BarePostgres>;

}  // namespace millrace::bench
