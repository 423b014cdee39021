// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>

#include "base/ids.h"

namespace millrace::engine {

// The slots of the workers with an open session. A decision takes and gives back, and a decision
// that is not written is undone. Belongs to one partition.
class Slots {
 public:
  // Its opening is on its way to the store. Until `open` or `not_opened` it is given nothing, for
  // its session would not hear of it; what ends meanwhile is counted.
  void opening(WorkerId worker) { opening_[worker] = 0; }
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

 private:
  std::map<WorkerId, int> free_;
  std::map<WorkerId, int> opening_;  // given back since `opening`
  bool draining_ = false;
};

}  // namespace millrace::engine
