// SPDX-License-Identifier: Apache-2.0
//
// The server's side of how a spawner comes to be. Its own side is spawner_main.cpp.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>

#include "services/worker/control.h"
#include "services/worker/run_folder.h"
#include "services/worker/spawner.h"
#include "services/worker/spawner_door.h"

namespace millrace::worker {
namespace {

constexpr int64_t kStartMs = 30'000;  // a dead spawner's runs may have to be killed first
constexpr off_t kLargestLog = 1 << 20;

Fd connect_running(int run_fd) {
  // A spawner that hangs, with a full queue, must not hold up its caller.
  Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address = socket_address(run_fd);
  if (!fd || connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      fcntl(fd.get(), F_SETFL, 0) != 0) {
    return {};
  }
  // After the connection: who listens has written its secret before. One of an older version has
  // none, and tells its version at once.
  std::string secret = read_secret(run_fd);
  if (secret.empty()) return fd;
  std::string proof;
  encode(proof, Proof{std::move(secret)});
  if (send(fd.get(), proof.data(), proof.size(), MSG_NOSIGNAL) != std::ssize(proof)) return {};
  return fd;
}

Fd open_log(int run_fd) {
  constexpr int kFlags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW;
  Fd log(openat(run_fd, "spawner.log", kFlags, 0600));
  struct stat info{};
  if (log && fstat(log.get(), &info) == 0 && info.st_size > kLargestLog &&
      ftruncate(log.get(), 0) != 0) {
    return {};
  }
  return log;
}

// Owns the two halves of posix_spawn's instructions.
struct SpawnPlan {
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  SpawnPlan() {
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
  }
  ~SpawnPlan() {
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
  }
  SpawnPlan(const SpawnPlan&) = delete;
  SpawnPlan& operator=(const SpawnPlan&) = delete;
};

// Executes this binary again, by the kernel's link, which holds also when the file was replaced.
Result<void> execute_spawner(const SpawnerOptions& options, int log_fd, int connection_fd) {
  SpawnPlan plan;
  posix_spawn_file_actions_addopen(&plan.files, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&plan.files, log_fd, 1);
  posix_spawn_file_actions_adddup2(&plan.files, log_fd, 2);
  posix_spawn_file_actions_adddup2(&plan.files, connection_fd, kFirstConnectionFd);
  posix_spawn_file_actions_addclosefrom_np(&plan.files, kFirstConnectionFd + 1);
  sigset_t all, none;
  sigfillset(&all);
  sigemptyset(&none);
  posix_spawnattr_setsigdefault(&plan.attributes, &all);
  posix_spawnattr_setsigmask(&plan.attributes, &none);
  posix_spawnattr_setflags(&plan.attributes,
                           POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);

  std::string name = kSpawnerName;
  std::string data_dir = options.data_dir;
  std::string linger = std::to_string(options.linger_ms);
  std::string cgroups = options.use_cgroups ? "cgroups" : "no-cgroups";
  std::string files = std::to_string(options.run_files);
  char* argv[] = {name.data(),    data_dir.data(), linger.data(),
                  cgroups.data(), files.data(),    nullptr};
  char* envp[] = {nullptr};
  pid_t pid = 0;
  int error = posix_spawn(&pid, "/proc/self/exe", &plan.files, &plan.attributes, argv, envp);
  if (error != 0) {
    errno = error;
    return system_error("cannot start the spawner");
  }
  // The process that was started forks the spawner proper and exits at once.
  while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  return {};
}

// How long a caller waits: until a time, and as long as it wants.
struct Patience {
  int64_t deadline_ms;  // monotonic
  const std::function<bool()>& go_on;
  int64_t left_ms() const { return go_on() ? deadline_ms - monotonic_ms() : 0; }
};

// Waits for the Hello; leaves it to be read. False when the spawner went away instead.
bool has_spoken(int fd, const Patience& patience) {
  constexpr int64_t kBetweenLooksMs = 50;
  pollfd wait{fd, POLLIN, 0};
  for (int64_t left; (left = patience.left_ms()) > 0;) {
    int ready = poll(&wait, 1, static_cast<int>(std::min(left, kBetweenLooksMs)));
    if (ready == 0 || (ready < 0 && errno == EINTR)) continue;
    char byte;
    return ready > 0 && recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
  }
  return false;
}

Result<Fd> start_new(const SpawnerOptions& options, int run_fd, const Patience& patience) {
  Fd log = open_log(run_fd);
  if (!log) return system_error("cannot open spawner.log in the run folder");
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return system_error("cannot make a socket pair for the spawner");
  }
  Fd ours(ends[0]), theirs(ends[1]);
  // dup2 onto itself would leave close-on-exec set.
  if (theirs.get() == kFirstConnectionFd) {
    theirs = Fd(fcntl(ends[1], F_DUPFD_CLOEXEC, kFirstConnectionFd + 1));
  }
  TRY(execute_spawner(options, log.get(), theirs.get()));
  theirs.reset();
  if (has_spoken(ours.get(), patience)) return ours;
  return Error(ErrorKind::Unavailable, "WRK-0007",
               fmt::format("no spawner took the connection; '{}/run/spawner.log' says why",
                           options.data_dir));
}

}  // namespace

Result<Fd> connect_spawner(const SpawnerOptions& options, const std::function<bool()>& go_on) {
  ASSERT_MSG(options.data_dir.starts_with('/'), "the data folder must be an absolute path");
  TRY(Fd run, open_run_folder(options.data_dir));
  constexpr int kTries = 5;
  constexpr int kPauseMs = 20;
  Patience patience{monotonic_ms() + kStartMs, go_on};
  for (int i = 1;; ++i) {
    // One that is just leaving may still have taken the connection.
    if (Fd running = connect_running(run.get()); running && has_spoken(running.get(), patience)) {
      return running;
    }
    // Whoever is about to stop starts nothing that would outlive it with nobody to talk to.
    if (patience.left_ms() <= 0) {
      return Error(
          ErrorKind::Unavailable, "WRK-0007",
          fmt::format("the spawner that runs below '{}/run' does not answer", options.data_dir));
    }
    auto started = start_new(options, run.get(), patience);
    if (started.ok() || i == kTries || patience.left_ms() <= 0) return started;
    // The lock is held by one that is leaving, or that another server starts.
    poll(nullptr, 0, kPauseMs * i);
  }
}

}  // namespace millrace::worker
