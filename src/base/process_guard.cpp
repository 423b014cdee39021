// SPDX-License-Identifier: Apache-2.0
#include "base/process_guard.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace millrace {
namespace {

// Who was started without one of them would get its number for the first file that it opens, and
// write its log there. System calls as they are: of the library nothing is ready yet.
[[clang::no_sanitize("address", "undefined", "thread")]] void hold_standard_streams() {
  for (int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::syscall(SYS_fcntl, stream, F_GETFD) != -1 || errno != EBADF) continue;
    // The wrong way round: to read or write what is not there fails, as it did. Only what is told
    // to nobody may be lost.
    int mode = stream == STDOUT_FILENO ? O_RDONLY : O_WRONLY;
    ::syscall(SYS_openat, AT_FDCWD, "/dev/null", mode);  // gets the lowest free number: this one
  }
}

// Before the libraries are made ready: they open files, too (gRPC an eventfd).
[[gnu::section(".preinit_array"), gnu::used]] void (*hold_before_all)() = hold_standard_streams;

}  // namespace

void guard_process() {
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  // Only the soft limit: it is what counts, and runs may be allowed more.
  rlimit core{};
  getrlimit(RLIMIT_CORE, &core);
  core.rlim_cur = 0;
  setrlimit(RLIMIT_CORE, &core);
}

}  // namespace millrace
