// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>

#include "conductor/status.h"

namespace millrace::conductor {

// The two state machines of the language, as tables (machines.cpp). Nothing: the event leaves the
// status as it is.
std::optional<Status> workflow_transition(Status from, std::string_view event);
std::optional<Status> task_transition(Status from, std::string_view event);

// The task machine of the native language: the reference's but that a timeout is a status of its
// own, that a task that abended can be held for an operator, and that late events are passed over.
std::optional<Status> native_task_transition(Status from, std::string_view event);

// The statuses that each machine knows. A task in `timeout` or `abandoned` takes no further event:
// that is an error.
inline constexpr StatusSet kWorkflowStates(Status::Null, Status::Requested, Status::Scheduled,
                                           Status::Delayed, Status::Running, Status::Pausing,
                                           Status::Paused, Status::Resuming, Status::Succeeded,
                                           Status::Failed, Status::Canceling, Status::Canceled);
inline constexpr StatusSet kTaskStates(Status::Null, Status::Requested, Status::Scheduled,
                                       Status::Delayed, Status::Running, Status::Pending,
                                       Status::Pausing, Status::Paused, Status::Resuming,
                                       Status::Succeeded, Status::Failed, Status::Retrying,
                                       Status::Canceling, Status::Canceled);

}  // namespace millrace::conductor
