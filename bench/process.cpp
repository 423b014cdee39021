// SPDX-License-Identifier: Apache-2.0
#include "process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

extern char** environ;

namespace millrace::bench {
namespace {

double seconds_on(clockid_t clock) {
  timespec t{};
  if (clock_gettime(clock, &t) != 0) return 0;
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

// Files of /proc have no size: read to the end.
std::string slurp(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

int64_t number_after(const std::string& text, std::string_view key) {
  auto at = text.find(key);
  return at == std::string::npos ? 0 : std::atoll(text.c_str() + at + key.size());
}

}  // namespace

void give_up(const std::string& message) {
  fmt::print(stderr, "millrace_bench: {}\n", message);
  std::exit(1);
}

Process::Process(const std::vector<std::string>& command, const std::string& log) {
  std::vector<char*> argv;
  for (const auto& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, 1, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  posix_spawn_file_actions_adddup2(&files, 1, 2);
  int code = posix_spawnp(&pid_, argv[0], &files, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  if (code != 0) give_up(fmt::format("cannot start {}: {}", command[0], std::strerror(code)));
}

bool Process::ended() {
  if (pid_ > 0 && waitpid(pid_, nullptr, WNOHANG) == pid_) pid_ = -1;
  return pid_ < 0;
}

void Process::end(int signal) {
  if (pid_ < 0) return;
  kill(pid_, signal);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

double cpu_seconds_of(pid_t pid) {
  clockid_t clock;
  return pid > 0 && clock_getcpuclockid(pid, &clock) == 0 ? seconds_on(clock) : 0;
}
double own_cpu_seconds() { return seconds_on(CLOCK_PROCESS_CPUTIME_ID); }
double wall_seconds() { return seconds_on(CLOCK_MONOTONIC); }

double waited_seconds() {
  // Nanoseconds on a CPU, nanoseconds waiting for one, slices.
  std::istringstream text(slurp("/proc/thread-self/schedstat"));
  double ran = 0;
  double waited = 0;
  text >> ran >> waited;
  return waited * 1e-9;
}

int64_t switches_of(pid_t pid) {
  if (pid <= 0) return 0;
  int64_t count = 0;
  std::error_code ended;
  for (const auto& task :
       std::filesystem::directory_iterator(fmt::format("/proc/{}/task", pid), ended)) {
    count += number_after(slurp(task.path() / "status"), "\nvoluntary_ctxt_switches:");
  }
  return count;
}

Footprint footprint_of(pid_t pid) {
  if (pid <= 0) return {};
  auto status = slurp(fmt::format("/proc/{}/status", pid));
  auto io = slurp(fmt::format("/proc/{}/io", pid));
  if (io.empty()) {
    // Server and spawner guard themselves (base/process_guard.h).
    fmt::print(stderr, "bench: /proc/{}/io is for root only: the bytes written are not known\n",
               pid);
  }
  return {number_after(io, "\nwrite_bytes: "), number_after(status, "VmRSS:") * 1024,
          number_after(status, "VmHWM:") * 1024};
}

pid_t find_process(std::string_view name, std::string_view part) {
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    int pid = std::atoi(entry.path().filename().c_str());
    if (pid <= 0) continue;
    auto line = slurp(entry.path() / "cmdline");
    if (std::string_view(line.c_str()) == name && line.find(part) != std::string::npos) return pid;
  }
  return 0;
}

uint16_t free_port() {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in at{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t length = sizeof at;
  bind(fd, reinterpret_cast<sockaddr*>(&at), length);
  getsockname(fd, reinterpret_cast<sockaddr*>(&at), &length);
  close(fd);
  return ntohs(at.sin_port);
}

}  // namespace millrace::bench
