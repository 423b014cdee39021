// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace millrace {

// The numbers are stored: never renumber, only append.
enum class ExecutionStatus : uint8_t {
  Requested = 0,  // admitted; waits for a worker slot
  Delayed = 1,    // waits for a timer (retry, policy)
  Scheduled = 2,  // leased to a worker of another machine, not yet started
  Running = 3,    // `started` is durable; a process, a timer or a workflow is live
  Pending = 4,    // waits for an inquiry
  Pausing = 5,
  Paused = 6,
  Resuming = 7,
  Canceling = 8,      // a cancel was accepted; the worker has not confirmed the end yet
  NeedsDecision = 9,  // work was lost that must not be re-run blindly
  Succeeded = 16,
  Failed = 17,
  Timeout = 18,
  Canceled = 19,
  Abandoned = 20,
};

constexpr bool is_final(ExecutionStatus s) { return s >= ExecutionStatus::Succeeded; }
std::string_view to_string(ExecutionStatus status);
std::optional<ExecutionStatus> parse_execution_status(std::string_view text);

// Why a final execution is not `succeeded`, or why one needs a decision.
enum class FailureClass : uint8_t {
  None = 0,
  UserError = 1,  // the action ended with a non-zero exit code or an error result
  Timeout = 2,
  Canceled = 3,
  InfraLost = 4,  // server and spawner both went away while it ran
  Oom = 5,
  Policy = 6,
  Spawn = 7,      // the process could not be started
  NoRelease = 8,  // the pack release that it is pinned to is not there
};
std::string_view to_string(FailureClass cls);

// What may be done with a run that was lost after it started.
enum class EffectClass : uint8_t {
  AtMostOnce = 0,  // never re-run without a person's decision; the default
  Idempotent = 1,  // re-run
  Keyed = 2,       // re-run with the same MILLRACE_IDEMPOTENCY_KEY
  Pure = 3,        // no effects: re-run at will, may run inside the server
};
std::string_view to_string(EffectClass cls);
std::optional<EffectClass> parse_effect_class(std::string_view text);
constexpr bool may_rerun_when_lost(EffectClass c) { return c != EffectClass::AtMostOnce; }

enum class Priority : uint8_t { Critical = 0, High = 1, Normal = 2, Low = 3 };
std::string_view to_string(Priority priority);
std::optional<Priority> parse_priority(std::string_view text);

// Dispatch order is enqueue time + this offset, in milliseconds, so that low work ages upward.
constexpr int64_t rank_offset_ms(Priority p) {
  constexpr int64_t kOffsets[] = {-600'000, -60'000, 0, 300'000};
  return kOffsets[static_cast<int>(p)];
}

}  // namespace millrace
