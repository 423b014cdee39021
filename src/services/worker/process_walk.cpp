// SPDX-License-Identifier: Apache-2.0
#include "services/worker/process_walk.h"

#include <dirent.h>
#include <fmt/format.h>
#include <sys/syscall.h>

#include <algorithm>
#include <charconv>
#include <memory>

#include "base/text.h"
#include "services/worker/posix.h"

namespace millrace::worker {
namespace {

template <typename Int>
Int number(std::string_view text) {
  Int value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// `roots` and those of `rest` that descend from them.
std::vector<Process> with_descendants(std::vector<Process> roots, std::vector<Process> rest) {
  for (size_t i = 0; i < roots.size(); ++i) {
    auto is_child = [parent = roots[i].pid](const Process& p) { return p.parent == parent; };
    std::copy_if(rest.begin(), rest.end(), std::back_inserter(roots), is_child);
    std::erase_if(rest, is_child);
  }
  return roots;
}

bool carries_marker(pid_t pid, std::string_view marker) {
  std::string wanted = fmt::format("{}={}", kMarkerName, marker);
  std::string environment = read_small_file(fmt::format("/proc/{}/environ", pid));
  auto entries = split(environment, '\0');
  return std::any_of(entries.begin(), entries.end(),
                     [&](std::string_view entry) { return entry.starts_with(wanted); });
}

}  // namespace

Process read_process(pid_t pid) {
  std::string text = read_small_file(fmt::format("/proc/{}/stat", pid));
  // pid (name) state ppid pgrp session ...; the name may hold anything, so count from its end.
  size_t name_end = text.rfind(") ");
  if (name_end == std::string::npos) return {};
  auto fields = split(std::string_view(text).substr(name_end + 2), ' ');
  constexpr size_t kThreads = 17, kStartTime = 19, kResidentPages = 21;
  if (fields.size() <= kResidentPages || fields[0] == "Z" || fields[0] == "X") return {};
  return {pid,
          number<pid_t>(fields[1]),
          number<pid_t>(fields[2]),
          number<uint64_t>(fields[kStartTime]),
          number<int64_t>(fields[kThreads]),
          number<int64_t>(fields[kResidentPages]) * sysconf(_SC_PAGESIZE)};
}

std::vector<Process> all_processes() {
  std::vector<Process> all;
  struct CloseDir {
    void operator()(DIR* dir) const { closedir(dir); }
  };
  std::unique_ptr<DIR, CloseDir> proc(opendir("/proc"));
  while (dirent* entry = proc ? readdir(proc.get()) : nullptr) {
    auto pid = number<pid_t>(entry->d_name);
    if (pid <= 0 || pid == getpid()) continue;
    Process process = read_process(pid);
    if (process.pid > 0) all.push_back(process);
  }
  return all;
}

std::vector<Process> descendants() {
  std::vector<Process> among = all_processes();
  auto is_child = [](const Process& p) { return p.parent == getpid(); };
  std::vector<Process> roots;
  std::copy_if(among.begin(), among.end(), std::back_inserter(roots), is_child);
  std::erase_if(among, is_child);
  return with_descendants(std::move(roots), std::move(among));
}

std::vector<Process> find_tree(std::vector<Process> among, pid_t group, std::string_view marker) {
  auto others = std::partition(among.begin(), among.end(), [&](const Process& p) {
    return (group > 0 && p.group == group) || carries_marker(p.pid, marker);
  });
  std::vector<Process> roots(among.begin(), others);
  among.erase(among.begin(), others);
  return with_descendants(std::move(roots), std::move(among));
}

std::vector<pid_t> own_children() {
  std::vector<pid_t> children;
  std::string path = fmt::format("/proc/self/task/{}/children", getpid());
  if (access(path.c_str(), R_OK) != 0) {  // a kernel without CONFIG_PROC_CHILDREN
    for (const Process& process : all_processes()) {
      if (process.parent == getpid()) children.push_back(process.pid);
    }
    return children;
  }
  std::string text = read_small_file(path);
  for (std::string_view field : split(text, ' ')) {
    if (auto pid = number<pid_t>(field); pid > 0) children.push_back(pid);
  }
  return children;
}

void signal_process(const Process& process, int signal) {
  Fd pidfd(static_cast<int>(syscall(SYS_pidfd_open, process.pid, 0)));
  if (!pidfd || read_process(process.pid).start_ticks != process.start_ticks) return;
  syscall(SYS_pidfd_send_signal, pidfd.get(), signal, nullptr, 0);
}

}  // namespace millrace::worker
