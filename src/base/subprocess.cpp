// SPDX-License-Identifier: Apache-2.0
#include "base/subprocess.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <system_error>

#include "base/files.h"
#include "base/text.h"

namespace millrace {
namespace {

Error command_failed(const Command& command, ErrorKind kind, std::string_view why) {
  return Error(kind, "BAS-0014", fmt::format("cannot run '{}': {}", command.argv[0], why));
}

std::string text_of(int error) { return std::generic_category().message(error); }

int64_t ms_until(std::chrono::steady_clock::time_point then) {
  auto left = then - std::chrono::steady_clock::now();
  return std::chrono::ceil<std::chrono::milliseconds>(left).count();
}

std::vector<char*> c_strings(const std::vector<std::string>& texts) {
  std::vector<char*> out;
  out.reserve(texts.size() + 1);
  for (const auto& text : texts) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

// posix_spawnp would look in the caller's PATH.
std::string program_of(const Command& command) {
  const std::string& name = command.argv[0];
  if (name.find('/') != std::string::npos) return name;
  for (std::string_view entry : command.env) {
    if (!entry.starts_with("PATH=")) continue;
    for (auto folder : split(entry.substr(5), ':')) {
      auto path = fmt::format("{}/{}", folder, name);
      if (::access(path.c_str(), X_OK) == 0) return path;
    }
  }
  return {};
}

struct SpawnWords {
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  SpawnWords() {
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
  }
  ~SpawnWords() {
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
  }
  SpawnWords(const SpawnWords&) = delete;
  SpawnWords& operator=(const SpawnWords&) = delete;
};

// Its pid, or a negative errno.
int start_command(const Command& command, const std::string& program, int output) {
  SpawnWords words;
  posix_spawn_file_actions_addopen(&words.files, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&words.files, output, 1);
  posix_spawn_file_actions_adddup2(&words.files, output, 2);
  posix_spawn_file_actions_addclosefrom_np(&words.files, 3);
  if (!command.cwd.empty()) {
    posix_spawn_file_actions_addchdir_np(&words.files, command.cwd.c_str());
  }
  sigset_t all, none;
  sigfillset(&all);
  sigemptyset(&none);
  posix_spawnattr_setsigdefault(&words.attributes, &all);
  posix_spawnattr_setsigmask(&words.attributes, &none);
  posix_spawnattr_setpgroup(&words.attributes, 0);
  posix_spawnattr_setflags(&words.attributes,
                           POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  auto argv = c_strings(command.argv), envp = c_strings(command.env);
  pid_t pid = 0;
  int error =
      posix_spawn(&pid, program.c_str(), &words.files, &words.attributes, argv.data(), envp.data());
  return error == 0 ? pid : -error;
}

constexpr int kMostLastReads = 32;

// False: nothing is there now.
bool read_some(int fd, std::string& tail) {
  char buffer[4096];
  ssize_t n = ::read(fd, buffer, sizeof buffer);
  if (n <= 0) return false;
  tail.append(buffer, static_cast<size_t>(n));
  if (tail.size() > 2 * kCommandTail) tail.erase(0, tail.size() - kCommandTail);
  return true;
}

}  // namespace

Result<CommandEnd> run_command(const Command& command) {
  ASSERT(!command.argv.empty());
  std::string program = program_of(command);
  if (program.empty()) {
    return command_failed(command, ErrorKind::NotFound, "no such program in PATH");
  }
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
    return command_failed(command, ErrorKind::Unavailable, text_of(errno));
  }
  Fd output(ends[0]), write_end(ends[1]);
  ::fcntl(ends[1], F_SETFL, 0);  // the child's writes wait
  int pid = start_command(command, program, write_end.get());
  if (pid < 0) return command_failed(command, ErrorKind::Unavailable, text_of(-pid));
  write_end.reset();
  if (command.most_file_bytes > 0) {
    rlimit most{static_cast<rlim_t>(command.most_file_bytes),
                static_cast<rlim_t>(command.most_file_bytes)};
    ::prlimit(pid, RLIMIT_FSIZE, &most, nullptr);
  }
  Fd exited(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  int fault = exited ? 0 : errno;  // no descriptor is left
  CommandEnd end;
  auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(command.within_ms);
  std::string given_up;
  bool is_open = true;
  for (bool has_exited = false; !has_exited;) {
    int64_t left = ms_until(deadline);
    if (fault != 0) given_up = text_of(fault);
    if (left <= 0) given_up = fmt::format("it was not done after {} s", command.within_ms / 1000);
    if (command.stop && *command.stop) given_up = "it was stopped";
    if (!given_up.empty()) {
      ::kill(-pid, SIGKILL);
      break;
    }
    pollfd waits[] = {{exited.get(), POLLIN, 0}, {is_open ? output.get() : -1, POLLIN, 0}};
    ::poll(waits, 2, static_cast<int>(std::min<int64_t>(left, command.stop ? 200 : 60'000)));
    has_exited = waits[0].revents != 0;
    if (waits[1].revents != 0) is_open = read_some(output.get(), end.tail);
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  // No more than a pipe holds: what it has left running may write for ever.
  for (int i = 0; i < kMostLastReads && read_some(output.get(), end.tail); ++i) {
  }
  if (end.tail.size() > kCommandTail) end.tail.erase(0, end.tail.size() - kCommandTail);
  if (!given_up.empty()) {
    return command_failed(command, ErrorKind::Unavailable,
                          fmt::format("{}; its last words: {}", given_up, trim(end.tail)));
  }
  end.exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return end;
}

}  // namespace millrace
