// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "kernel/work.h"

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
  // `runs`: what it has from before, each in a slot.
  void open(WorkerId worker, int slots, std::vector<std::string> labels,
            const std::vector<kernel::RunKey>& runs);
  void close(WorkerId worker);
  bool is_open(WorkerId worker) const { return free_.contains(worker); }
  // Has such a worker an open session, whether it has free slots or not? `needs`: as
  // model/labels.h joins them.
  bool is_offered(std::string_view needs) const;
  bool offers(WorkerId worker, std::string_view needs) const;
  // Nothing more is granted to it, until it opens again.
  void drain(WorkerId worker) { drained_.insert(worker); }
  // From now on nothing is granted, whoever opens.
  void drain() { draining_ = true; }
  // Of those that offer what is needed the worker with the most free slots, or none.
  std::optional<WorkerId> take(std::string_view needs);
  void give_back(WorkerId worker, int count = 1);
  // Which run has one, from its order on. It lets go of it once: when its worker says that it has
  // ended, whatever its row tells by then, for that may be another server's.
  void hold(WorkerId worker, const kernel::RunKey& run);
  bool let_go(WorkerId worker, const kernel::RunKey& run);
  int free() const;
  int free(std::string_view needs) const;
  // How many of them a worker has that may be given something; below 0 when it has more runs than
  // it has slots by now.
  std::optional<int> free_of(WorkerId worker) const;

 private:
  bool is_given(WorkerId worker, std::string_view needs) const {
    return !opening_.contains(worker) && !drained_.contains(worker) && offers(worker, needs);
  }
  std::map<WorkerId, int> free_;
  std::map<WorkerId, std::set<kernel::RunKey>> runs_;
  std::map<WorkerId, std::vector<std::string>> labels_;
  std::set<WorkerId> opening_;
  std::set<WorkerId> drained_;
  bool draining_ = false;
};

}  // namespace millrace::engine
