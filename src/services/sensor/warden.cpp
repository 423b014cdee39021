// SPDX-License-Identifier: Apache-2.0
//
// The warden's side. It is small and has one thread; it holds no descriptor of the sensor's, so
// that these close when the sensor closes them.
#include "services/sensor/warden.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>

#include "base/text.h"
#include "services/sensor/warden_names.h"

namespace millrace::sensor {
namespace {

constexpr int kCannotExecute = 127;

std::vector<pid_t> own_children() {
  std::vector<pid_t> children;
  auto path = fmt::format("/proc/self/task/{}/children", ::getpid());
  Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text;
  char buffer[4096];
  for (ssize_t n; file && (n = ::read(file.get(), buffer, sizeof buffer)) > 0;) {
    text.append(buffer, static_cast<size_t>(n));
  }
  for (std::string_view word : split(text, ' ')) {
    pid_t pid = 0;
    std::from_chars(word.data(), word.data() + word.size(), pid);
    if (pid > 0) children.push_back(pid);
  }
  return children;
}

void set_limits(std::string_view words) {
  for (std::string_view word : split(words, ',')) {
    auto parts = split(word, ':');
    if (parts.size() != 3) continue;
    uint64_t numbers[3] = {};
    for (size_t i = 0; i < 3; ++i) {
      std::from_chars(parts[i].data(), parts[i].data() + parts[i].size(), numbers[i]);
    }
    rlimit limit{numbers[1], numbers[2]};
    ::setrlimit(static_cast<__rlimit_resource>(numbers[0]), &limit);
  }
}

[[noreturn]] void become_sensor(pid_t warden, const char* cwd, const char* limits, char** argv) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != warden) ::_exit(kCannotExecute);
  ::setpgid(0, 0);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::umask(077);
  set_limits(limits);
  if (::chdir(cwd) == 0) ::execvp(argv[0], argv);
  auto why = fmt::format("cannot run '{}': {}\n", argv[0], std::strerror(errno));
  (void)!::write(STDERR_FILENO, why.data(), why.size());
  ::_exit(kCannotExecute);
}

class Warden {
 public:
  explicit Warden(Fd lifeline) : lifeline_(std::move(lifeline)) {}

  int run(const char* cwd, const char* limits, char** argv) {
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    sigset_t heard;
    sigemptyset(&heard);
    for (int signal : {SIGCHLD, SIGTERM, SIGINT, SIGHUP}) sigaddset(&heard, signal);
    ::sigprocmask(SIG_BLOCK, &heard, nullptr);
    Fd signals(::signalfd(-1, &heard, SFD_CLOEXEC | SFD_NONBLOCK));
    pid_t self = ::getpid();
    sensor_ = ::fork();
    if (sensor_ == 0) become_sensor(self, cwd, limits, argv);
    if (sensor_ < 0 || !signals) return EXIT_FAILURE;
    ::setpgid(sensor_, sensor_);
    let_go_of_streams();
    while (!ended_) {
      pollfd waits[] = {{signals.get(), POLLIN, 0}, {lifeline_.get(), POLLIN, 0}};
      if (::poll(waits, 2, -1) < 0 && errno != EINTR) break;
      if (waits[0].revents != 0) hear(signals.get());
      if (waits[1].revents != 0) obey();
    }
    kill_tree();
    (void)!::write(lifeline_.get(), end_.data(), end_.size());
    return EXIT_SUCCESS;
  }

 private:
  static void let_go_of_streams() {
    Fd nothing(::open("/dev/null", O_RDWR | O_CLOEXEC));
    for (int fd = 0; fd <= kLinesFd && nothing; ++fd) ::dup2(nothing.get(), fd);
  }

  // SIGTERM and its like are for the server to send, by the lifeline: they are taken, and dropped.
  void hear(int signals) {
    signalfd_siginfo info[8];
    while (::read(signals, info, sizeof info) > 0) {
    }
    reap_all();
  }

  void reap_all() {
    int status = 0;
    for (pid_t pid; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) {
      if (pid != sensor_ || ended_) continue;
      ended_ = true;
      end_ = WIFSIGNALED(status) ? fmt::format("signal {}\n", WTERMSIG(status))
                                 : fmt::format("exit {}\n", WEXITSTATUS(status));
    }
  }

  void obey() {
    char words[16];
    ssize_t n = ::read(lifeline_.get(), words, sizeof words);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (n <= 0) {  // the server is gone
      kill_tree();
      ::_exit(EXIT_SUCCESS);
    }
    for (ssize_t i = 0; i < n; ++i) {
      if (words[i] == kTerminate) ::kill(-sensor_, SIGTERM);
      if (words[i] == kKill) kill_tree();
    }
  }

  // Orphans become children of this process, whatever session they are in: one generation after
  // the other.
  void kill_tree() {
    constexpr int kRounds = 200;
    if (!ended_) ::kill(-sensor_, SIGKILL);  // else its number may be another one's
    for (int round = 0; round < kRounds; ++round) {
      reap_all();
      auto children = own_children();
      if (children.empty()) return;
      for (pid_t child : children) ::kill(child, SIGKILL);
      ::poll(nullptr, 0, std::min(1 + round, 50));
    }
  }

  Fd lifeline_;
  pid_t sensor_ = -1;
  bool ended_ = false;
  std::string end_ = "exit 0\n";
};

}  // namespace

bool is_warden_invocation(int argc, char** argv) { return argc > 3 && argv[0] == kWardenName; }

int warden_main(int, char** argv) {
  ::fcntl(kLifelineFd, F_SETFD, FD_CLOEXEC);
  return Warden(Fd(kLifelineFd)).run(argv[1], argv[2], argv + 3);
}

}  // namespace millrace::sensor
