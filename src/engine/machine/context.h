// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <unordered_set>

#include "base/ids.h"
#include "engine/machine/transition.h"
#include "expr/expr.h"
#include "model/pack.h"

namespace millrace::engine {

// The slots of the workers with an open session, and what waits for them. Lives on the executor's
// thread; a decision takes and gives back, and a decision that is not written is undone.
class Slots {
 public:
  // Its opening is on its way to the store: what ends until `open` is counted too.
  void opening(WorkerId worker) { opening_[worker] = 0; }
  void open(WorkerId worker, int slots);
  void close_all();
  // The worker with the most free slots, or none.
  std::optional<WorkerId> take();
  void give_back(WorkerId worker, int count = 1);
  int free() const;

 private:
  std::map<WorkerId, int> free_;
  std::map<WorkerId, int> opening_;  // given back less taken since `opening`
};

// What a decision may see and draw on. Everything else, the clock included, is out of its reach.
class Context {
 public:
  // What of the executor's memory decisions work with.
  struct Memory {
    Slots& slots;
    expr::Engine& expressions;
    std::unordered_set<ExecutionId>& granting;
    LiveWorkflows& workflows;
    const OpenKey& open_key;
    bool somebody_waits;  // for a slot, since before this batch
  };
  Context(int64_t now, IdSource& ids, const Catalog& catalog, Loaded& rows, Memory memory)
      : now_(now), ids_(ids), catalog_(catalog), rows_(rows), memory_(memory) {}

  int64_t now() const { return now_; }  // Unix ms, one value for the whole batch
  template <typename IdType>
  IdType new_id() {
    return ids_.next<IdType>(now_);
  }
  int64_t new_raw_id() { return ids_.next(now_); }
  const Catalog& catalog() const { return catalog_; }
  const Loaded& rows() const { return rows_; }
  expr::Engine& expressions() { return memory_.expressions; }

  // A slot for one run, charged to `t` until its commit.
  std::optional<WorkerId> take_slot(Transition& t);
  void free_slot(Transition& t, WorkerId worker);
  int free_slots() const { return memory_.slots.free(); }
  void worker_opens(WorkerId worker) { memory_.slots.opening(worker); }
  bool somebody_waits() const { return memory_.somebody_waits; }
  // The next waiting execution that this batch has loaded, or nullptr.
  const kernel::ExecutionRow* next_queued(Transition& t);

  // The key store as `reader` sees it in this decision.
  KeyLookup keys(KeyReader reader) const {
    return {rows_.key_values(), memory_.open_key, now_, std::move(reader)};
  }

  // An execution as it is after what `t` has decided so far, or nullptr.
  const kernel::ExecutionRow* execution(const Transition& t, ExecutionId id) const;
  // The same, to be changed: `t` writes it once, with the next version.
  kernel::ExecutionRow& edit(Transition& t, const kernel::ExecutionRow& row);

  // The workflow in memory, brought there if it was loaded; nullptr: there is no such workflow, it
  // was not loaded, or `t.again` was set.
  LiveWorkflow* workflow(Transition& t, ExecutionId id);
  // What was loaded for the decision about the results of its tasks.
  void absorb_needs(const Transition& t, ExecutionId of, LiveWorkflow& live) const;
  LiveWorkflow& add_workflow(std::unique_ptr<LiveWorkflow> live);
  conductor::Environment environment(const Pack& pack);
  // After a decision that does not count: what it did to workflows in memory is forgotten, and
  // whoever comes after it in the batch decides again, too.
  void forget_workflows(Transition& t);

 private:
  int64_t now_;
  IdSource& ids_;
  const Catalog& catalog_;
  Loaded& rows_;
  Memory memory_;
  std::unordered_set<ExecutionId> spoiled_;
};

// True when an evaluation needs something of the store first (EXP-0004): it is noted, and the
// decision is made again. `workflow`: whose tasks it may name.
bool note_need(Transition& t, const Error& error, ExecutionId workflow = {});

}  // namespace millrace::engine
