// SPDX-License-Identifier: Apache-2.0
//
// What the spawner does with a run, from launch to result.
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <set>

#include "base/stderr.h"
#include "base/time.h"
#include "services/worker/boundary.h"
#include "services/worker/child.h"
#include "services/worker/process_walk.h"
#include "services/worker/spawner_loop.h"

namespace millrace::worker {
namespace {

constexpr size_t kMostRuns = 4096;
// Live chunks are dropped while the server has this much unread.
constexpr size_t kMostUnsent = 1 << 20;
// A pipe takes this much at once, even when the kernel grants it one page only.
constexpr size_t kPipeBytes = 4096;

// A descriptor that reads `bytes` and then ends: a pipe that holds them all, or for more than a
// pipe surely takes a file in memory. So nobody has to feed a child.
Result<Fd> readable_bytes(std::string_view bytes) {
  if (bytes.empty()) {
    Fd null(open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (!null) return system_error("cannot open '/dev/null'");
    return null;
  }
  int ends[2];
  if (bytes.size() <= kPipeBytes) {
    if (pipe2(ends, O_CLOEXEC) != 0) return system_error("cannot make a pipe for the parameters");
    Fd read_end(ends[0]), write_end(ends[1]);
    if (write_all(ends[1], bytes) < bytes.size())
      return system_error("cannot write the parameters");
    return read_end;
  }
  Fd file(memfd_create("parameters", MFD_CLOEXEC));
  if (!file || write_all(file.get(), bytes) < bytes.size() || lseek(file.get(), 0, SEEK_SET) != 0) {
    return system_error("cannot write the parameters");
  }
  return file;
}

Result<void> write_parameters_file(const Slot& slot, std::string_view bytes) {
  constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC;
  Fd file(openat(slot.temp_fd.get(), "parameters", kFlags, 0600));
  if (!file || write_all(file.get(), bytes) < bytes.size()) {
    return system_error("cannot write the parameters to their file");
  }
  return {};
}

// Monotonic; a time that no clock reaches for what never ends.
int64_t after(int64_t ms) {
  constexpr int64_t kForever = int64_t{1} << 52;
  return monotonic_ms() + std::min(ms, kForever);
}

// What a signal of the kernel's says about a limit; empty: nothing.
std::string limit_behind(int signal, const RunLimits& limits) {
  if (signal == SIGXCPU && limits.cpu_s > 0) {
    return fmt::format(": it has used {} s of processor time (worker.limits.cpu_s)", limits.cpu_s);
  }
  if (signal == SIGXFSZ && limits.file_bytes > 0) {
    return fmt::format(": it wrote a file beyond {} bytes (worker.limits.file_bytes)",
                       limits.file_bytes);
  }
  return {};
}

std::string describe_end(const kernel::Completion& c, const Launch& launch) {
  switch (c.end) {
    case kernel::RunEnd::Signaled: {
      int signal = c.exit_code - 128;
      const char* name = sigabbrev_np(signal);
      return fmt::format("killed by signal {} (SIG{}){}", signal, name ? name : "?",
                         limit_behind(signal, launch.limits));
    }
    case kernel::RunEnd::TimedOut:
      return fmt::format("ended after its timeout of {} ms", launch.timeout_ms);
    case kernel::RunEnd::Canceled: return "ended on request";
    case kernel::RunEnd::Lost: return "ended because the spawner was told to stop";
    default: return {};
  }
}

}  // namespace

Run::Run(Launch&& from, std::unique_ptr<Slot> in_slot, kernel::Blobs& blobs)
    : launch(std::move(from)),
      slot(std::move(in_slot)),
      started_ms(unix_ms()),
      secrets(std::make_shared<const SecretSet>(std::move(launch.secrets))),
      recorder{
          {secrets, blobs, kernel::output_ref(launch.tenant, launch.key, kernel::Stream::Stdout),
           launch.output_cap},
          {secrets, blobs, kernel::output_ref(launch.tenant, launch.key, kernel::Stream::Stderr),
           launch.output_cap},
          {secrets, blobs, kernel::output_ref(launch.tenant, launch.key, kernel::Stream::Result),
           kernel::kStructuredOutput.most}} {}

std::string SpawnerLoop::marker(const kernel::RunKey& key) const {
  return fmt::format("{}{}.{}.{};", parts_.identity, key.execution.value, key.attempt, key.epoch);
}

void SpawnerLoop::launch(Launch order) {
  kernel::RunKey key = order.key;
  TenantId tenant = order.tenant;
  if (runs_.contains(key) || parts_.results.holds(key)) return;
  if (stopping_) return refuse(tenant, key, "the spawner was told to stop");
  if (lease_is_over(monotonic_ms())) {
    // As if it had never come: the server settles that in the next session.
    put_stderr("spawner: execution {} is not started: its lease is over\n", key.execution.value);
    return;
  }
  if (runs_.size() >= kMostRuns) {
    return refuse(tenant, key, fmt::format("the spawner runs {} processes already", kMostRuns));
  }
  auto thrown = thrown_by([&] { take_in(std::move(order)); });
  if (!thrown) return;
  auto at = runs_.find(key);
  if (at != runs_.end() && at->second->pid > 0) return fail(key, std::move(*thrown));
  runs_.erase(key);
  refuse(tenant, key, fmt::format("an exception while it was started: {}", *thrown));
}

void SpawnerLoop::take_in(Launch order) {
  kernel::RunKey key = order.key;
  TenantId tenant = order.tenant;
  if (order.warm.reuse != Reuse::None && serve_warm(order)) return;
  auto slot = slots_.acquire();
  if (!slot.ok()) return refuse(tenant, key, slot.error().message());
  auto made = std::make_unique<Run>(std::move(order), std::move(*slot), *parts_.blobs);
  Run& run = *runs_.emplace(key, std::move(made)).first->second;
  auto started = start(run);
  if (!started.ok()) {
    auto unborn = runs_.extract(key);
    refuse(tenant, key, started.error().message());
    slots_.release(std::move(unborn.mapped()->slot), tenant, key, false);
    return;
  }
  begin(run);
}

// It has its process.
void SpawnerLoop::begin(Run& run) {
  auto index = static_cast<size_t>(run.slot->index);
  if (by_slot_.size() <= index) by_slot_.resize(index + 1);
  by_slot_[index] = &run;
  by_pid_[run.pid] = &run;
  if (run.launch.timeout_ms > 0) set_deadline(run, after(run.launch.timeout_ms));
  const RunLimits& limits = run.launch.limits;
  bool is_limited = limits.processes > 0 || limits.memory_bytes > 0;
  if (is_limited) look_again(run, monotonic_ms(), kFirstLookMs);
}

// What is done for the run throws: it is ended, and nothing more is read of it until then.
void SpawnerLoop::fail(const kernel::RunKey& key, std::string why) {
  auto at = runs_.find(key);
  if (at == runs_.end()) return;
  Run& run = *at->second;
  put_stderr("spawner: an exception about execution {}: {}\n", key.execution.value, why);
  run.why = fmt::format("ended because of an exception in the spawner: {}", why);
  for (Fd& end : run.read_end) epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, end.get(), nullptr);
  end(run, kernel::RunEnd::Lost);
}

Result<void> SpawnerLoop::start(Run& run) {
  Launch& launch = run.launch;
  const Slot& slot = *run.slot;
  if (launch.argv.empty()) return Error(ErrorKind::Invalid, "WRK-0005", "the command is empty");
  ChildSpec spec;
  spec.program = find_program(launch.argv[0], std::string(path_variable(launch.env)));
  if (spec.program.empty()) {
    return Error(ErrorKind::NotFound, "WRK-0005",
                 fmt::format("cannot run '{}': no such program in PATH ({})", launch.argv[0],
                             path_variable(launch.env)));
  }
  spec.argv = std::move(launch.argv);
  spec.env = std::move(launch.env);
  add_own_variables(slot, launch, spec.env);
  std::string_view stdin_bytes;
  if (launch.delivery == Delivery::File) {
    TRY(write_parameters_file(slot, launch.parameters));
    spec.env.push_back(fmt::format("MILLRACE_PARAMETERS_FILE={}/parameters", slot.temp));
  } else {
    stdin_bytes = launch.parameters;
  }
  TRY(Fd input, readable_bytes(stdin_bytes));
  launch.parameters = std::string();

  TRY(Pipes pipes, make_pipes(run.streams()));
  take_pipes(run, std::move(pipes));
  if (launch.says_result) {
    spec.result_fd = run.write_end[static_cast<size_t>(kernel::Stream::Result)].get();
    spec.env.push_back(fmt::format("MILLRACE_RESULT_FD={}", kResultFd));
  }
  spec.limits = resource_limits(launch.limits, parts_.open_files);
  spec.cwd = launch.cwd.starts_with('/') ? launch.cwd : slot.temp + "/" + launch.cwd;
  spec.stdin_fd = input.get();
  spec.stdout_fd = run.write_end[0].get();
  spec.stderr_fd = run.write_end[1].get();
  if (run.slot->cgroup) run.slot->cgroup->limit(launch.limits);
  if (run.slot->tasks) run.slot->tasks->limit(launch.limits.processes);
  spec.task_entry_fd = slot.tasks ? slot.tasks->entry() : -1;
  spec.cgroup_fd = slot.cgroup ? slot.cgroup->fd() : -1;
  spec.note = parts_.notes.begin(slot.index);
  ChildStart child = start_child(spec);
  if (child.pid < 0) return Error(ErrorKind::Invalid, "WRK-0005", child.error);
  run.pid = child.pid;
  return {};
}

// What only the spawner knows of a run's environment.
void SpawnerLoop::add_own_variables(const Slot& slot, const Launch& launch,
                                    std::vector<std::string>& env) const {
  bool has_own = std::ranges::any_of(
      env, [](const std::string& entry) { return entry.starts_with("TMPDIR="); });
  if (!has_own) env.push_back("TMPDIR=" + slot.temp);
  env.push_back("MILLRACE_ARTIFACTS_DIR=" + slot.artifacts);
  if (!slot.cgroup) env.push_back(fmt::format("{}={}", kMarkerName, marker(launch.key)));
}

Result<Pipes> SpawnerLoop::make_pipes(int count) {
  Pipes pipes;
  for (int stream = 0; stream < count; ++stream) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return system_error("cannot make a pipe for the output");
    pipes.read_end[stream] = Fd(ends[0]);
    pipes.write_end[stream] = Fd(ends[1]);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
  }
  return pipes;
}

