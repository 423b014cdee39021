// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <unordered_set>

#include "base/ids.h"
#include "engine/transition.h"
#include "expr/expr.h"

namespace millrace::engine {

// The slots of the workers with an open session, and what waits for them. Lives on the executor's
// thread; a decision takes and gives back, and a decision that is not written is undone.
class Slots {
 public:
  void open(WorkerId worker, int slots);
  void close_all();
  // The worker with the most free slots, or none.
  std::optional<WorkerId> take();
  void give_back(WorkerId worker, int count = 1);
  int free() const;

 private:
  std::map<WorkerId, int> free_;
};

// What a decision may see and draw on. Everything else, the clock included, is out of its reach.
class Context {
 public:
  Context(int64_t now, IdSource& ids, const Catalog& catalog, Loaded& rows, Slots& slots,
          expr::Engine& expressions, std::unordered_set<ExecutionId>& granting)
      : now_(now),
        ids_(ids),
        catalog_(catalog),
        rows_(rows),
        slots_(slots),
        expressions_(expressions),
        granting_(granting) {}

  int64_t now() const { return now_; }  // Unix ms, one value for the whole batch
  template <typename IdType>
  IdType new_id() {
    return ids_.next<IdType>(now_);
  }
  int64_t new_raw_id() { return ids_.next(now_); }
  const Catalog& catalog() const { return catalog_; }
  const Loaded& rows() const { return rows_; }
  expr::Engine& expressions() { return expressions_; }

  // A slot for one run, charged to `t` until its commit.
  std::optional<WorkerId> take_slot(Transition& t);
  void free_slot(Transition& t, WorkerId worker);
  int free_slots() const { return slots_.free(); }
  // The next waiting execution that this batch has loaded, or nullptr.
  const kernel::ExecutionRow* next_queued(Transition& t);

 private:
  int64_t now_;
  IdSource& ids_;
  const Catalog& catalog_;
  Loaded& rows_;
  Slots& slots_;
  expr::Engine& expressions_;
  std::unordered_set<ExecutionId>& granting_;
};

}  // namespace millrace::engine
