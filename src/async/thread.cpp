// SPDX-License-Identifier: Apache-2.0
#include "async/thread.h"

#include <fmt/format.h>
#include <pthread.h>

#include <system_error>

namespace millrace::async {

Result<std::thread> start_thread(const std::string& name, std::move_only_function<void()> run) {
  try {
    std::thread thread(std::move(run));
    pthread_setname_np(thread.native_handle(), name.substr(0, 15).c_str());
    return thread;
  } catch (const std::system_error& error) {
    return Error(ErrorKind::Unavailable, "ASY-0004",
                 fmt::format("the thread '{}' cannot be made: {}: raise the limit of processes of "
                             "this user (ulimit -u), of its service (TasksMax) or its container "
                             "(pids.max), or that of memory (ulimit -v)",
                             name, error.code().message()));
  }
}

}  // namespace millrace::async
