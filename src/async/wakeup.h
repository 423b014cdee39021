// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "async/task.h"

namespace millrace::async {

// "There is something to do": any thread notifies, one coroutine waits on its loop. Calls that
// come before the coroutine waits are kept as one. For loops that look at the truth themselves
// after each wake-up.
class Wakeup {
 public:
  explicit Wakeup(Executor loop);

  void notify() const;  // any thread; cheap when already notified
  Task<void> wait() const;
  // False when the time passed without a call.
  Task<bool> wait_for(Duration limit) const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace millrace::async
