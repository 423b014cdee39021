// SPDX-License-Identifier: Apache-2.0
#include "conductor/machines.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>

namespace millrace::conductor {
namespace {

// From, event, to. An event that a status does not list changes nothing. The events of the
// workflow machine are `workflow_<status asked for>` and `task_<status that a task took>` with
// what else goes on as a suffix; those of the task machine are `action_<status>` with how the
// other items stand, `workflow_<status>`, and the engine's own `task_<command>_requested`.
// Source of both tables: orquesta/machines.py of StackStorm/orquesta (Apache-2.0).
struct Row {
  Status from;
  std::string_view event;
  Status to;
};

using enum Status;

// clang-format off
constexpr Row kWorkflowRows[] = {
    {Null, "workflow_requested", Requested},
    {Null, "workflow_scheduled", Scheduled},
    {Null, "workflow_delayed", Delayed},
    {Null, "workflow_running", Running},
    {Null, "workflow_failed", Failed},

    {Requested, "workflow_scheduled", Scheduled},
    {Requested, "workflow_delayed", Delayed},
    {Requested, "workflow_running", Running},
    {Requested, "workflow_pausing_workflow_dormant", Paused},
    {Requested, "workflow_paused_workflow_dormant", Paused},
    {Requested, "workflow_canceling_workflow_dormant", Canceled},
    {Requested, "workflow_canceled_workflow_dormant", Canceled},
    {Requested, "workflow_failed", Failed},

    {Scheduled, "workflow_delayed", Delayed},
    {Scheduled, "workflow_running", Running},
    {Scheduled, "workflow_pausing_workflow_dormant", Paused},
    {Scheduled, "workflow_paused_workflow_dormant", Paused},
    {Scheduled, "workflow_canceling_workflow_dormant", Canceled},
    {Scheduled, "workflow_canceled_workflow_dormant", Canceled},
    {Scheduled, "workflow_failed", Failed},

    {Delayed, "workflow_scheduled", Scheduled},
    {Delayed, "workflow_running", Running},
    {Delayed, "workflow_pausing_workflow_dormant", Paused},
    {Delayed, "workflow_paused_workflow_dormant", Paused},
    {Delayed, "workflow_canceling_workflow_dormant", Canceled},
    {Delayed, "workflow_canceled_workflow_dormant", Canceled},
    {Delayed, "workflow_failed", Failed},

    {Running, "workflow_pausing_workflow_active", Pausing},
    {Running, "workflow_pausing_workflow_dormant", Paused},
    {Running, "workflow_paused_workflow_active", Pausing},
    {Running, "workflow_paused_workflow_dormant", Paused},
    {Running, "workflow_canceling_workflow_active", Canceling},
    {Running, "workflow_canceling_workflow_dormant", Canceled},
    {Running, "workflow_canceled_workflow_active", Canceling},
    {Running, "workflow_canceled_workflow_dormant", Canceled},
    {Running, "workflow_failed", Failed},
    {Running, "workflow_succeeded", Succeeded},
    {Running, "task_pending_workflow_active", Pausing},
    {Running, "task_pending_workflow_dormant", Paused},
    {Running, "task_pausing", Running},
    {Running, "task_paused_workflow_active", Running},
    {Running, "task_paused_workflow_dormant", Paused},
    {Running, "task_succeeded_workflow_active_incomplete", Running},
    {Running, "task_succeeded_workflow_active_completed", Running},
    {Running, "task_succeeded_workflow_active_paused", Pausing},
    {Running, "task_succeeded_workflow_active_canceled", Canceling},
    {Running, "task_succeeded_workflow_dormant_incomplete", Running},
    {Running, "task_succeeded_workflow_dormant_completed", Succeeded},
    {Running, "task_succeeded_workflow_dormant_paused", Paused},
    {Running, "task_succeeded_workflow_dormant_canceled", Canceled},
    {Running, "task_failed_workflow_active", Failed},
    {Running, "task_failed_workflow_dormant", Failed},
    {Running, "task_remediated_workflow_active_incomplete", Running},
    {Running, "task_remediated_workflow_active_completed", Running},
    {Running, "task_remediated_workflow_active_paused", Pausing},
    {Running, "task_remediated_workflow_active_canceled", Canceling},
    {Running, "task_remediated_workflow_dormant_incomplete", Running},
    {Running, "task_remediated_workflow_dormant_completed", Succeeded},
    {Running, "task_remediated_workflow_dormant_paused", Paused},
    {Running, "task_remediated_workflow_dormant_canceled", Canceled},
    {Running, "task_canceling", Canceling},
    {Running, "task_canceled_workflow_active", Canceling},
    {Running, "task_canceled_workflow_dormant", Canceled},

    {Pausing, "workflow_pausing_workflow_active", Pausing},
    {Pausing, "workflow_pausing_workflow_dormant", Paused},
    {Pausing, "workflow_paused_workflow_active", Pausing},
    {Pausing, "workflow_paused_workflow_dormant", Paused},
    {Pausing, "workflow_canceling_workflow_active", Canceling},
    {Pausing, "workflow_canceling_workflow_dormant", Canceled},
    {Pausing, "workflow_canceled_workflow_active", Canceling},
    {Pausing, "workflow_canceled_workflow_dormant", Canceled},
    {Pausing, "workflow_running", Running},
    {Pausing, "workflow_resuming", Resuming},
    {Pausing, "workflow_failed", Failed},
    {Pausing, "task_pending_workflow_active", Pausing},
    {Pausing, "task_pending_workflow_dormant", Paused},
    {Pausing, "task_paused_workflow_active", Pausing},
    {Pausing, "task_paused_workflow_dormant", Paused},
    {Pausing, "task_succeeded_workflow_active_incomplete", Pausing},
    {Pausing, "task_succeeded_workflow_active_completed", Pausing},
    {Pausing, "task_succeeded_workflow_active_paused", Pausing},
    {Pausing, "task_succeeded_workflow_active_canceled", Pausing},
    {Pausing, "task_succeeded_workflow_dormant_incomplete", Paused},
    {Pausing, "task_succeeded_workflow_dormant_completed", Paused},
    {Pausing, "task_succeeded_workflow_dormant_paused", Paused},
    {Pausing, "task_succeeded_workflow_dormant_canceled", Canceled},
    {Pausing, "task_failed_workflow_active", Failed},
    {Pausing, "task_failed_workflow_dormant", Failed},
    {Pausing, "task_remediated_workflow_active_incomplete", Pausing},
    {Pausing, "task_remediated_workflow_active_completed", Pausing},
    {Pausing, "task_remediated_workflow_active_paused", Pausing},
    {Pausing, "task_remediated_workflow_active_canceled", Canceling},
    {Pausing, "task_remediated_workflow_dormant_incomplete", Paused},
    {Pausing, "task_remediated_workflow_dormant_completed", Paused},
    {Pausing, "task_remediated_workflow_dormant_paused", Paused},
    {Pausing, "task_remediated_workflow_dormant_canceled", Canceled},
    {Pausing, "task_canceling", Canceling},
    {Pausing, "task_canceled_workflow_active", Canceling},
    {Pausing, "task_canceled_workflow_dormant", Canceled},
    {Pausing, "task_retrying_workflow_active", Pausing},
    {Pausing, "task_retrying_workflow_dormant", Paused},

    {Paused, "workflow_running", Running},
    {Paused, "workflow_running_workflow_completed", Succeeded},
    {Paused, "workflow_resuming", Resuming},
    {Paused, "workflow_resuming_workflow_completed", Succeeded},
    {Paused, "workflow_canceling_workflow_dormant", Canceled},
    {Paused, "workflow_canceled_workflow_dormant", Canceled},
    {Paused, "workflow_failed", Failed},
    {Paused, "task_running", Running},
    {Paused, "task_resuming", Running},

    {Resuming, "workflow_pausing_workflow_active", Pausing},
    {Resuming, "workflow_pausing_workflow_dormant", Paused},
    {Resuming, "workflow_paused_workflow_active", Pausing},
    {Resuming, "workflow_paused_workflow_dormant", Paused},
    {Resuming, "workflow_canceling_workflow_active", Canceling},
    {Resuming, "workflow_canceling_workflow_dormant", Canceled},
    {Resuming, "workflow_canceled_workflow_active", Canceling},
    {Resuming, "workflow_canceled_workflow_dormant", Canceled},
    {Resuming, "workflow_running", Running},
    {Resuming, "workflow_failed", Failed},
    {Resuming, "task_running", Running},
    {Resuming, "task_pending_workflow_active", Pausing},
    {Resuming, "task_pending_workflow_dormant", Paused},
    {Resuming, "task_succeeded_workflow_active_incomplete", Running},
    {Resuming, "task_succeeded_workflow_active_completed", Running},
    {Resuming, "task_succeeded_workflow_dormant_incomplete", Running},
    {Resuming, "task_succeeded_workflow_dormant_completed", Succeeded},
    {Resuming, "task_succeeded_workflow_dormant_paused", Paused},
    {Resuming, "task_succeeded_workflow_dormant_canceled", Canceled},
    {Resuming, "task_failed_workflow_active", Failed},
    {Resuming, "task_failed_workflow_dormant", Failed},
    {Resuming, "task_remediated_workflow_active_incomplete", Running},
    {Resuming, "task_remediated_workflow_active_completed", Running},
    {Resuming, "task_remediated_workflow_dormant_incomplete", Running},
    {Resuming, "task_remediated_workflow_dormant_completed", Succeeded},
    {Resuming, "task_remediated_workflow_dormant_paused", Paused},
    {Resuming, "task_remediated_workflow_dormant_canceled", Canceled},
    {Resuming, "task_canceling", Canceling},
    {Resuming, "task_canceled_workflow_active", Canceling},
    {Resuming, "task_canceled_workflow_dormant", Canceled},

    {Canceling, "workflow_canceling_workflow_active", Canceling},
    {Canceling, "workflow_canceling_workflow_dormant", Canceled},
    {Canceling, "workflow_canceled_workflow_active", Canceling},
    {Canceling, "workflow_canceled_workflow_dormant", Canceled},
    {Canceling, "workflow_failed", Failed},
    {Canceling, "task_pending_workflow_active", Canceling},
    {Canceling, "task_pending_workflow_dormant", Canceled},
    {Canceling, "task_paused_workflow_active", Canceling},
    {Canceling, "task_paused_workflow_dormant", Canceled},
    {Canceling, "task_succeeded_workflow_active_incomplete", Canceling},
    {Canceling, "task_succeeded_workflow_active_completed", Canceling},
    {Canceling, "task_succeeded_workflow_dormant_incomplete", Canceled},
    {Canceling, "task_succeeded_workflow_dormant_completed", Canceled},
    {Canceling, "task_succeeded_workflow_dormant_paused", Canceled},
    {Canceling, "task_succeeded_workflow_dormant_canceled", Canceled},
    {Canceling, "task_failed_workflow_active", Canceling},
    {Canceling, "task_failed_workflow_dormant", Canceled},
    {Canceling, "task_remediated_workflow_active_incomplete", Canceling},
    {Canceling, "task_remediated_workflow_active_completed", Canceling},
    {Canceling, "task_remediated_workflow_dormant_incomplete", Canceled},
    {Canceling, "task_remediated_workflow_dormant_completed", Canceled},
    {Canceling, "task_remediated_workflow_dormant_paused", Canceled},
    {Canceling, "task_remediated_workflow_dormant_canceled", Canceled},
    {Canceling, "task_canceled_workflow_active", Canceling},
    {Canceling, "task_canceled_workflow_dormant", Canceled},
    {Canceling, "task_retrying_workflow_active", Canceling},
    {Canceling, "task_retrying_workflow_dormant", Canceled},

    {Succeeded, "workflow_failed", Failed},
};

constexpr Row kTaskRows[] = {
    {Null, "action_requested", Requested},
    {Null, "action_scheduled", Scheduled},
    {Null, "action_delayed", Delayed},
    {Null, "action_running", Running},
    {Null, "action_pending", Pending},
    {Null, "task_continue_requested", Succeeded},
    {Null, "task_noop_requested", Succeeded},
    {Null, "task_fail_requested", Failed},

    {Requested, "action_scheduled", Scheduled},
    {Requested, "action_delayed", Delayed},
    {Requested, "action_running", Running},
    {Requested, "action_pending", Pending},
    {Requested, "action_pausing", Pausing},
    {Requested, "action_paused", Paused},
    {Requested, "action_canceling", Canceling},
    {Requested, "action_canceled", Canceled},
    {Requested, "action_failed", Failed},
    {Requested, "action_timeout", Timeout},
    {Requested, "action_abandoned", Abandoned},

    {Scheduled, "action_delayed", Delayed},
    {Scheduled, "action_running", Running},
    {Scheduled, "action_pending", Pending},
    {Scheduled, "action_pausing", Pausing},
    {Scheduled, "action_paused", Paused},
    {Scheduled, "action_canceling", Canceling},
    {Scheduled, "action_canceled", Canceled},
    {Scheduled, "action_failed", Failed},
    {Scheduled, "action_timeout", Timeout},
    {Scheduled, "action_abandoned", Abandoned},

    {Delayed, "action_scheduled", Scheduled},
    {Delayed, "action_running", Running},
    {Delayed, "action_pending", Pending},
    {Delayed, "action_pausing", Pausing},
    {Delayed, "action_paused", Paused},
    {Delayed, "action_canceling", Canceling},
    {Delayed, "action_canceled", Canceled},
    {Delayed, "action_failed", Failed},
    {Delayed, "action_timeout", Timeout},
    {Delayed, "action_abandoned", Abandoned},

    {Running, "action_running", Running},
    {Running, "action_pending", Pending},
    {Running, "action_pending_task_active_items_incomplete", Pausing},
    {Running, "action_pending_task_dormant_items_paused", Paused},
    {Running, "action_pending_task_dormant_items_canceled", Canceled},
    {Running, "action_pending_task_dormant_items_failed", Failed},
    {Running, "action_pending_task_dormant_items_incomplete", Paused},
    {Running, "action_pending_task_dormant_items_completed", Paused},
    {Running, "action_pausing", Pausing},
    {Running, "action_paused", Paused},
    {Running, "action_paused_task_active_items_incomplete", Pausing},
    {Running, "action_paused_task_dormant_items_paused", Paused},
    {Running, "action_paused_task_dormant_items_canceled", Canceled},
    {Running, "action_paused_task_dormant_items_failed", Failed},
    {Running, "action_paused_task_dormant_items_incomplete", Paused},
    {Running, "action_paused_task_dormant_items_completed", Paused},
    {Running, "action_canceling", Canceling},
    {Running, "action_canceled", Canceled},
    {Running, "action_canceled_task_active_items_incomplete", Canceling},
    {Running, "action_canceled_task_dormant_items_paused", Canceled},
    {Running, "action_canceled_task_dormant_items_canceled", Canceled},
    {Running, "action_canceled_task_dormant_items_failed", Canceled},
    {Running, "action_canceled_task_dormant_items_incomplete", Canceled},
    {Running, "action_canceled_task_dormant_items_completed", Canceled},
    {Running, "action_failed", Failed},
    {Running, "action_failed_task_dormant_items_paused", Failed},
    {Running, "action_failed_task_dormant_items_canceled", Canceled},
    {Running, "action_failed_task_dormant_items_failed", Failed},
    {Running, "action_failed_task_dormant_items_incomplete", Failed},
    {Running, "action_failed_task_dormant_items_completed", Failed},
    {Running, "action_timeout", Failed},
    {Running, "action_timeout_task_dormant_items_paused", Failed},
    {Running, "action_timeout_task_dormant_items_canceled", Canceled},
    {Running, "action_timeout_task_dormant_items_failed", Failed},
    {Running, "action_timeout_task_dormant_items_incomplete", Failed},
    {Running, "action_timeout_task_dormant_items_completed", Failed},
    {Running, "action_abandoned", Failed},
    {Running, "action_abandoned_task_dormant_items_paused", Failed},
    {Running, "action_abandoned_task_dormant_items_canceled", Canceled},
    {Running, "action_abandoned_task_dormant_items_failed", Failed},
    {Running, "action_abandoned_task_dormant_items_incomplete", Failed},
    {Running, "action_abandoned_task_dormant_items_completed", Failed},
    {Running, "action_succeeded", Succeeded},
    {Running, "action_succeeded_task_active_items_incomplete", Running},
    {Running, "action_succeeded_task_dormant_items_canceled", Canceled},
    {Running, "action_succeeded_task_dormant_items_paused", Paused},
    {Running, "action_succeeded_task_dormant_items_failed", Failed},
    {Running, "action_succeeded_task_dormant_items_incomplete", Running},
    {Running, "action_succeeded_task_dormant_items_completed", Succeeded},
    {Running, "workflow_pausing_task_active_items_incomplete", Pausing},
    {Running, "workflow_pausing_task_dormant_items_incomplete", Paused},
    {Running, "workflow_paused_task_active_items_incomplete", Pausing},
    {Running, "workflow_paused_task_dormant_items_incomplete", Paused},
    {Running, "workflow_canceling_task_active_items_incomplete", Canceling},
    {Running, "workflow_canceling_task_dormant_items_incomplete", Canceled},
    {Running, "workflow_canceled_task_active_items_incomplete", Canceling},
    {Running, "workflow_canceled_task_dormant_items_incomplete", Canceled},

    {Pending, "action_canceled", Canceled},
    {Pending, "action_failed", Failed},
    {Pending, "action_timeout", Failed},
    {Pending, "action_abandoned", Failed},
    {Pending, "action_succeeded", Succeeded},

    {Pausing, "action_pending_task_dormant_items_paused", Paused},
    {Pausing, "action_pending_task_dormant_items_canceled", Canceled},
    {Pausing, "action_pending_task_dormant_items_failed", Failed},
    {Pausing, "action_pending_task_dormant_items_incomplete", Paused},
    {Pausing, "action_pending_task_dormant_items_completed", Paused},
    {Pausing, "action_paused", Paused},
    {Pausing, "action_paused_task_dormant_items_paused", Paused},
    {Pausing, "action_paused_task_dormant_items_canceled", Canceled},
    {Pausing, "action_paused_task_dormant_items_failed", Failed},
    {Pausing, "action_paused_task_dormant_items_incomplete", Paused},
    {Pausing, "action_paused_task_dormant_items_completed", Paused},
    {Pausing, "action_resuming", Resuming},
    {Pausing, "action_canceling", Canceling},
    {Pausing, "action_canceled", Canceled},
    {Pausing, "action_canceled_task_dormant_items_paused", Canceled},
    {Pausing, "action_canceled_task_dormant_items_canceled", Canceled},
    {Pausing, "action_canceled_task_dormant_items_failed", Canceled},
    {Pausing, "action_canceled_task_dormant_items_incomplete", Canceled},
    {Pausing, "action_canceled_task_dormant_items_completed", Canceled},
    {Pausing, "action_failed", Failed},
    {Pausing, "action_failed_task_dormant_items_paused", Failed},
    {Pausing, "action_failed_task_dormant_items_canceled", Canceled},
    {Pausing, "action_failed_task_dormant_items_failed", Failed},
    {Pausing, "action_failed_task_dormant_items_incomplete", Failed},
    {Pausing, "action_failed_task_dormant_items_completed", Failed},
    {Pausing, "action_timeout", Failed},
    {Pausing, "action_timeout_task_dormant_items_paused", Failed},
    {Pausing, "action_timeout_task_dormant_items_canceled", Canceled},
    {Pausing, "action_timeout_task_dormant_items_failed", Failed},
    {Pausing, "action_timeout_task_dormant_items_incomplete", Failed},
    {Pausing, "action_timeout_task_dormant_items_completed", Failed},
    {Pausing, "action_abandoned", Failed},
    {Pausing, "action_abandoned_task_dormant_items_paused", Failed},
    {Pausing, "action_abandoned_task_dormant_items_canceled", Canceled},
    {Pausing, "action_abandoned_task_dormant_items_failed", Failed},
    {Pausing, "action_abandoned_task_dormant_items_incomplete", Failed},
    {Pausing, "action_abandoned_task_dormant_items_completed", Failed},
    {Pausing, "action_succeeded_task_dormant_items_paused", Paused},
    {Pausing, "action_succeeded_task_dormant_items_canceled", Canceled},
    {Pausing, "action_succeeded_task_dormant_items_failed", Failed},
    {Pausing, "action_succeeded_task_dormant_items_incomplete", Paused},
    {Pausing, "action_succeeded_task_dormant_items_completed", Succeeded},

    {Paused, "action_running", Running},
    {Paused, "action_resuming", Resuming},
    {Paused, "action_canceling", Canceling},
    {Paused, "action_canceled", Canceled},

    {Resuming, "action_running", Running},
    {Resuming, "action_canceling", Canceling},
    {Resuming, "action_canceled", Canceled},

    {Retrying, "action_running", Running},
    {Retrying, "action_canceling", Canceling},
    {Retrying, "action_canceled", Canceled},
    {Retrying, "workflow_canceling", Canceled},
    {Retrying, "workflow_canceled", Canceled},

    {Canceling, "action_pending_task_dormant_items_paused", Canceled},
    {Canceling, "action_pending_task_dormant_items_canceled", Canceled},
    {Canceling, "action_pending_task_dormant_items_failed", Canceled},
    {Canceling, "action_pending_task_dormant_items_incomplete", Canceled},
    {Canceling, "action_pending_task_dormant_items_completed", Canceled},
    {Canceling, "action_paused", Canceled},
    {Canceling, "action_paused_task_dormant_items_paused", Canceled},
    {Canceling, "action_paused_task_dormant_items_canceled", Canceled},
    {Canceling, "action_paused_task_dormant_items_failed", Canceled},
    {Canceling, "action_paused_task_dormant_items_incomplete", Canceled},
    {Canceling, "action_paused_task_dormant_items_completed", Canceled},
    {Canceling, "action_canceled", Canceled},
    {Canceling, "action_canceled_task_dormant_items_paused", Canceled},
    {Canceling, "action_canceled_task_dormant_items_canceled", Canceled},
    {Canceling, "action_canceled_task_dormant_items_failed", Canceled},
    {Canceling, "action_canceled_task_dormant_items_incomplete", Canceled},
    {Canceling, "action_canceled_task_dormant_items_completed", Canceled},
    {Canceling, "action_failed", Failed},
    {Canceling, "action_failed_task_dormant_items_paused", Canceled},
    {Canceling, "action_failed_task_dormant_items_canceled", Canceled},
    {Canceling, "action_failed_task_dormant_items_failed", Canceled},
    {Canceling, "action_failed_task_dormant_items_incomplete", Canceled},
    {Canceling, "action_failed_task_dormant_items_completed", Canceled},
    {Canceling, "action_timeout", Failed},
    {Canceling, "action_timeout_task_dormant_items_paused", Canceled},
    {Canceling, "action_timeout_task_dormant_items_canceled", Canceled},
    {Canceling, "action_timeout_task_dormant_items_failed", Canceled},
    {Canceling, "action_timeout_task_dormant_items_incomplete", Canceled},
    {Canceling, "action_timeout_task_dormant_items_completed", Canceled},
    {Canceling, "action_abandoned", Failed},
    {Canceling, "action_abandoned_task_dormant_items_paused", Canceled},
    {Canceling, "action_abandoned_task_dormant_items_canceled", Canceled},
    {Canceling, "action_abandoned_task_dormant_items_failed", Canceled},
    {Canceling, "action_abandoned_task_dormant_items_incomplete", Canceled},
    {Canceling, "action_abandoned_task_dormant_items_completed", Canceled},
    {Canceling, "action_succeeded_task_dormant_items_paused", Canceled},
    {Canceling, "action_succeeded_task_dormant_items_canceled", Canceled},
    {Canceling, "action_succeeded_task_dormant_items_failed", Canceled},
    {Canceling, "action_succeeded_task_dormant_items_incomplete", Canceled},
    {Canceling, "action_succeeded_task_dormant_items_completed", Succeeded},

    {Succeeded, "task_retry_requested", Retrying},

    {Failed, "task_retry_requested", Retrying},
};

constexpr Row kNativeTaskRows[] = {
    {Running, "action_timeout", Timeout},
    {Pausing, "action_timeout", Timeout},
    {Pending, "action_timeout", Timeout},

    {Timeout, "task_retry_requested", Retrying},
    {Abandoned, "task_retry_requested", Retrying},

    {Failed, "task_hold_requested", Pending},
    {Timeout, "task_hold_requested", Pending},
    {Abandoned, "task_hold_requested", Pending},
    {Pending, "task_retry_requested", Retrying},
};
// clang-format on

// Rows sorted by (from, event), with the range of each status.
template <size_t N>
struct Table {
  std::array<Row, N> rows;
  std::array<uint16_t, kStatusCount + 1> begin{};

