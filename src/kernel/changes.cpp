// SPDX-License-Identifier: Apache-2.0
#include "kernel/changes.h"

namespace millrace::kernel {

bool Changes::empty() const {
  return dedupe.empty() && events.empty() && enforcements.empty() && new_executions.empty() &&
         executions.empty() && enqueue.empty() && dequeue.empty() && outputs.empty() &&
         result_blobs.empty() && workflows.empty() && workflow_pieces.empty() &&
         workflow_runs.empty() && inquiries.empty() && messages.empty() && acked.empty() &&
         timers.empty() && timers_done.empty() && timers_of_done.empty() && outbox.empty() &&
         outbox_done.empty() && quarantine.empty() && rules.empty() && webhooks.empty() &&
         tokens.empty() && tokens_done.empty() && keys.empty() && pack_releases.empty() &&
         workers.empty() && expire.empty() && feed.empty();
}

}  // namespace millrace::kernel
