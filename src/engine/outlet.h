// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mutex>
#include <optional>
#include <unordered_map>

#include "engine/surroundings.h"

namespace millrace::engine {

// The open sessions of workers: brings them grants and cancels, and knows which calls are of a
// session that is over. Thread-safe.
class Outlet final : public WorkOutlet {
 public:
  explicit Outlet(std::function<void(kernel::WorkOrder&)> equip) : equip_(std::move(equip)) {}

  // Ends the session that the worker had before.
  void attach(const kernel::Session& session, kernel::WorkReceiver& receiver);
  // Nothing: the session is over.
  std::optional<WorkerId> worker_of(SessionId session) const;
  void grant(WorkerId worker, std::vector<kernel::WorkOrder> orders) override;
  void cancel(WorkerId worker, const Of<kernel::RunKey>& run) override;
  void end(SessionId session) override;
  // The same, of a worker that leaves. Returns when no call into its receiver is under way.
  void close(SessionId session);

 private:
  struct Open {
    SessionId session;
    kernel::WorkReceiver* receiver;
  };
  std::function<void(kernel::WorkOrder&)> equip_;
  mutable std::mutex mutex_;
  std::unordered_map<WorkerId, Open> open_;
};

}  // namespace millrace::engine