void SpawnerLoop::take_pipes(Run& run, Pipes pipes) {
  constexpr EpollTag::Kind kTags[] = {EpollTag::Stdout, EpollTag::Stderr, EpollTag::Result};
  for (int stream = 0; stream < kMostStreams; ++stream) {
    if (!pipes.read_end[stream]) continue;
    run.read_end[stream] = std::move(pipes.read_end[stream]);
    run.write_end[stream] = std::move(pipes.write_end[stream]);
    watch(epoll_.get(), run.read_end[stream].get(), EPOLLIN, {kTags[stream], run.slot->index});
  }
}

// Ends a run that is not being ended already.
void SpawnerLoop::end(Run& run, kernel::RunEnd why) {
  if (run.ended_by || run.status) return;
  run.ended_by = why;
  signal_tree(run, SIGTERM);
  run.state = Run::State::Ending;
  set_deadline(run, after(run.launch.grace_ms));
}

void SpawnerLoop::pass_deadline(Run& run, int64_t now) {
  switch (run.state) {
    case Run::State::Running: return end(run, kernel::RunEnd::TimedOut);
    case Run::State::Ending: return kill_tree(run);
    case Run::State::Killing:
      if (now >= run.give_up_ms) return finish(run, false);
      return run.status ? settle(run) : kill_tree(run);
  }
}

