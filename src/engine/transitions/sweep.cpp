// SPDX-License-Identifier: Apache-2.0
#include "base/mutants.h"
#include "engine/machine/transition.h"
#include "engine/transitions/messages.h"

namespace millrace::engine {

using namespace kernel;

namespace {

constexpr int kExpireAtOnce = 500;
// A decision that has read one has been written long before.
constexpr int64_t kForgetGaugesMs = 3'600'000;

// What was left behind: hints that were lost and rows that are past their retention. Reads a few
// rows; writes nothing when nothing is due.
class Sweep final : public Transition {
 public:
  Sweep(const Retention& retention, int64_t now, Wanted::Left left);
  std::string_view name() const override { return "sweep"; }
  About about() const override { return {}; }
  Whose whose() const override { return Whose::Routine; }
  Routine routine() const override { return Routine::Sweep; }
  void want(Wanted& wanted) const override {
    wanted.left = left_;
    wanted.gauges_after = GaugeName{left_.gauges_after};
    wanted.expire = expire_;  // a batch has one sweep
  }
  Decided decide(Context& ctx) const override;

 private:
  Wanted::Left left_;
  std::vector<Expire> expire_;
};

Sweep::Sweep(const Retention& retention, int64_t now, Wanted::Left left) : left_(left) {
  auto add = [&](Expirable kind, int64_t age) {
    expire_.push_back({kind, now - age, kExpireAtOnce});
  };
  add(Expirable::Events, retention.events);
  add(Expirable::Executions, retention.executions);
  add(Expirable::Changes, retention.changes);
  add(Expirable::Quarantine, retention.executions);
  add(Expirable::Dedupe, 0);
  add(Expirable::Operations, retention.executions);
  add(Expirable::Keys, 0);
  add(Expirable::Gauges, kForgetGaugesMs);
}

Decided Sweep::decide(Context& ctx) const {
  const auto& rows = ctx.rows();
  Decision& decision = ctx.decision();
  Decision::Swept swept;
  for (const auto& owed : rows.left_outbox()) {
    const auto* row = rows.execution(Of{owed.tenant, ExecutionId{owed.subject}});
    bool ends = row && row->status == ExecutionStatus::Canceling;
    if (ends && !mutant(Mutant::OutboxDeletedEarly)) {
      decision.cancels.emplace_back(row->worker, Of{row->tenant, row->key()});
    } else {
      ctx.changes.outbox_done.push_back({owed.tenant, owed.id});  // the run has ended: confirmed
    }
  }
  // Small batches, but as many as it takes: what comes in faster than one batch a minute goes out
  // as fast.
  ctx.changes.expired = rows.expired().rows;
  swept.again = rows.expired().more || mutant(Mutant::SweepNeverRests);
  if (!mutant(Mutant::SweepDead)) swept.found = rows.left_messages();
  // A full page: the next one goes on behind it, so that messages which cannot be handled hide
  // nobody.
  auto limit = static_cast<size_t>(left_.limit);
  if (swept.found.size() == limit) swept.messages_after = swept.found.back().id.value;
  if (rows.left_outbox().size() == limit) swept.outbox_after = rows.left_outbox().back().id.value;
  if (!mutant(Mutant::SweepDead)) swept.heads = rows.heads();
  swept.gauges_after = rows.gauges_after();
  swept.again |= swept.gauges_after.first.value != 0;
  swept.again |= swept.messages_after != 0 || swept.outbox_after != 0;
  decision.swept = std::move(swept);
  return ctx.decided();
}

}  // namespace

Message sweep(const Retention& retention, int64_t now, Wanted::Left left) {
  return std::make_unique<Sweep>(retention, now, left);
}

}  // namespace millrace::engine
