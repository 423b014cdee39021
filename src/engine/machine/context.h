// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <unordered_set>

#include "base/ids.h"
#include "engine/machine/agenda.h"
#include "engine/machine/catalog.h"
#include "engine/machine/decision.h"
#include "engine/machine/in_hand.h"
#include "engine/machine/loaded.h"
#include "engine/machine/slots.h"
#include "expr/expr.h"
#include "kernel/shards.h"
#include "store/read.h"

namespace millrace::engine {

// How long rows stay, in ms.
struct Retention {
  int64_t events = 30LL * 86'400'000;
  int64_t executions = 30LL * 86'400'000;
  int64_t changes = 7LL * 86'400'000;
  int64_t dedupe = 7LL * 86'400'000;
};

// What decisions draw on besides the rows: the partition's memory.
struct Memory {
  kernel::ShardSet shards;  // that the partition owns
  IdSource& ids;
  Slots& slots;
  expr::Engine& expressions;
  std::unordered_set<ExecutionId>& granting;  // waiting executions that decisions are starting
  LiveWorkflows& workflows;
  const OpenKey& open_key;
  const Retention& retention;
  const std::vector<std::string>& env_allowed;
  std::span<const store::QueueDepth> waiting = {};  // for a slot, since before this batch
  InHand* in_hand = nullptr;                        // may be null
  // Whether a turn is in flight, since before this batch.
  std::function<bool(uint64_t)> in_flight = {};
  const std::function<std::string()>* api_url = nullptr;
};

// What all decisions of one batch see.
struct Batch {
  int64_t now = 0;  // Unix ms, one value for the whole batch
  const Catalog& catalog;
  Loaded& rows;
  Memory memory;
  // Workflows in memory that a decision which came to nothing has moved: dropped, and not to be
  // touched again in this batch.
  std::unordered_set<ExecutionId> spoiled;
  std::unordered_set<uint64_t> gauges;  // that decisions of this batch have changed
};

// Finds the newest row of an execution among those that a decision adds, of which it may add many.
class RowIndex {
 public:
  // Its position in `rows`, to which rows are only ever added, or SIZE_MAX.
  size_t find(const std::vector<kernel::ExecutionRow>& rows, ExecutionId id);

 private:
  std::unordered_map<ExecutionId, size_t> places_;
  size_t known_ = 0;
};

// The workbench of one decision: what it may see and draw on, and the decision as it grows.
// Everything else, the clock included, is out of its reach.
class Context {
 public:
  // `learned` outlives it and grows with what this decision finds out.
  Context(Batch& batch, Learned& learned);

  kernel::Changes& changes;
  // For what is not rows.
  Decision& decision() { return *decision_; }
  Agenda agenda;
  // Executions that were started or woken inside the server by this decision.
  std::vector<ExecutionId> launched;
  // Workflows that have been told that the next decision goes on with them.
  std::unordered_set<ExecutionId> put_off;

  int64_t now() const { return batch_.now; }
  template <typename IdType>
  IdType new_id() {
    return batch_.memory.ids.next<IdType>(batch_.now);
  }
  int64_t new_raw_id() { return batch_.memory.ids.next(batch_.now); }
  // Of something that is the root of its tree: it falls into a shard of this partition.
  template <typename IdType>
  IdType new_root(TenantId tenant) {
    for (;;) {
      auto id = new_id<IdType>();
      if (batch_.memory.shards.has(kernel::shard_of(tenant, id.value))) return id;
    }
  }
  const Catalog& catalogs() const { return batch_.catalog; }
  const TenantCatalog& catalog(TenantId tenant) const { return batch_.catalog.of(tenant); }
  const Loaded& rows() const { return batch_.rows; }
  const Learned& learned() const { return learned_; }
  expr::Engine& expressions() { return batch_.memory.expressions; }
  const Retention& retention() const { return batch_.memory.retention; }
  // Variables that steer interpreters and that callers may set all the same (model/env_names.h).
  const std::vector<std::string>& env_allowed() const { return batch_.memory.env_allowed; }
  kernel::ShardSet shards() const { return batch_.memory.shards; }
  // Where people find the API; empty when nobody has said.
  std::string api_url() const {
    const auto* url = batch_.memory.api_url;
    return url && *url ? (*url)() : std::string();
  }

  // A slot for one run, of a worker that offers what it needs; given back when this decision is not
  // written.
  std::optional<Slots::Taken> take_slot(std::string_view needs);
  // It is not needed after all.
  void free_slot(const Slots::Taken& taken);
  // This decision may give it to another run; others can when it is durable.
  void free_slot(WorkerId worker);
  // The one that this run has, if it has one.
  void free_slot(WorkerId worker, const kernel::RunKey& run);
  void hold_slot(WorkerId worker, const kernel::RunKey& run);
  bool has_run(WorkerId worker, const kernel::RunKey& run) const {
    return batch_.memory.slots.is_held(worker, run);
  }
  bool is_lent(int64_t number) const { return batch_.memory.slots.is_lent(number); }
  // The run of another server that this slot was lent for begins, and holds it. False: it may not.
  bool begin_lent(int64_t number, const kernel::RunKey& run);
  bool has_session(WorkerId worker) const { return batch_.memory.slots.is_open(worker); }
  bool is_opening(WorkerId worker) const { return batch_.memory.slots.is_opening(worker); }
  bool has_slot(std::string_view needs) const;
  void worker_opens(WorkerId worker) {
    decision_->opening = worker;
    batch_.memory.slots.opening(worker);
  }
  // For the same as this one.
  bool somebody_waits(std::string_view needs) const;
  // Where this decision notes what it is at; may be null.
  InHand* in_hand() { return batch_.memory.in_hand; }
  // The next waiting execution that this batch has loaded and that there is a slot for, or nullptr.
  const kernel::ExecutionRow* next_queued();

