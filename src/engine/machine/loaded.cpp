// SPDX-License-Identifier: Apache-2.0
#include "engine/machine/loaded.h"

#include <algorithm>

namespace millrace::engine {

using namespace kernel;

const ExecutionRow* Loaded::execution(ExecutionId id) const {
  auto found = executions_.find(id);
  return found == executions_.end() ? nullptr : &found->second;
}

std::vector<const ExecutionRow*> Loaded::tree(ExecutionId root) const {
  std::vector<const ExecutionRow*> rows;
  if (auto found = trees_.find(root); found != trees_.end()) {
    for (ExecutionId id : found->second) {
      if (const auto* row = execution(id)) rows.push_back(row);
    }
  }
  return rows;
}

const StoredState* Loaded::workflow(ExecutionId id) const {
  auto found = workflows_.find(id);
  return found == workflows_.end() ? nullptr : &found->second;
}

const TaskRuns* Loaded::needed(const Need& need) const {
  for (const auto& [key, runs] : needed_) {
    if (key == need) return &runs;
  }
  return nullptr;
}

const Value& Loaded::result(ExecutionId id) const {
  static const Value kNone;
  auto found = results_.find(id);
  return found == results_.end() ? kNone : found->second;
}

const InquiryRow* Loaded::inquiry(Of<InquiryId> of) const {
  auto found = inquiries_.find(of.id);
  return found == inquiries_.end() || found->second.tenant != of.tenant ? nullptr : &found->second;
}

const TimerRow* Loaded::timer(TimerId id) const {
  auto found = timers_.find(id);
  return found == timers_.end() ? nullptr : &found->second;
}

const TimerRow* Loaded::schedule(TenantId tenant, const std::string& name) const {
  auto found = schedules_.find({tenant, name});
  return found == schedules_.end() ? nullptr : &found->second;
}

const EventRow* Loaded::event(Of<EventId> of) const {
  auto found = events_.find(of.id);
  return found == events_.end() || found->second.tenant != of.tenant ? nullptr : &found->second;
}

std::vector<const TokenRow*> Loaded::tokens(TenantId tenant) const {
  std::vector<const TokenRow*> rows;
  for (const auto& [of, row] : tokens_) {
    if (of.tenant == tenant) rows.push_back(&row);
  }
  return rows;
}

std::vector<const ExecutionRow*> Loaded::leased() const {
  std::vector<const ExecutionRow*> rows;
  for (ExecutionId id : leased_) rows.push_back(execution(id));
  return rows;
}

const WorkerRow* Loaded::worker(std::string_view name) const {
  for (const auto& row : workers_) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

const WorkerRow* Loaded::worker(WorkerId id) const {
  for (const auto& row : workers_) {
    if (row.id == id) return &row;
  }
  return nullptr;
}

const LoadedGauge* Loaded::gauge(const GaugeName& name) const {
  auto found = gauges_.find(name);
  return found == gauges_.end() ? nullptr : &found->second;
}

const std::string* Loaded::key(const DedupeRow& row, int64_t now) const {
  auto found = keys_.find({row.tenant, row.scope, row.key});
  bool is_taken = found != keys_.end() && found->second.expires > now;
  return is_taken ? &found->second.value : nullptr;
}

}  // namespace millrace::engine
