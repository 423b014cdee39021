// SPDX-License-Identifier: Apache-2.0
#include "engine/outlet.h"

#include <algorithm>

namespace millrace::engine {

void Outlet::attach(const kernel::Session& session, kernel::WorkReceiver& receiver) {
  std::lock_guard lock(mutex_);
  auto [at, is_new] = open_.try_emplace(session.worker);
  Open before = std::exchange(at->second, {session.id, &receiver});
  if (!is_new) before.receiver->over(before.session);
}

void Outlet::end(SessionId session) {
  std::lock_guard lock(mutex_);
  std::erase_if(open_, [&](const auto& one) {
    if (one.second.session != session) return false;
    one.second.receiver->over(session);
    return true;
  });
}

void Outlet::close(SessionId session) {
  std::lock_guard lock(mutex_);
  std::erase_if(open_, [&](const auto& one) { return one.second.session == session; });
}

std::optional<WorkerId> Outlet::worker_of(SessionId session) const {
  std::lock_guard lock(mutex_);
  for (const auto& [worker, open] : open_) {
    if (open.session == session) return worker;
  }
  return std::nullopt;
}

void Outlet::grant(WorkerId worker, std::vector<kernel::WorkOrder> orders) {
  for (auto& order : orders) equip_(order);
  std::lock_guard lock(mutex_);
  // A worker that has just left: its runs are decided when it, or another server, opens again.
  if (auto found = open_.find(worker); found != open_.end()) {
    found->second.receiver->grant(found->second.session, std::move(orders));
  }
}

void Outlet::cancel(WorkerId worker, const Of<kernel::RunKey>& run) {
  std::lock_guard lock(mutex_);
  // Lost hints are repeated by the sweep.
  if (auto found = open_.find(worker); found != open_.end()) {
    found->second.receiver->cancel(found->second.session, run, "it was canceled");
  }
}

}  // namespace millrace::engine
