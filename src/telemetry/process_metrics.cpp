// SPDX-License-Identifier: Apache-2.0
#include <dirent.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>

#include "telemetry/metrics.h"

namespace millrace::telemetry {
namespace {

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// proc(5): the second number of statm is the resident set in pages.
double resident_bytes() {
  long size = 0, resident = 0;
  if (FILE* file = std::fopen("/proc/self/statm", "re")) {
    if (std::fscanf(file, "%ld %ld", &size, &resident) != 2) resident = 0;
    std::fclose(file);
  }
  return static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

double open_fds() {
  int entries = 0;
  if (DIR* folder = opendir("/proc/self/fd")) {
    while (readdir(folder) != nullptr) ++entries;
    closedir(folder);
  }
  return entries > 3 ? entries - 3 : 0;  // `.`, `..` and the folder's own descriptor
}

double max_fds() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  return static_cast<double>(limit.rlim_cur);
}

}  // namespace

void add_process_metrics(Registry& registry) {
  using namespace std::chrono;
  double started = duration<double>(system_clock::now().time_since_epoch()).count();
  registry.counter_from("process_cpu_seconds_total", "User and system CPU time.", cpu_seconds);
  registry.gauge_from("process_resident_memory_bytes", "Resident memory.", resident_bytes);
  registry.gauge_from("process_open_fds", "Open file descriptors.", open_fds);
  registry.gauge_from("process_max_fds", "Limit of open file descriptors.", max_fds);
  registry.gauge_from("process_start_time_seconds", "Start of the process, Unix time.",
                      [started] { return started; });
}

}  // namespace millrace::telemetry
