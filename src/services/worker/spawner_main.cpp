// SPDX-License-Identifier: Apache-2.0
//
// The new process's side of how a spawner comes to be.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <string_view>

#include "base/process_guard.h"
#include "base/stderr.h"
#include "base/text.h"
#include "services/worker/boundary.h"
#include "services/worker/cgroup.h"
#include "services/worker/process_notes.h"
#include "services/worker/process_walk.h"
#include "services/worker/run_folder.h"
#include "services/worker/spawner.h"
#include "services/worker/spawner_door.h"
#include "services/worker/spawner_loop.h"

namespace millrace::worker {
namespace {

constexpr int64_t kPatienceMs = 10'000;

// The data folder by device and inode: holds for all its names, and fits a cgroup's name.
Result<std::string> folder_identity(const std::string& data_dir) {
  struct stat info{};
  if (stat(data_dir.c_str(), &info) != 0) {
    return system_error(fmt::format("cannot open folder '{}'", data_dir));
  }
  return fmt::format("{:x}-{:x}", info.st_dev, info.st_ino);
}

// Kills by /proc what carries the marker, until nothing does. False when something stays.
bool kill_marked(const std::string& marker, const std::string& notes) {
  int64_t deadline = monotonic_ms() + kPatienceMs;
  for (int pause_ms = 2;; pause_ms = std::min(pause_ms * 2, 200)) {
    auto alive = find_tree(all_processes(), 0, marker);
    for (const Process& noted : ProcessNotes::read(notes)) {
      alive.push_back(noted);
      auto tree = find_tree(all_processes(), noted.pid, marker);
      alive.insert(alive.end(), tree.begin(), tree.end());
    }
    if (alive.empty()) return true;
    if (monotonic_ms() > deadline) return false;
    for (const Process& process : alive) signal_process(process, SIGKILL);
    poll(nullptr, 0, pause_ms);
  }
}

// Before a new spawner speaks to a server, nothing of its predecessor may be alive: the server
// takes what the new one does not know for lost, and may run it again.
void kill_predecessors_runs(const std::string& run_folder, const std::string& marker) {
  std::string state = read_small_file(run_folder + "/spawner.state");
  auto lines = split(state, '\n');
  if (lines.size() < 2 || lines[0] != boot_id()) return;
  std::string home(lines[1]);
  bool dead = home.empty() ? kill_marked(marker, run_folder + "/processes")
                           : kill_cgroup_home(home, kPatienceMs);
  if (lines.size() > 2) remove_task_home(std::string(lines[2]));
  if (!dead) put_stderr("spawner: runs of an earlier spawner are alive after SIGKILL\n");
}

// Also for the two signals that libc keeps for itself and does not let sigaction touch.
void reset_signals() {
  constexpr int kLastSignal = 64;
  const uint64_t default_action[4] = {};  // the kernel's struct sigaction, SIG_DFL
  for (int signal = 1; signal <= kLastSignal; ++signal) {
    syscall(SYS_rt_sigaction, signal, default_action, nullptr, sizeof(uint64_t));
  }
}

// Nothing of the surroundings that the server was started in may reach a run. Returns the limit
// of open files that runs get.
rlimit settle_process() {
  guard_process();
  reset_signals();
  umask(022);
  if (chdir("/") != 0) put_stderr("spawner: cannot enter '/'\n");
  close_range(kFirstConnectionFd + 1, ~0U, 0);
  fcntl(kFirstConnectionFd, F_SETFD, FD_CLOEXEC);
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  prctl(PR_SET_NAME, "millrace-spawn", 0, 0, 0);
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  rlimit for_children = files;
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  return for_children;
}

Result<Fd> listen_at(int run_fd) {
  unlinkat(run_fd, "spawner.sock", 0);
  Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address = socket_address(run_fd);
  if (!fd || bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      listen(fd.get(), 8) != 0) {
    return system_error("cannot listen at 'spawner.sock' in the run folder");
  }
  return fd;
}

std::string find_cgroup_home(const SpawnerOptions& options, const std::string& identity) {
  if (!options.use_cgroups) return {};
  auto home = make_cgroup_home(fmt::format("millrace-{}-{}", identity, getpid()));
  if (home.ok()) return std::move(*home);
  put_stderr("spawner: process trees are tracked without cgroups: {}\n", home.error().message());
  return {};
}

// Where v2 counts tasks itself, slots make no use of it.
std::string find_task_home(const SpawnerOptions& options, const std::string& identity) {
  if (!options.use_cgroups) return {};
  return make_task_home(fmt::format("millrace-{}-{}", identity, getpid()));
}

Result<void> serve(const SpawnerOptions& options, const OpenBlobs& open_blobs) {
  rlimit open_files = settle_process();
  // The server has raised its own limit, and its spawner's with it: not that of runs.
  if (options.run_files > 0) open_files.rlim_cur = static_cast<rlim_t>(options.run_files);
  std::string run_folder = options.data_dir + "/run";
  TRY(Fd run, open_run_folder(options.data_dir));
  Fd lock(openat(run.get(), "spawner.lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock || flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    return system_error("another spawner holds 'spawner.lock' in the run folder");
  }
  TRY(std::string identity, folder_identity(options.data_dir));
  kill_predecessors_runs(run_folder, identity + ":");
  std::string home = find_cgroup_home(options, identity);
  ProcessNotes notes;
  if (home.empty()) {
    TRY(notes, ProcessNotes::create(run_folder + "/processes"));
  }
  std::string tasks = find_task_home(options, identity);
  TRY(replace_file(run_folder + "/spawner.state",
                   fmt::format("{}\n{}\n{}\n", boot_id(), home, tasks)));

  TRY(auto blobs, open_blobs(options.data_dir));
  TRY(auto results, ResultShelf::open(run_folder + "/results"));
  TRY(std::string secret, make_secret(run_folder));
  TRY(Fd listener, listen_at(run.get()));
  TRY(auto loop,
      SpawnerLoop::create({options, identity + ":", home, tasks, open_files, run.get(),
                           SpawnerDoor(std::move(listener), secret), Fd(kFirstConnectionFd),
                           std::move(blobs), std::move(results), std::move(notes)}));
  loop->run();
  // The lock is held until the end: a successor waits for it.
  unlinkat(run.get(), "spawner.sock", 0);
  loop.reset();
  if (!home.empty()) kill_cgroup_home(home, kPatienceMs);
  remove_task_home(tasks);
  return {};
}

}  // namespace

bool is_spawner_invocation(int argc, char** argv) {
  return argc > 0 && std::string_view(argv[0]) == kSpawnerName;
}

int spawner_main(int argc, char** argv, const OpenBlobs& open_blobs) {
  if (argc != 5) {
    put_stderr("{} is started by the server, not by hand\n", kSpawnerName);
    return 2;
  }
  // The server waits for this process, and must not become the spawner's parent.
  pid_t pid = fork();
  if (pid != 0) _exit(pid > 0 ? 0 : 1);
  SpawnerOptions options;
  options.data_dir = argv[1];
  std::string_view linger = argv[2];
  std::from_chars(linger.data(), linger.data() + linger.size(), options.linger_ms);
  options.use_cgroups = std::string_view(argv[3]) == "cgroups";
  std::string_view files = argv[4];
  std::from_chars(files.data(), files.data() + files.size(), options.run_files);
  Result<void> served;
  auto thrown = thrown_by([&] { served = serve(options, open_blobs); });
  if (!thrown && served.ok()) return 0;
  put_stderr("spawner: {}\n", thrown ? *thrown : served.error().describe());
  return 1;
}

}  // namespace millrace::worker