// The main process has exited.
void SpawnerLoop::settle(Run& run) {
  if (tree_is_gone(run)) return finish(run, true);
  kill_tree(run);
}

void SpawnerLoop::kill_tree(Run& run) {
  constexpr int64_t kFirstRetryMs = 5;
  constexpr int64_t kLastRetryMs = 500;
  int64_t now = monotonic_ms();
  if (run.state != Run::State::Killing) {
    run.state = Run::State::Killing;
    run.give_up_ms = now + kRunGiveUpMs;
    run.retry_ms = kFirstRetryMs;
  }
  if (run.slot->cgroup) {
    run.slot->cgroup->kill();
  } else {
    // The kernel takes a group at one blow, and nobody forks out of it meanwhile. The others are
    // stopped first: what forks faster than it is killed would outlive it.
    auto tree = walk_tree(run);
    auto in_group = [&](const Process& process) { return process.group == run.pid; };
    if (std::any_of(tree.begin(), tree.end(), in_group)) ::kill(-run.pid, SIGKILL);
    signal_tree(run, SIGSTOP);
    signal_tree(run, SIGKILL);
  }
  set_deadline(run, now + run.retry_ms);
  run.retry_ms = std::min(run.retry_ms * 2, kLastRetryMs);
}

void SpawnerLoop::signal_tree(const Run& run, int signal) const {
  if (run.slot->cgroup) return run.slot->cgroup->signal(signal);
  for (const Process& process : walk_tree(run)) signal_process(process, signal);
}

