// SPDX-License-Identifier: Apache-2.0
#include "engine/outlet.h"

namespace millrace::engine {

void Outlet::attach(WorkerId worker, kernel::WorkReceiver& receiver) {
  std::lock_guard lock(mutex_);
  receivers_[worker] = &receiver;
}

void Outlet::detach_all() {
  std::lock_guard lock(mutex_);
  receivers_.clear();
}

void Outlet::grant(WorkerId worker, std::vector<kernel::WorkOrder> orders) {
  for (auto& order : orders) equip_(order);
  std::lock_guard lock(mutex_);
  // A worker that has just left: its runs are decided when it, or another server, opens again.
  if (auto found = receivers_.find(worker); found != receivers_.end()) {
    found->second->grant(std::move(orders));
  }
}

void Outlet::cancel(WorkerId worker, const kernel::RunKey& key) {
  std::lock_guard lock(mutex_);
  // Lost hints are repeated by the sweep.
  if (auto found = receivers_.find(worker); found != receivers_.end()) {
    found->second->cancel(key);
  }
}

}  // namespace millrace::engine
