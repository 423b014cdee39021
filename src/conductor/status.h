// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace millrace::conductor {

// Where a workflow, a task or an item of a with-items task stands. Null: nothing happened yet.
enum class Status : uint8_t {
  Null,
  Requested,
  Scheduled,
  Delayed,
  Running,
  Pending,
  Pausing,
  Paused,
  Resuming,
  Succeeded,
  Failed,
  Timeout,
  Abandoned,
  Retrying,
  Canceling,
  Canceled,
};
inline constexpr int kStatusCount = 16;

std::string_view to_string(Status status);
std::optional<Status> parse_status(std::string_view text);

// Sets of statuses, under the names that the reference gives them.
class StatusSet {
 public:
  template <typename... S>
  constexpr explicit StatusSet(S... s) : bits_(((1u << static_cast<unsigned>(s)) | ...)) {}
  constexpr bool has(Status s) const { return (bits_ >> static_cast<unsigned>(s)) & 1u; }

 private:
  uint32_t bits_;
};

inline constexpr StatusSet kStarting(Status::Requested, Status::Scheduled, Status::Delayed,
                                     Status::Running, Status::Pending);
inline constexpr StatusSet kRunning(Status::Requested, Status::Scheduled, Status::Delayed,
                                    Status::Running, Status::Resuming, Status::Retrying);
inline constexpr StatusSet kActive(Status::Requested, Status::Scheduled, Status::Delayed,
                                   Status::Running, Status::Resuming, Status::Pausing,
                                   Status::Canceling);
// Native: a task that waits for an answer keeps the workflow going, it does not pause it.
inline constexpr StatusSet kActiveOrPending(Status::Requested, Status::Scheduled, Status::Delayed,
                                            Status::Running, Status::Resuming, Status::Pausing,
                                            Status::Canceling, Status::Pending);
inline constexpr StatusSet kPause(Status::Pausing, Status::Paused);
inline constexpr StatusSet kCancel(Status::Canceling, Status::Canceled);
inline constexpr StatusSet kAbended(Status::Failed, Status::Timeout, Status::Abandoned);
inline constexpr StatusSet kCompleted(Status::Succeeded, Status::Failed, Status::Timeout,
                                      Status::Abandoned, Status::Canceled);

}  // namespace millrace::conductor
