// SPDX-License-Identifier: Apache-2.0
#include "services/worker/spawner_loop.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <span>

#include "base/stderr.h"
#include "services/worker/boundary.h"

namespace millrace::worker {
namespace {

constexpr int kRetryMs = 1000;  // until results that could not be written are tried again
constexpr int kLookMs = 5000;   // without a server: is the run folder still there

int64_t boot_ns() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace

SpawnerLoop::SpawnerLoop(SpawnerParts parts)
    : parts_(std::move(parts)),
      slots_(parts_.options.data_dir + "/run", *parts_.blobs, parts_.cgroup_home, parts_.task_home),
      read_buffer_(64 << 10) {
  identity_.boot_id = boot_id();
  identity_.pid = getpid();
  identity_.started_ns = boot_ns();
}

Result<std::unique_ptr<SpawnerLoop>> SpawnerLoop::create(SpawnerParts parts) {
  std::unique_ptr<SpawnerLoop> loop(new SpawnerLoop(std::move(parts)));
  TRY(loop->set_up());
  return loop;
}

Result<void> SpawnerLoop::set_up() {
  sigset_t handled;
  sigemptyset(&handled);
  for (int signal : {SIGCHLD, SIGTERM, SIGINT, SIGHUP}) sigaddset(&handled, signal);
  sigprocmask(SIG_SETMASK, &handled, nullptr);
  signals_ = Fd(signalfd(-1, &handled, SFD_CLOEXEC | SFD_NONBLOCK));
  epoll_ = Fd(epoll_create1(EPOLL_CLOEXEC));
  if (!signals_ || !epoll_) return system_error("spawner: cannot make its event loop");
  watch(epoll_.get(), signals_.get(), EPOLLIN, {EpollTag::Signals});
  parts_.door.watch_with(epoll_.get());
  if (parts_.first_connection) use_connection(std::move(parts_.first_connection));
  return {};
}

void SpawnerLoop::run() {
  epoll_event events[64];
  for (flush(); !finished(); flush()) {
    int n = epoll_wait(epoll_.get(), events, std::size(events), wait_ms());
    std::span<epoll_event> ready(events, static_cast<size_t>(std::max(n, 0)));
    // Exits first: the output of a run that has ended then needs no live chunk.
    for (const auto& event : ready) {
      if (EpollTag::of(event).kind == EpollTag::Signals) handle(EpollTag::of(event));
    }
    for (const auto& event : ready) {
      if (EpollTag::of(event).kind != EpollTag::Signals) handle(EpollTag::of(event));
    }
    pass_deadlines();
    look_at_lease();
    look_at_limits();
    end_idle();
  }
  end_warm();
}

// What it throws costs the one whom the event is about.
void SpawnerLoop::handle(EpollTag tag) {
  auto thrown = thrown_by([&] {
    switch (tag.kind) {
      case EpollTag::Signals: return on_signals();
      case EpollTag::Listener: return parts_.door.open();
      case EpollTag::Guest: return on_guest(tag.slot);
      case EpollTag::Connection: return on_readable();
      case EpollTag::Stdout: return on_output(tag.slot, kernel::Stream::Stdout);
      case EpollTag::Stderr: return on_output(tag.slot, kernel::Stream::Stderr);
      case EpollTag::Result: return on_output(tag.slot, kernel::Stream::Result);
      case EpollTag::Warm: return on_warm(tag.slot);
    }
  });
  if (!thrown) return;
  put_stderr("spawner: an exception: {}\n", *thrown);
  if (tag.kind == EpollTag::Connection) drop_connection();
}

// The run folder is gone or another one: no server can come, and no result can be left for one.
bool SpawnerLoop::is_homeless() const {
  struct stat opened{}, named{};
  std::string path = parts_.options.data_dir + "/run";
  return fstat(parts_.run_fd, &opened) == 0 &&
         (stat(path.c_str(), &named) != 0
              ? errno == ENOENT || errno == ENOTDIR
              : opened.st_ino != named.st_ino || opened.st_dev != named.st_dev);
}

// True when the spawner may leave: nothing runs, no server is there or expected, and every
// result is on disk.
bool SpawnerLoop::finished() {
  if (!connection_ && is_homeless()) {
    if (!stopping_) put_stderr("spawner: its run folder is gone\n");
    stop_runs();
    if (runs_.empty()) return true;
  }
  if (!runs_.empty() || (connection_ && !stopping_)) {
    lonely_since_ms_ = 0;
    return false;
  }
  if (stopping_ || server_left_) return parts_.results.persist();
  int64_t now = monotonic_ms();
  if (lonely_since_ms_ == 0) lonely_since_ms_ = now;
  if (now - lonely_since_ms_ < parts_.options.linger_ms) return false;
  if (parts_.results.persist()) return true;
  lonely_since_ms_ = now + kRetryMs;
  return false;
}

int SpawnerLoop::wait_ms() {
  int64_t now = monotonic_ms();
  int64_t wait = connection_ ? std::numeric_limits<int>::max() : kLookMs;
  auto until = [&](int64_t at) { wait = std::clamp<int64_t>(at - now, 0, wait); };
  if (!deadlines_.empty()) until(deadlines_.begin()->first);
  if (next_look_ms_ > 0 && !runs_.empty()) until(next_look_ms_);
  if (int64_t end = next_idle_end_ms()) until(end);
  bool ends_some = lease_ms_ > 0 && std::ranges::any_of(runs_, [](const auto& run) {
                     return run.second->state != Run::State::Killing;
                   });
  if (ends_some) until(lease_ms_);
  if (int64_t late = parts_.door.close_late(now)) until(late);
  if (lonely_since_ms_ > 0) until(lonely_since_ms_ + parts_.options.linger_ms);
  if (runs_.empty() && (stopping_ || server_left_)) until(now + kRetryMs);
  return wait == std::numeric_limits<int>::max() ? -1 : static_cast<int>(wait);
}

// Nobody has spoken for the runs since: at once, for others may start them soon.
void SpawnerLoop::look_at_lease() {
  if (runs_.empty() || !lease_is_over(monotonic_ms())) return;
  for (auto& [key, run] : runs_) {
    if (run->state == Run::State::Killing) continue;
    put_stderr("spawner: execution {} is ended: its lease is over\n", key.execution.value);
    if (!run->ended_by) run->ended_by = kernel::RunEnd::Lost;
    run->why = "ended: its agent was cut off from the server for too long";
    kill_tree(*run);
  }
}

void SpawnerLoop::stop_runs() {
  stopping_ = true;
  for (auto& [key, run] : runs_) end(*run, kernel::RunEnd::Lost);
}

void SpawnerLoop::on_signals() {
  signalfd_siginfo info[8];
  ssize_t n;
  while ((n = read(signals_.get(), info, sizeof info)) > 0) {
    for (size_t i = 0; i < static_cast<size_t>(n) / sizeof info[0]; ++i) {
      if (info[i].ssi_signo == SIGTERM || info[i].ssi_signo == SIGINT) stopping_ = true;
    }
    if (static_cast<size_t>(n) < sizeof info) break;
  }
  if (stopping_) stop_runs();
  reap();
}

// Does what a run's state asks for. When that throws it is tried again, as for a tree that does not
// die, and given up as that is.
template <typename Step>
void SpawnerLoop::attend(Run& run, Step step) {
  kernel::RunKey key = run.launch.key;
  auto thrown = thrown_by(step);
  if (!thrown) return;
  put_stderr("spawner: an exception about execution {}: {}\n", key.execution.value, *thrown);
  if (!runs_.contains(key)) return;
  int64_t now = monotonic_ms();
  if (run.state != Run::State::Killing) run.give_up_ms = now + kRunGiveUpMs;
  run.state = Run::State::Killing;
  run.retry_ms = kRetryMs;
  set_deadline(run, now + kRetryMs);
}

void SpawnerLoop::reap() {
  bool orphans = false;
  siginfo_t info{};
  while (info.si_pid = 0, waitid(P_ALL, 0, &info, WEXITED | WNOHANG) == 0 && info.si_pid != 0) {
    auto at = by_pid_.find(info.si_pid);
    if (at == by_pid_.end()) {
      orphans = true;
      continue;
    }
    pid_t pid = at->first;
    Run* of_run = at->second;
    by_pid_.erase(at);
    if (!of_run) {
      warm_is_gone(pid);
      continue;
    }
    Run& run = *of_run;
    run.status = info.si_code == CLD_EXITED ? W_EXITCODE(info.si_status, 0) : info.si_status & 0x7f;
    attend(run, [&] { settle(run); });
  }
  if (!orphans) return;
  // Those may have been the last of a tree that is being killed.
  std::vector<Run*> killing;
  for (auto& [key, run] : runs_) {
    if (run->state == Run::State::Killing && run->status) killing.push_back(run.get());
  }
  for (Run* run : killing) attend(*run, [&] { settle(*run); });
}

void SpawnerLoop::on_output(int slot_index, kernel::Stream stream) {
  auto slot = static_cast<size_t>(slot_index);
  Run* run = slot < by_slot_.size() ? by_slot_[slot] : nullptr;
  if (!run) return on_idle_output(slot_index);
  auto thrown = thrown_by([&] { read_output(*run, static_cast<int>(stream), true); });
  if (thrown) fail(run->launch.key, std::move(*thrown));
}

void SpawnerLoop::pass_deadlines() {
  if (deadlines_.empty()) return;
  int64_t now = monotonic_ms();
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    Run& run = *deadlines_.begin()->second;
    attend(run, [&] { pass_deadline(run, now); });
  }
}

}  // namespace millrace::worker
