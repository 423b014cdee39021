// SPDX-License-Identifier: Apache-2.0
#include "model/execution.h"

#include <array>
#include <utility>

namespace millrace {
namespace {

template <typename Enum, size_t N>
using Names = std::array<std::pair<Enum, std::string_view>, N>;

constexpr Names<ExecutionStatus, 15> kStatuses{{
    {ExecutionStatus::Requested, "requested"},
    {ExecutionStatus::Delayed, "delayed"},
    {ExecutionStatus::Scheduled, "scheduled"},
    {ExecutionStatus::Running, "running"},
    {ExecutionStatus::Pending, "pending"},
    {ExecutionStatus::Pausing, "pausing"},
    {ExecutionStatus::Paused, "paused"},
    {ExecutionStatus::Resuming, "resuming"},
    {ExecutionStatus::Canceling, "canceling"},
    {ExecutionStatus::NeedsDecision, "needs_decision"},
    {ExecutionStatus::Succeeded, "succeeded"},
    {ExecutionStatus::Failed, "failed"},
    {ExecutionStatus::Timeout, "timeout"},
    {ExecutionStatus::Canceled, "canceled"},
    {ExecutionStatus::Abandoned, "abandoned"},
}};
constexpr Names<FailureClass, 9> kFailureClasses{{
    {FailureClass::None, ""},
    {FailureClass::UserError, "user_error"},
    {FailureClass::Timeout, "timeout"},
    {FailureClass::Canceled, "canceled"},
    {FailureClass::InfraLost, "infra_lost"},
    {FailureClass::Oom, "oom"},
    {FailureClass::Policy, "policy"},
    {FailureClass::Spawn, "spawn"},
    {FailureClass::NoRelease, "no_release"},
}};
constexpr Names<EffectClass, 4> kEffectClasses{{
    {EffectClass::AtMostOnce, "at_most_once"},
    {EffectClass::Idempotent, "idempotent"},
    {EffectClass::Keyed, "keyed"},
    {EffectClass::Pure, "pure"},
}};
constexpr Names<Priority, 4> kPriorities{{
    {Priority::Critical, "critical"},
    {Priority::High, "high"},
    {Priority::Normal, "normal"},
    {Priority::Low, "low"},
}};

template <typename Enum, size_t N>
std::string_view name_in(const Names<Enum, N>& names, Enum value) {
  for (const auto& [v, name] : names) {
    if (v == value) return name;
  }
  return "unknown";
}

template <typename Enum, size_t N>
std::optional<Enum> value_in(const Names<Enum, N>& names, std::string_view text) {
  for (const auto& [value, name] : names) {
    if (name == text) return value;
  }
  return std::nullopt;
}

}  // namespace

std::string_view to_string(ExecutionStatus status) { return name_in(kStatuses, status); }
std::optional<ExecutionStatus> parse_execution_status(std::string_view text) {
  return value_in(kStatuses, text);
}
std::string_view to_string(FailureClass cls) { return name_in(kFailureClasses, cls); }
std::string_view to_string(EffectClass cls) { return name_in(kEffectClasses, cls); }
std::optional<EffectClass> parse_effect_class(std::string_view text) {
  return value_in(kEffectClasses, text);
}
std::string_view to_string(Priority priority) { return name_in(kPriorities, priority); }
std::optional<Priority> parse_priority(std::string_view text) {
  return value_in(kPriorities, text);
}

}  // namespace millrace
