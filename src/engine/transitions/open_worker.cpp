// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <set>

#include "base/json.h"
#include "base/mutants.h"
#include "engine/machine/transition.h"
#include "engine/transitions/lose_run.h"
#include "engine/transitions/messages.h"
#include "engine/transitions/work_off.h"
#include "engine/transitions/work_order.h"
#include "model/labels.h"
#include "packs/config.h"
#include "packs/parameters.h"
#include "packs/secrets.h"

namespace millrace::engine {

using namespace kernel;

namespace {

Error late() {
  return Error(ErrorKind::Conflict, std::string(kLateOpening),
               "a session that was asked for later is open, or the agent's clock was set back");
}

// Runs inside the worker's own process end with it: the spawner knows nothing of them.
bool runs_in_worker(Context& ctx, const ExecutionRow& row) {
  auto found = ctx.catalog(row.tenant).find_action(row.action, row.release);
  return !found || found->action->runner == Runner::Http;
}

// Nothing: its release is gone, or its parameters cannot be read; who decides on it says so.
AdoptedRun adopted(Context& ctx, const ExecutionRow& row) {
  AdoptedRun run{.tenant = row.tenant, .key = row.key()};
  auto found = ctx.catalog(row.tenant).find_action(row.action, row.release);
  if (!found) return run;
  const Action& action = *found->action;
  if (action.output_format == OutputFormat::Text && !action.says_result()) return run;
  Value parameters;
  if (packs::may_hold_secrets(action, row.parameters_json)) {
    auto given = parse_json(row.parameters_json, kOwnJson);
    if (!given.ok()) return run;
    parameters = *std::move(given);
  }
  Value config = config_of_run(ctx, row, *found->pack, action);
  run.secrets = packs::secret_values(action, parameters,
                                     packs::secret_parts(found->pack->config_schema, config));
  run.output_format = action.output_format;
  return run;
}

// A worker opens its session: what it still runs stays, what it has lost is decided by its effect
// class, what it never started is started again.
class OpenWorker final : public Transition {
 public:
  OpenWorker(WorkerHello hello, SessionTerms terms, std::function<void(Result<Session>)> opened)
      : hello_(std::move(hello)), terms_(terms), opened_(std::move(opened)) {}
  std::string_view name() const override { return "open_worker"; }
  About about() const override { return {}; }
  Turn turn() const override {
    return mutant(Mutant::OpenAmongOthers) ? Turn::none() : Turn::alone();
  }
  void want(Wanted& wanted) const override { wanted.leased = true; }
  Whose whose() const override { return Whose::Machine; }
  void fail(const Error& error) override { opened_(error); }
  Decided decide(Context& ctx) const override;

 private:
  bool is_late(const WorkerRow& known) const {
    return hello_.opening > 0 && hello_.opening <= known.opening && !mutant(Mutant::LateOpenTaken);
  }
  WorkerRow make_row(Context& ctx, const WorkerRow* known) const;
  // Whether the run goes on.
  bool take_over(Context& ctx, const ExecutionRow& run, bool same_instance) const;
  WorkerHello hello_;
  SessionTerms terms_;
  std::function<void(Result<Session>)> opened_;
};

WorkerRow OpenWorker::make_row(Context& ctx, const WorkerRow* known) const {
  WorkerRow row = known ? *known : WorkerRow{};
  if (known) {
    row.version += 1;
  } else {
    row.id = ctx.new_id<WorkerId>();
    row.name = hello_.name;
  }
  row.opening = std::max(row.opening, hello_.opening);
  row.instance = hello_.instance;
  row.slots = hello_.slots;
  row.updated = ctx.now();
  row.home = terms_.home;
  row.ttl_ms = terms_.ttl_ms;
  auto labels = hello_.labels;
  for (const auto& runtime : hello_.runtimes) {
    labels.push_back(std::string(kRuntimeLabel) + runtime);
  }
  row.labels = join_labels(std::move(labels));
  return row;
}

bool OpenWorker::take_over(Context& ctx, const ExecutionRow& run, bool same_instance) const {
  if (std::ranges::find(hello_.adopted, run.key()) != hello_.adopted.end()) {
    if (run.status == ExecutionStatus::Canceling) {
      ctx.decision().cancels.emplace_back(run.worker, Of{run.tenant, run.key()});
    }
    return true;
  }
  // The lease was durable, but the spawner that lives since then has never heard of the run.
  bool unheard = same_instance && !runs_in_worker(ctx, run);
  end_lease_anywhere(ctx, run, unheard, "server and spawner both went away while it ran");
  return false;
}

Decided OpenWorker::decide(Context& ctx) const {
  const WorkerRow* known = ctx.rows().worker(hello_.name);
  for (const auto& label : hello_.labels) TRY(check_label(label));
  if (known && is_late(*known)) {
    return ctx.decided([this](Deliveries&) { opened_(late()); });
  }
  WorkerRow row = make_row(ctx, known);
  row.session = ctx.new_id<SessionId>();
  bool same_instance = known && known->instance == hello_.instance && !hello_.instance.empty();
  ctx.changes.workers.push_back(row);
  ctx.worker_opens(row.id);
  std::vector<AdoptedRun> taken;
  std::set<RunKey> not_ours(hello_.adopted.begin(), hello_.adopted.end());
  for (const auto* run : ctx.rows().leased()) {
    bool ended = is_final(run->status);  // by a completion of the same batch
    if (run->worker != row.id || ended) continue;
    if (!take_over(ctx, *run, same_instance)) continue;
    taken.push_back(adopted(ctx, *run));
    not_ours.erase(run->key());
  }
  // Somebody else has the lease by now, or it has ended: nothing of it may go on (K6). The worker
  // has it and knows its tenant.
  for (const auto& run : not_ours) {
    ctx.decision().cancels.emplace_back(row.id, Of{TenantId(), run});
  }
  TRY(work_off(ctx));
  Session session{.id = row.session,
                  .worker = row.id,
                  .ttl_ms = terms_.ttl_ms,
                  .renew_ms = terms_.renew_ms,
                  .fence_ms = terms_.fence_ms,
                  .adopted = std::move(taken)};
  std::vector<RunKey> runs;
  for (const auto& run : session.adopted) runs.push_back(run.key);
  ctx.decision().opened = Opened{session.id, row, terms_.ttl_ms, std::move(runs)};
  return ctx.decided([this, session](Deliveries&) { opened_(session); });
}

}  // namespace

Message open_worker(WorkerHello hello, SessionTerms terms,
                    std::function<void(Result<Session>)> opened) {
  return std::make_unique<OpenWorker>(std::move(hello), terms, std::move(opened));
}

}  // namespace millrace::engine
