// SPDX-License-Identifier: Apache-2.0
//
// What a run may use as a whole: processes and memory. The kernel counts them for a cgroup where it
// lets us, and cannot elsewhere: RLIMIT_NPROC is of a user with all that he runs, and root has
// none; RLIMIT_DATA is of one process. So while a run with such limits lives, the spawner counts.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <numeric>
#include <unordered_map>

#include "base/text.h"
#include "services/worker/process_walk.h"
#include "services/worker/spawner_loop.h"

namespace millrace::worker {
namespace {

template <typename Member>
int64_t sum(const std::vector<Process>& tree, Member member) {
  return std::accumulate(tree.begin(), tree.end(), int64_t{0},
                         [&](int64_t so_far, const Process& p) { return so_far + p.*member; });
}

// What the process has of memory, shared pages by its share; costly to find out.
int64_t proportional_bytes(const Process& process) {
  constexpr std::string_view kName = "Pss:";
  std::string text = read_small_file(fmt::format("/proc/{}/smaps_rollup", process.pid));
  for (std::string_view line : split(text, '\n')) {
    if (!line.starts_with(kName)) continue;
    std::string_view number = trim(line.substr(kName.size()));
    int64_t kib = 0;
    std::from_chars(number.data(), number.data() + number.size(), kib);
    return kib * 1024;
  }
  return 0;
}

int64_t memory_of(const std::vector<Process>& tree) {
  return std::accumulate(tree.begin(), tree.end(), int64_t{0}, [](int64_t so_far, const auto& p) {
    return so_far + proportional_bytes(p);
  });
}

}  // namespace

// The processes of each: in its cgroup; elsewhere by parent, and by group where the parent is gone.
std::vector<std::vector<Process>> SpawnerLoop::trees(const std::vector<Run*>& runs) const {
  std::vector<std::vector<Process>> found(runs.size());
  std::unordered_map<pid_t, size_t> owner;
  for (size_t i = 0; i < runs.size(); ++i) {
    if (runs[i]->slot->cgroup) {
      for (pid_t pid : runs[i]->slot->cgroup->processes()) {
        Process process = read_process(pid);
        if (process.pid > 0) found[i].push_back(process);
      }
    } else {
      owner.emplace(runs[i]->pid, i);
    }
  }
  if (owner.empty()) return found;
  auto among = descendants();  // parents before their children
  for (const Process& process : among) {
    for (pid_t by : {process.pid, process.parent, process.group}) {
      auto at = owner.find(by);
      if (at == owner.end()) continue;
      size_t run = at->second;
      owner.emplace(process.pid, run);
      found[run].push_back(process);
      break;
    }
  }
  return found;
}

void SpawnerLoop::look_at_limits() {
  int64_t now = monotonic_ms();
  if (next_look_ms_ == 0 || now < next_look_ms_) return;
  std::vector<Run*> due;
  for (auto& [key, run] : runs_) {
    if (run->look_ms > 0 && run->look_ms <= now) due.push_back(run.get());
  }
  auto all = due.empty() ? std::vector<std::vector<Process>>() : trees(due);
  for (size_t i = 0; i < due.size(); ++i) {
    due[i]->look_ms = 0;
    if (due[i]->state != Run::State::Killing) look_at(*due[i], all[i], now);
  }
  next_look_ms_ = 0;
  for (auto& [key, run] : runs_) {
    if (run->look_ms > 0) look_again(*run, run->look_ms - run->look_every_ms, run->look_every_ms);
  }
}

void SpawnerLoop::look_again(Run& run, int64_t now, int64_t every_ms) {
  run.look_every_ms = every_ms;
  run.look_ms = now + every_ms;
  if (next_look_ms_ == 0 || run.look_ms < next_look_ms_) next_look_ms_ = run.look_ms;
}

void SpawnerLoop::look_at(Run& run, const std::vector<Process>& tree, int64_t now) {
  constexpr int64_t kFast = 8;  // of its limit: what forks on and on is soon beyond
  const RunLimits& limits = run.launch.limits;
  int64_t tasks = sum(tree, &Process::threads);
  if (limits.processes > 0 && tasks > limits.processes) {
    return end_for(run, fmt::format("ended: {} processes and threads, and {} are allowed "
                                    "(worker.limits.processes)",
                                    tasks, limits.processes));
  }
  bool grows = limits.processes > 0 && tasks > limits.processes / kFast && tasks > 1;
  int64_t every_ms = std::min(run.look_every_ms * 2, kLongestLookMs);
  look_again(run, now, grows ? std::min(every_ms, 4 * kFirstLookMs) : every_ms);
  if (limits.memory_bytes == 0) return;
  if (sum(tree, &Process::resident_bytes) <= limits.memory_bytes) return;
  int64_t bytes = memory_of(tree);
  if (bytes <= limits.memory_bytes) return;
  end_for(run, fmt::format("ended: {} bytes of memory, and {} are allowed "
                           "(worker.limits.memory_bytes)",
                           bytes, limits.memory_bytes));
}

// What the kernel says of a run that did not end well by itself; empty: nothing.
std::string SpawnerLoop::limit_at_end(const Run& run, const kernel::Completion& completion) {
  const RunLimits& limits = run.launch.limits;
  const Slot& slot = *run.slot;
  bool failed = completion.end == kernel::RunEnd::Signaled ||
                (completion.end == kernel::RunEnd::Exited && completion.exit_code != 0);
  if (!failed) return {};
  if (slot.cgroup && limits.memory_bytes > 0 && slot.cgroup->out_of_memory() > 0) {
    return fmt::format(
        "the kernel killed it: it took more memory than {} bytes "
        "(worker.limits.memory_bytes)",
        limits.memory_bytes);
  }
  int64_t refused = slot.tasks ? slot.tasks->refused() : slot.cgroup ? slot.cgroup->refused() : 0;
  if (limits.processes == 0 || refused == 0) return {};
  return fmt::format("it was refused {} processes or threads above {} (worker.limits.processes)",
                     refused, limits.processes);
}

// At once: what takes too much does not heed a SIGTERM in time.
void SpawnerLoop::end_for(Run& run, std::string why) {
  if (!run.ended_by) run.ended_by = kernel::RunEnd::Signaled;
  run.why = std::move(why);
  kill_tree(run);
}

}  // namespace millrace::worker
