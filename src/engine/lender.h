// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <functional>
#include <vector>

#include "base/result.h"
#include "engine/machine/slots.h"

namespace millrace::engine {

// What other servers have asked this one for: slots of its workers (kernel/permits.h). Each has one
// ask at a time, which names all that it lacks, and gets one slot for each in its turn.
//
// Where work waits here as well, the two take turns at each worker; but who has workers of its own
// for it gets only what nobody here waits for. Belongs to one partition. Times are monotonic.
class Lender {
 public:
  // A run that was given the slot is durable by then, and has been seen in the feed; one that comes
  // later is refused and starts again.
  static constexpr int64_t kLentMs = 10'000;
  using Lent = std::function<void(Result<std::vector<kernel::Permit>>)>;

  void ask(kernel::PermitAsk ask, Lent lent, int64_t now_ms);
  // Gives what can be given. `is_wanted`: work waits here for this worker.
  void serve(Slots& slots, const std::function<bool(WorkerId)>& is_wanted, int64_t now_ms);
  // Answers all of them.
  void refuse(const Error& why);
  // When the next one has waited for long enough; INT64_MAX: there is none.
  int64_t next_ms() const;

 private:
  struct Asked {
    kernel::PermitAsk ask;
    int64_t until_ms = 0;
    Lent lent;
  };
  std::deque<Asked> asked_;
};

}  // namespace millrace::engine