  explicit Table(const Row (&source)[N]) {
    std::copy(source, source + N, rows.begin());
    std::sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) {
      return a.from != b.from ? a.from < b.from : a.event < b.event;
    });
    for (const Row& row : rows) ++begin[static_cast<size_t>(row.from) + 1];
    for (size_t i = 1; i < begin.size(); ++i) begin[i] += begin[i - 1];
  }

  std::optional<Status> find(Status from, std::string_view event) const {
    auto first = rows.begin() + begin[static_cast<size_t>(from)];
    auto last = rows.begin() + begin[static_cast<size_t>(from) + 1];
    auto row = std::lower_bound(first, last, event,
                                [](const Row& r, std::string_view e) { return r.event < e; });
    if (row == last || row->event != event) return std::nullopt;
    return row->to;
  }
};

}  // namespace

std::optional<Status> workflow_transition(Status from, std::string_view event) {
  static const Table table(kWorkflowRows);
  return table.find(from, event);
}

std::optional<Status> task_transition(Status from, std::string_view event) {
  static const Table table(kTaskRows);
  return table.find(from, event);
}

std::optional<Status> native_task_transition(Status from, std::string_view event) {
  static const Table table(kNativeTaskRows);
  auto to = table.find(from, event);
  return to ? to : task_transition(from, event);
}

}  // namespace millrace::conductor
