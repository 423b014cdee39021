// SPDX-License-Identifier: Apache-2.0
#include "base/process_guard.h"

#include <sys/prctl.h>
#include <sys/resource.h>

namespace millrace {

void guard_process() {
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  // Only the soft limit: it is what counts, and runs may be allowed more.
  rlimit core{};
  getrlimit(RLIMIT_CORE, &core);
  core.rlim_cur = 0;
  setrlimit(RLIMIT_CORE, &core);
}

}  // namespace millrace
