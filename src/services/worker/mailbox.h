// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <variant>
#include <vector>

#include "kernel/work.h"
#include "services/worker/posix.h"

namespace millrace::worker {

// What other threads have for the worker's thread.
struct Opened {
  Result<kernel::Session> session;
};
struct Renewed {
  SessionId session;
  int64_t asked_ms = 0;  // monotonic
  Result<void> answer;
};
struct Granted {
  SessionId session;
  std::vector<kernel::WorkOrder> orders;
};
struct Canceled {
  SessionId session;
  TenantId tenant;
  kernel::RunKey key;
  std::string reason;
};
struct Over {  // the source has ended the session
  SessionId session;
};
struct Prepared {  // the environment of a run is there, or cannot be had
  kernel::RunKey key;
  Result<void> built;
};
struct Went {  // the source's answer to `prepared`
  kernel::RunKey key;
  bool go = false;
};
struct Ended {  // a run of this process
  kernel::Completion completion;
};
struct Acknowledged {  // the completion is durable
  kernel::RunKey key;
};
using Note =
    std::variant<Opened, Renewed, Over, Granted, Canceled, Prepared, Went, Ended, Acknowledged>;

// Notes for one thread that waits in poll. Whoever puts one in keeps no lock that the reader
// holds while it works, and wakes it only when it sleeps: a burst costs one wake-up. Callbacks
// that may come after the worker is gone share it.
class Mailbox {
 public:
  Mailbox();

  // False once it is closed: nobody will read it. Acknowledgements wait for the next wake-up.
  bool put(Note note);
  // Wakes the reader, or keeps it from going to sleep.
  void wake();

  // The reader's. `take` in the order in which they came; then `may_sleep` says whether to block:
  // false when something has come since. After the wait, `awake`.
  std::vector<Note> take();
  bool may_sleep();
  void awake();
  int fd() const { return wake_.get(); }
  // What has not been read. From now on nothing is taken.
  std::vector<Note> close();

 private:
  void wake_locked();

  Fd wake_;  // eventfd
  std::mutex mutex_;
  std::vector<Note> notes_;
  bool urgent_ = false;    // something came that is not to wait
  bool sleeping_ = false;  // the reader is in poll, or about to be
  bool closed_ = false;
};

}  // namespace millrace::worker