// Without a cgroup: the processes of a run.
std::vector<Process> SpawnerLoop::walk_tree(const Run& run) const {
  auto at = by_pid_.find(run.pid);
  // Once the main process was reaped, its number may name the main process of another run.
  bool number_is_ours = at == by_pid_.end() || at->second == &run;
  return find_tree(descendants(), number_is_ours ? run.pid : 0, marker(run.launch.key));
}

bool SpawnerLoop::tree_is_gone(const Run& run) const {
  if (run.slot->cgroup) return !run.slot->cgroup->populated();
  // What is left of a tree has become the spawner's own child, since it is a subreaper.
  auto children = own_children();
  bool only_main = std::all_of(children.begin(), children.end(),
                               [&](pid_t pid) { return by_pid_.contains(pid); });
  return only_main || walk_tree(run).empty();
}

// Returns false when the pipe is empty now.
bool SpawnerLoop::read_output(Run& run, int stream, bool live) {
  if (!run.read_end[stream]) return false;  // it says this another way
  ssize_t n = read(run.read_end[stream].get(), read_buffer_.data(), read_buffer_.size());
  if (n <= 0) return false;
  record(run, stream, {read_buffer_.data(), static_cast<size_t>(n)}, live);
  return n == std::ssize(read_buffer_);
}

void SpawnerLoop::record(Run& run, int stream, std::string_view bytes, bool live) {
  StreamRecorder& recorder = run.recorder[stream];
  auto stored = recorder.append(bytes);
  live = live && static_cast<kernel::Stream>(stream) != kernel::Stream::Result;
  if (live && !stored.empty() && connection_ && out_.size() <= kMostUnsent) {
    encode_chunk(out_, run.launch.key, static_cast<kernel::Stream>(stream),
                 recorder.size() - static_cast<int64_t>(stored.size()), stored);
  }
}

