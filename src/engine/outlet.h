// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mutex>
#include <unordered_map>

#include "engine/machine/executor.h"

namespace millrace::engine {

// Brings grants and cancels to the workers with an open session. Thread-safe.
class Outlet final : public WorkOutlet {
 public:
  explicit Outlet(std::function<void(kernel::WorkOrder&)> equip) : equip_(std::move(equip)) {}

  void attach(WorkerId worker, kernel::WorkReceiver& receiver);
  // Returns when no call into a receiver is under way.
  void detach_all();
  void grant(WorkerId worker, std::vector<kernel::WorkOrder> orders) override;
  void cancel(WorkerId worker, const kernel::RunKey& key) override;

 private:
  std::function<void(kernel::WorkOrder&)> equip_;
  std::mutex mutex_;
  std::unordered_map<WorkerId, kernel::WorkReceiver*> receivers_;
};

}  // namespace millrace::engine