  // The key store as `reader` sees it in this decision.
  KeyLookup keys(KeyReader reader) const {
    bool may_load =
        learned_.needs.size() - learned_.gauges < kMostNeeds && learned_.rounds < kMostRounds;
    return {batch_.rows.key_values(), batch_.memory.open_key, batch_.now, std::move(reader),
            may_load};
  }

  // An execution as it is after what has been decided so far, or nullptr. Holds until the next
  // row is added.
  const kernel::ExecutionRow* execution(ExecutionId id) const;
  bool is_new(ExecutionId id) const;
  // The same, to be changed: it is written once, with the next version.
  kernel::ExecutionRow& edit(const kernel::ExecutionRow& row);

  // The workflow in memory, brought there if it was loaded; nullptr: there is no such workflow, or
  // it was not loaded. Errors: Spoiled; NoRelease and Broken, the message says why it cannot go on.
  Result<LiveWorkflow*> workflow(ExecutionId id);
  // Says whether its release is missing, or there and of no use to this version.
  Error no_release(const kernel::ExecutionRow& row) const;
  LiveWorkflow& add_workflow(std::unique_ptr<LiveWorkflow> live);
  // It is read from the store when it is asked for again.
  void forget_workflow(ExecutionId id) { batch_.memory.workflows.drop(id); }
  // The decision moves this workflow.
  void moves(const LiveWorkflow& live);
  // What was loaded for the decision about the results of its tasks.
  void absorb_needs(LiveWorkflow& live) const;
  conductor::Environment environment(const Pack& pack, const kernel::ExecutionRow& row);

  // The configuration of a pack as a run sees it (pack_config.h). When something has to be loaded
  // for it this decision comes to nothing, whatever it says, and is made again.
  Value config_of(const Pack& pack, KeyReader reader);
  bool lacks_config() const { return lacks_config_; }

  // A gauge as it is after what has been decided so far. When it has to be loaded, or another
  // batch is changing it, this decision comes to nothing, whatever it says: nullptr.
  LoadedGauge* gauge(TenantId tenant, const std::string& name);
  // It is written as it is now.
  void count(LoadedGauge& gauge);
  void put_place(LoadedGauge& gauge, kernel::PlaceRow place);
  // What more gauges are needed for is better done by the next decision.
  bool has_asked_enough() const { return gauges_.size() + lacking_gauges_ >= kMostNeeds / 2; }
  // The turn of the gauge that is in flight; 0: none.
  uint64_t waits_for_gauge() const { return waits_for_gauge_; }
  bool lacks() const { return lacks_config_ || lacks_gauge_; }

  // What an error of an evaluation means: a Need, when it names what has to be loaded; `workflow`:
  // whose tasks it may name. Nothing: it is an error as any other.
  std::optional<Error> need(const Error& error, Of<ExecutionId> workflow = {});
  // All open steps of a workflow have to be loaded; once they were, there are no more. Needs.
  Result<void> needs_steps(const Of<ExecutionId>& workflow);
  // Its conductor cannot go on: the next decision will know. Spoiled.
  Error broke(const LiveWorkflow& live, const Error& why);
  // Its place among the workflows that begin in this decision.
  int next_beginning() { return beginnings_++; }
  // Steps that ended inside the server by this decision.
  int steps_ended = 0;

  // What the parameters of actions that workflows start may cost, by defaults and schemas. One
  // start always has half of it.
  expr::Allowance starts{.of = conductor::kStepsOfDecision};
  bool has_started_enough() const { return starts.left < starts.of / 2 || has_asked_enough(); }
  bool has_evaluated_enough() const { return expressions_left_->left < expressions_left_->of / 2; }
  // Its expressions and starts have cost so much that what is left to do is better done by the next
  // decision: there it has all it may need, and others get their turn.
  bool has_done_enough() const { return has_started_enough() || has_evaluated_enough(); }

  // What the decision has come to. `reply`: see Decision.
  std::unique_ptr<Decision> decided(std::move_only_function<void(Deliveries&)> reply = {});

 private:
  friend class Partition;
  Context(Batch& batch, Learned& learned, std::unique_ptr<Decision> fresh);
  // A decision that comes to nothing: what it did to the partition's memory is undone, and whoever
  // comes after it in the batch decides again about the workflows that it moved.
  void undo();
  // The same after an exception: nobody knows which workflows it has touched.
  void undo_all();

  // Slots of a worker that this decision frees and has not given to another run.
  int freed_here(WorkerId worker) const;

  Batch& batch_;
  Learned& learned_;
  std::unique_ptr<Decision> owned_;
  Decision* decision_;
  mutable RowIndex changed_rows_;
  mutable RowIndex made_rows_;
  // Of all conductors that this decision moves. They outlive it.
  std::shared_ptr<expr::Allowance> expressions_left_ =
      std::make_shared<expr::Allowance>(expr::Allowance{.of = conductor::kStepsOfDecision});
  int beginnings_ = 0;
  bool needs_ = false;
  bool lacks_config_ = false;
  bool lacks_gauge_ = false;
  size_t lacking_gauges_ = 0;
  uint64_t waits_for_gauge_ = 0;
  LoadedGauges gauges_;                   // that this decision has looked at
  std::map<std::string, Value> configs_;  // for many starts that share one
};

// The release that a workflow is pinned to is not there; it is said by Context::workflow.
inline constexpr std::string_view kNoRelease = "engine.no_release";
inline constexpr std::string_view kBroken = "engine.broken";

// Gives back what a decision took of the partition's memory.
void give_back(const Decision& decision, Slots& slots, std::unordered_set<ExecutionId>& granting);

}  // namespace millrace::engine
