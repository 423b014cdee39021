// SPDX-License-Identifier: Apache-2.0
#include "services/worker/child.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/text.h"
#include "services/worker/posix.h"

namespace millrace::worker {
namespace {

enum class Step : int { Clone, Group, Folder, Streams, Limits, Execute };

// What the child reads and writes in the memory that it shares with its suspended parent.
struct Shared {
  const char* program;
  char* const* argv;
  char* const* envp;
  const char* cwd;
  int stdio[3];
  int result;
  const ResourceLimit* limits;
  size_t limit_count;
  int task_entry;
  Step step = Step::Clone;
  int error = 0;
};

[[noreturn]] void fail(Shared& shared, Step step) {
  shared.step = step;
  shared.error = errno;
  for (;;) syscall(SYS_exit_group, 127);
}

// Runs in the child, on its own stack but in the parent's memory: system calls only, no
// allocation, and no return.
__attribute__((no_sanitize("address", "thread", "undefined"))) int child_main(void* arg) {
  Shared& shared = *static_cast<Shared*>(arg);
  if (setpgid(0, 0) < 0) fail(shared, Step::Group);
  if (chdir(shared.cwd) != 0) fail(shared, Step::Folder);
  if (shared.task_entry >= 0 && write(shared.task_entry, "0", 1) != 1) fail(shared, Step::Limits);
  // The sources are above 2 (the spawner keeps 0 to 2 open on /dev/null and its log).
  for (int i = 0; i < 3; ++i) {
    if (dup2(shared.stdio[i], i) < 0) fail(shared, Step::Streams);
  }
  unsigned first_closed = kResultFd;
  if (shared.result >= 0) {
    // To itself, dup2 would leave it to be closed by execve.
    int kept =
        shared.result == kResultFd ? fcntl(kResultFd, F_SETFD, 0) : dup2(shared.result, kResultFd);
    if (kept < 0) fail(shared, Step::Streams);
    ++first_closed;
  }
  if (syscall(SYS_close_range, first_closed, ~0U, 0U) != 0) fail(shared, Step::Streams);
  for (size_t i = 0; i < shared.limit_count; ++i) {
    const ResourceLimit& limit = shared.limits[i];
    if (syscall(SYS_prlimit64, 0, limit.resource, &limit.value, nullptr) != 0) {
      fail(shared, Step::Limits);
    }
  }
  uint64_t no_signals = 0;
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &no_signals, nullptr, sizeof no_signals);
  execve(shared.program, shared.argv, shared.envp);
  fail(shared, Step::Execute);
}

constexpr size_t kStackBytes = 64 << 10;
alignas(64) char child_stack[kStackBytes];

// clone3 with a function and a stack, as glibc's clone() has them: the child must not return
// into the frame of a caller whose stack it shares. Returns the pid or a negative errno.
#if defined(__x86_64__)
long clone3_call(clone_args* args, int (*function)(void*), void* arg) {
  long result;
  register auto r_function asm("r8") = function;
  register auto r_arg asm("r9") = arg;
  asm volatile(
      "syscall\n\t"
      "test %%rax, %%rax\n\t"
      "jnz 1f\n\t"
      "xor %%ebp, %%ebp\n\t"
      "mov %%r9, %%rdi\n\t"
      "call *%%r8\n\t"
      "mov %%eax, %%edi\n\t"
      "mov %[exit], %%eax\n\t"
      "syscall\n\t"
      "1:"
      : "=a"(result)
      : "a"(SYS_clone3), "D"(args), "S"(sizeof *args), "r"(r_function),
        "r"(r_arg), [exit] "i"(SYS_exit)
      : "rcx", "r11", "memory");
  return result;
}
#else
long clone3_call(clone_args*, int (*)(void*), void*) { return -ENOSYS; }
#endif

long clone_vfork(Shared& shared, int cgroup_fd, pid_t* note) {
  clone_args args{};
  args.flags = CLONE_VM | CLONE_VFORK;
  args.exit_signal = SIGCHLD;
  args.stack = reinterpret_cast<uintptr_t>(child_stack);
  args.stack_size = kStackBytes;
  if (cgroup_fd >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<unsigned>(cgroup_fd);
  }
  if (note) {
    args.flags |= CLONE_PARENT_SETTID;
    args.parent_tid = reinterpret_cast<uintptr_t>(note);
  }
  long pid = clone3_call(&args, child_main, &shared);
  if (pid != -ENOSYS || cgroup_fd >= 0) return pid;
  pid = clone(child_main, child_stack + kStackBytes, static_cast<int>(args.flags | SIGCHLD),
              &shared, note);
  return pid < 0 ? -errno : pid;
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> out;
  out.reserve(texts.size() + 1);
  for (const auto& text : texts) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

// The interpreter of a script's first line, or empty.
std::string interpreter_of(const std::string& program) {
  Fd file(open(program.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  char line[256];
  ssize_t n = file ? read(file.get(), line, sizeof line) : -1;
  if (n < 3 || line[0] != '#' || line[1] != '!') return {};
  std::string_view text(line + 2, static_cast<size_t>(n) - 2);
  text = trim(text.substr(0, text.find('\n')));
  return std::string(text.substr(0, text.find_first_of(" \t")));
}

std::string why_not_executed(const std::string& program, int error) {
  struct stat info{};
  bool exists = stat(program.c_str(), &info) == 0;
  if (!exists) return fmt::format("cannot run '{}': no such file", program);
  if (S_ISDIR(info.st_mode)) return fmt::format("cannot run '{}': it is a folder", program);
  if (error == EACCES) {
    return fmt::format("cannot run '{}': it is not executable (try chmod +x)", program);
  }
  if (error == ENOENT) {
    return fmt::format("cannot run '{}': its interpreter '{}' is not installed", program,
                       interpreter_of(program));
  }
  if (error == ENOEXEC) {
    return fmt::format("cannot run '{}': it is no program, and no script with a '#!' line",
                       program);
  }
  if (error == E2BIG) {
    return fmt::format("cannot run '{}': arguments and environment are too large", program);
  }
  return fmt::format("cannot run '{}': {}", program, errno_text(error));
}

std::string explain(const ChildSpec& spec, const Shared& shared) {
  switch (shared.step) {
    case Step::Clone: return fmt::format("cannot start a process: {}", errno_text(shared.error));
    case Step::Group:
      return fmt::format("cannot make a process group: {}", errno_text(shared.error));
    case Step::Folder:
      return fmt::format("cannot enter the working folder '{}': {}", spec.cwd,
                         errno_text(shared.error));
    case Step::Streams:
      return fmt::format("cannot set up the standard streams: {}", errno_text(shared.error));
    case Step::Limits:
      return fmt::format("cannot set the limits of the run: {}", errno_text(shared.error));
    case Step::Execute: return why_not_executed(spec.program, shared.error);
  }
  return {};
}

}  // namespace

ChildStart start_child(const ChildSpec& spec) {
  auto argv = pointers(spec.argv);
  auto envp = pointers(spec.env);
  Shared shared{spec.program.c_str(),
                argv.data(),
                envp.data(),
                spec.cwd.c_str(),
                {spec.stdin_fd, spec.stdout_fd, spec.stderr_fd},
                spec.result_fd,
                spec.limits.data(),
                spec.limits.size(),
                spec.task_entry_fd};
  long pid = clone_vfork(shared, spec.cgroup_fd, spec.note);
  if (pid < 0) shared.error = static_cast<int>(-pid);
  if (shared.error == 0) return {static_cast<pid_t>(pid), {}};
  // A child that failed has exited by now; its caller never learns of it.
  if (pid > 0) waitid(P_PID, static_cast<id_t>(pid), nullptr, WEXITED);
  return {-1, explain(spec, shared)};
}

bool can_start_in_cgroup(int cgroup_fd) {
  char* nothing[] = {nullptr};
  Shared shared{"", nothing, nothing, "/", {0, 1, 2}, -1, nullptr, 0, -1};
  long pid = clone_vfork(shared, cgroup_fd, nullptr);
  if (pid > 0) waitid(P_PID, static_cast<id_t>(pid), nullptr, WEXITED);
  return pid > 0 && shared.step == Step::Execute;
}

std::string_view path_variable(const std::vector<std::string>& env) {
  constexpr std::string_view kName = "PATH=";
  for (std::string_view entry : env) {
    if (entry.starts_with(kName)) return entry.substr(kName.size());
  }
  return {};
}

std::string find_program(const std::string& name, const std::string& path) {
  if (name.find('/') != std::string::npos) return name;
  for (std::string_view folder : split(path, ':')) {
    if (folder.empty()) continue;
    std::string candidate = fmt::format("{}/{}", folder, name);
    struct stat info{};
    if (stat(candidate.c_str(), &info) == 0 && S_ISREG(info.st_mode) &&
        access(candidate.c_str(), X_OK) == 0) {
      return candidate;
    }
  }
  return {};
}

}  // namespace millrace::worker
