// SPDX-License-Identifier: Apache-2.0
#include "services/worker/spawner_loop.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <span>

#include "services/worker/epoll_tag.h"

namespace millrace::worker {
namespace {

constexpr int kRetryMs = 1000;  // until results that could not be written are tried again

int64_t boot_ns() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace

SpawnerLoop::SpawnerLoop(SpawnerParts parts)
    : parts_(std::move(parts)),
      slots_(parts_.options.data_dir + "/run", *parts_.blobs, parts_.cgroup_home),
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
  watch(epoll_.get(), parts_.listener.get(), EPOLLIN, {EpollTag::Listener});
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
      if (EpollTag::of(event).kind == EpollTag::Signals) on_signals();
    }
    for (const auto& event : ready) {
      EpollTag tag = EpollTag::of(event);
      switch (tag.kind) {
        case EpollTag::Signals: break;
        case EpollTag::Listener: accept_server(); break;
        case EpollTag::Connection: on_readable(); break;
        case EpollTag::Stdout: on_output(tag.slot, kernel::Stream::Stdout); break;
        case EpollTag::Stderr: on_output(tag.slot, kernel::Stream::Stderr); break;
      }
    }
    pass_deadlines();
  }
}

// True when the spawner may leave: nothing runs, no server is there or expected, and every
// result is on disk.
bool SpawnerLoop::finished() {
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

int SpawnerLoop::wait_ms() const {
  int64_t next = deadlines_.empty() ? 0 : deadlines_.begin()->first;
  if (lonely_since_ms_ > 0) next = lonely_since_ms_ + parts_.options.linger_ms;
  if (next == 0) return stopping_ || server_left_ ? kRetryMs : -1;
  return static_cast<int>(std::clamp<int64_t>(next - monotonic_ms(), 0, 1'000'000));
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
  if (stopping_) {
    for (auto& [key, run] : runs_) end(*run, kernel::RunEnd::Lost);
  }
  reap();
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
    Run& run = *at->second;
    by_pid_.erase(at);
    run.status = info.si_code == CLD_EXITED ? W_EXITCODE(info.si_status, 0) : info.si_status & 0x7f;
    settle(run);
  }
  if (!orphans) return;
  // Those may have been the last of a tree that is being killed.
  std::vector<Run*> killing;
  for (auto& [key, run] : runs_) {
    if (run->state == Run::State::Killing && run->status) killing.push_back(run.get());
  }
  for (Run* run : killing) settle(*run);
}

void SpawnerLoop::on_output(int slot_index, kernel::Stream stream) {
  auto slot = static_cast<size_t>(slot_index);
  Run* run = slot < by_slot_.size() ? by_slot_[slot] : nullptr;
  if (run) read_output(*run, static_cast<int>(stream), true);
}

void SpawnerLoop::pass_deadlines() {
  if (deadlines_.empty()) return;
  int64_t now = monotonic_ms();
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    pass_deadline(*deadlines_.begin()->second, now);
  }
}

}  // namespace millrace::worker
