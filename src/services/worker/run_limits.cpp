// SPDX-License-Identifier: Apache-2.0
#include "services/worker/run_limits.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "services/worker/posix.h"

namespace millrace::worker {
namespace {

// Between SIGXCPU, which tells, and SIGKILL.
constexpr rlim_t kCpuGraceS = 5;

// Tasks of this machine: /proc/loadavg is `0.14 0.20 0.18 RUNNING/ALL LAST_PID`.
int64_t tasks_now() {
  std::string text = read_small_file("/proc/loadavg");
  size_t slash = text.find('/');
  int64_t all = 0;
  if (slash != std::string::npos) {
    std::from_chars(text.data() + slash + 1, text.data() + text.size(), all);
  }
  return all;
}

}  // namespace

std::vector<ResourceLimit> resource_limits(const RunLimits& limits, rlimit open_files) {
  std::vector<ResourceLimit> out;
  auto add = [&](int resource, rlim_t soft, rlim_t hard) {
    rlimit own{};
    getrlimit(static_cast<__rlimit_resource>(resource), &own);
    out.push_back({resource, {std::min(soft, own.rlim_max), std::min(hard, own.rlim_max)}});
  };
  auto add_both = [&](int resource, int64_t most) {
    add(resource, static_cast<rlim_t>(most), static_cast<rlim_t>(most));
  };
  if (limits.open_files > 0) {
    add_both(RLIMIT_NOFILE, limits.open_files);
  } else {
    out.push_back({RLIMIT_NOFILE, open_files});
  }
  add_both(RLIMIT_CORE, limits.core_bytes);
  if (limits.file_bytes > 0) add_both(RLIMIT_FSIZE, limits.file_bytes);
  if (limits.memory_bytes > 0) add_both(RLIMIT_DATA, limits.memory_bytes);
  if (limits.cpu_s > 0) {
    auto seconds = static_cast<rlim_t>(limits.cpu_s);
    add(RLIMIT_CPU, seconds, seconds + kCpuGraceS);
  }
  // The kernel counts all tasks of the user, those of other runs and of other programs too; it
  // lets root have any number.
  if (limits.processes > 0 && geteuid() != 0) {
    add_both(RLIMIT_NPROC, tasks_now() + limits.processes);
  }
  return out;
}

}  // namespace millrace::worker
