// SPDX-License-Identifier: Apache-2.0
#include "engine/surroundings.h"

#include <map>

#include "async/completion.h"
#include "base/log.h"
#include "engine/machine/decision.h"
#include "engine/machine/transition.h"

namespace millrace::engine {

namespace {

// Gathers the grants of one commit: one post per worker.
class CommitDeliveries final : public Deliveries {
 public:
  CommitDeliveries(WorkOutlet& outlet, Observer& observer) : outlet_(outlet), observer_(observer) {}
  void grant(WorkerId worker, kernel::WorkOrder order) override {
    grants_[worker].push_back(std::move(order));
  }
  void cancel(WorkerId worker, const Of<kernel::RunKey>& run) override {
    cancels_.emplace_back(worker, run);
  }
  void end(SessionId session) { outlet_.end(session); }
  void watch(int64_t number, Of<ExecutionId> execution,
             Reply<kernel::ExecutionRow> ended) override {
    observer_.watch(number, execution, std::move(ended));
  }
  void flush() {
    for (auto& [worker, orders] : grants_) outlet_.grant(worker, std::move(orders));
    for (const auto& [worker, run] : cancels_) outlet_.cancel(worker, run);
  }

 private:
  WorkOutlet& outlet_;
  Observer& observer_;
  std::map<WorkerId, std::vector<kernel::WorkOrder>> grants_;
  std::vector<std::pair<WorkerId, Of<kernel::RunKey>>> cancels_;
};

void report_ends(const std::vector<kernel::ExecutionRow>& rows, Observer& observer) {
  for (const auto& row : rows) {
    if (is_final(row.status)) observer.ended(row);
  }
}

// It is durable: an exception in its answer is no reason to end.
void answer(Decision& decision, CommitDeliveries& out) {
  try {
    if (decision.reply) decision.reply(out);
  } catch (const std::exception& e) {
    log_error("message.not_answered",
              {{"kind", decision.attempt.message->name()}, {"error", e.what()}});
  }
}

void pass_on(Decision& decision, CommitDeliveries& out) {
  answer(decision, out);
  for (auto& [worker, order] : decision.grants) out.grant(worker, std::move(order));
  for (const auto& [worker, run] : decision.cancels) out.cancel(worker, run);
  if (decision.session_over) out.end(decision.session_over);
}

}  // namespace

void deliver(std::span<store::Written> outcomes, WorkOutlet& outlet, Observer& observer) {
  async::CompletionScope one_post;
  CommitDeliveries deliveries(outlet, observer);
  bool any = false;
  for (auto& outcome : outcomes) {
    if (outcome.end != store::WriteEnd::Committed) continue;
    any = true;
    auto& decision = static_cast<Decision&>(*outcome.step);
    if (!decision.comes_into_force()) pass_on(decision, deliveries);
    report_ends(decision.changes.executions, observer);
    report_ends(decision.changes.new_executions, observer);
  }
  deliveries.flush();
  if (any) observer.committed();
}

void deliver_unwritten(Decision& decision, WorkOutlet& outlet, Observer& observer) {
  if (!decision.comes_into_force()) deliver_in_force(decision, outlet, observer);
}

void deliver_in_force(Decision& decision, WorkOutlet& outlet, Observer& observer) {
  CommitDeliveries deliveries(outlet, observer);
  pass_on(decision, deliveries);
  deliveries.flush();
}

}  // namespace millrace::engine
