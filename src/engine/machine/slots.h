// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <set>

#include "base/ids.h"

namespace millrace::engine {

// The slots of the workers with an open session. A decision takes one at once, and gives it back
// when it is not written; one that becomes free counts once that is durable (K6). Belongs to one
// partition.
class Slots {
 public:
  // Its opening is on its way to the store. Until `open` or `not_opened` it is given nothing, for
  // its session would not hear of it.
  void opening(WorkerId worker) { opening_.insert(worker); }
  void not_opened(WorkerId worker) { opening_.erase(worker); }
  void open(WorkerId worker, int slots);
  void close(WorkerId worker);
  bool is_open(WorkerId worker) const { return free_.contains(worker); }
  // From now on nothing is granted, whoever opens.
  void drain() { draining_ = true; }
  // The worker with the most free slots, or none.
  std::optional<WorkerId> take();
  void give_back(WorkerId worker, int count = 1);
  int free() const;
  // How many of them a worker has that may be given something; below 0 when it has more runs than
  // it has slots by now.
  std::optional<int> free_of(WorkerId worker) const;

 private:
  std::map<WorkerId, int> free_;
  std::set<WorkerId> opening_;
  bool draining_ = false;
};

}  // namespace millrace::engine
