// SPDX-License-Identifier: Apache-2.0
//
// The server's side: how a warden comes to be.
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "services/sensor/warden.h"
#include "services/sensor/warden_names.h"

namespace millrace::sensor {
namespace {

Error not_started(int error) {
  return Error(ErrorKind::Unavailable, "SEN-0002",
               fmt::format("cannot start a process: {}", std::generic_category().message(error)));
}

struct Ends {
  Fd ours, theirs;
};

// Theirs is above the numbers that it becomes in the child.
Result<Fd> moved_up(int fd) {
  constexpr int kAbove = 16;
  Fd low(fd);
  Fd high(::fcntl(fd, F_DUPFD_CLOEXEC, kAbove));
  if (!high) return not_started(errno);
  return high;
}

Result<Ends> pipe_ends(bool we_read) {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return not_started(errno);
  Ends ends;
  ends.ours = Fd(fds[we_read ? 0 : 1]);
  TRY(ends.theirs, moved_up(fds[we_read ? 1 : 0]));
  ::fcntl(ends.ours.get(), F_SETFL, O_NONBLOCK);
  return ends;
}

Result<Ends> socket_ends() {
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) return not_started(errno);
  Ends ends;
  ends.ours = Fd(fds[0]);
  TRY(ends.theirs, moved_up(fds[1]));
  ::fcntl(ends.ours.get(), F_SETFL, O_NONBLOCK);
  return ends;
}

struct WardenPlan {
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  WardenPlan() {
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
  }
  ~WardenPlan() {
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
  }
  WardenPlan(const WardenPlan&) = delete;
  WardenPlan& operator=(const WardenPlan&) = delete;
};

std::vector<char*> words(std::vector<std::string>& texts) {
  std::vector<char*> out;
  out.reserve(texts.size() + 1);
  for (auto& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

}  // namespace

Result<Process> start_process(const Launch& launch) {
  TRY(Ends input, pipe_ends(false));
  TRY(Ends output, pipe_ends(true));
  TRY(Ends errors, pipe_ends(true));
  TRY(Ends lines, pipe_ends(true));
  TRY(Ends lifeline, socket_ends());
  WardenPlan plan;
  const int theirs[] = {input.theirs.get(), output.theirs.get(), errors.theirs.get(),
                        lines.theirs.get(), lifeline.theirs.get()};
  for (int i = 0; i <= kLifelineFd; ++i) {
    posix_spawn_file_actions_adddup2(&plan.files, theirs[i], i);
  }
  posix_spawn_file_actions_addclosefrom_np(&plan.files, kLifelineFd + 1);
  sigset_t all, none;
  sigfillset(&all);
  sigemptyset(&none);
  posix_spawnattr_setsigdefault(&plan.attributes, &all);
  posix_spawnattr_setsigmask(&plan.attributes, &none);
  posix_spawnattr_setpgroup(&plan.attributes, 0);
  posix_spawnattr_setflags(&plan.attributes,
                           POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  std::string limits;
  for (const Limit& one : launch.limits) {
    limits +=
        fmt::format("{}{}:{}:{}", limits.empty() ? "" : ",", one.resource, one.soft, one.hard);
  }
  std::vector<std::string> argv{std::string(kWardenName), launch.cwd, std::move(limits)};
  argv.insert(argv.end(), launch.argv.begin(), launch.argv.end());
  auto env = launch.env;
  Process process;
  int error = ::posix_spawn(&process.warden, "/proc/self/exe", &plan.files, &plan.attributes,
                            words(argv).data(), words(env).data());
  if (error != 0) return not_started(error);
  process.input = std::move(input.ours);
  process.output = std::move(output.ours);
  process.errors = std::move(errors.ours);
  process.lines = std::move(lines.ours);
  process.lifeline = std::move(lifeline.ours);
  return process;
}

void reap(Process& process) {
  while (::waitpid(process.warden, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace millrace::sensor