void SpawnerLoop::finish(Run& finished, bool tree_is_gone) {
  kernel::RunKey key = finished.launch.key;
  auto node = runs_.extract(key);
  std::unique_ptr<Run> run = std::move(node.mapped());
  set_deadline(*run, 0);
  by_slot_[static_cast<size_t>(run->slot->index)] = nullptr;
  if (!run->status) by_pid_.erase(run->pid);  // else the number may be another run's by now
  if (!run->warm_goes_on) parts_.notes.clear(run->slot->index);
  if (run->warm && !run->warm_goes_on) --warm_count_;

  kernel::Completion c;
  c.tenant = run->launch.tenant;
  c.key = key;
  c.started_ms = run->started_ms;
  int status = run->status.value_or(0);
  c.exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  c.end = WIFSIGNALED(status) ? kernel::RunEnd::Signaled : kernel::RunEnd::Exited;
  if (run->ended_by) c.end = *run->ended_by;
  if (run->why.empty()) run->why = limit_at_end(*run, c);
  c.message = run->why.empty() ? describe_end(c, run->launch) : run->why;
  if (!tree_is_gone) {
    c.end = kernel::RunEnd::Lost;
    c.message = "processes of the run are still alive after SIGKILL";
  }
  auto thrown = thrown_by([&] { keep_output(*run, c); });
  if (thrown) {
    c.end = kernel::RunEnd::Lost;
    c.message = fmt::format("its output could not be kept, an exception: {}", *thrown);
    c.out = c.err = c.result = {};
  }
  c.err.hidden.clear();  // what is read as data is not there
  c.ended_ms = unix_ms();
  thrown = thrown_by([&] {
    if (run->warm_goes_on) return rest(*run);
    slots_.release(std::move(run->slot), c.tenant, key, !tree_is_gone);
  });
  if (thrown) put_stderr("spawner: a slot is lost, an exception: {}\n", *thrown);
  if (parts_.cgroup_home.empty() && runs_.empty()) kill_strays();
  report(std::move(c));
}

void SpawnerLoop::keep_output(Run& run, kernel::Completion& completion) {
  constexpr int kMostReads = 64;  // more than a pipe holds: only a process outside goes on
  kernel::StreamOutput* outputs[] = {&completion.out, &completion.err, &completion.result};
  for (int stream = 0; stream < run.streams(); ++stream) {
    for (int i = 0; i < kMostReads && read_output(run, stream, false); ++i) {
    }
    *outputs[stream] = run.recorder[stream].finish();
  }
}

void SpawnerLoop::refuse(TenantId tenant, const kernel::RunKey& key, std::string why) {
  constexpr size_t kLongest = 4096;  // it may quote a path of any length
  if (why.size() > kLongest) why.resize(kLongest);
  kernel::Completion c;
  c.tenant = tenant;
  c.key = key;
  c.end = kernel::RunEnd::SpawnFailed;
  c.message = std::move(why);
  c.started_ms = c.ended_ms = unix_ms();
  report(std::move(c));
}

void SpawnerLoop::report(kernel::Completion completion) {
  const auto& kept = parts_.results.add(std::move(completion));
  if (connection_) {
    encode(out_, Exited{kept});
  } else {
    parts_.results.persist();
  }
}

void SpawnerLoop::set_deadline(Run& run, int64_t at_ms) {
  if (run.deadline_ms > 0) deadlines_.erase({run.deadline_ms, &run});
  run.deadline_ms = at_ms;
  if (at_ms > 0) deadlines_.insert({at_ms, &run});
}

// Without cgroups and with no run left, every descendant is a leftover, but for warm processes.
void SpawnerLoop::kill_strays() const {
  if (own_children().empty()) return;
  std::set<pid_t> kept;
  for (const auto& warm : idle_) kept.insert(warm->pid);
  for (const Process& process : descendants()) {  // parents before their children
    if (kept.contains(process.pid)) continue;
    if (kept.contains(process.parent)) {
      kept.insert(process.pid);
    } else {
      signal_process(process, SIGKILL);
    }
  }
}

}  // namespace millrace::worker
