// SPDX-License-Identifier: Apache-2.0
//
// Processes that serve one call after another, and when they do not.
#include <fmt/format.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <set>

#include "base/json.h"
#include "base/stderr.h"
#include "base/text.h"
#include "services/worker/child.h"
#include "services/worker/process_walk.h"
#include "services/worker/spawner_loop.h"

namespace millrace::worker {
namespace {

// Bytes that its pages hold, what it shares with others included; 0: not known.
int64_t resident_bytes_of(pid_t pid) {
  std::string text = read_small_file(fmt::format("/proc/{}/statm", pid));
  auto fields = split(text, ' ');
  int64_t pages = 0;
  if (fields.size() > 1) {
    std::from_chars(fields[1].data(), fields[1].data() + fields[1].size(), pages);
  }
  return pages * sysconf(_SC_PAGESIZE);
}

// The limit of a run counts from what the process has used before it.
void limit_cpu(pid_t pid, int64_t cpu_s) {
  if (cpu_s == 0) return;
  clockid_t clock{};
  timespec used{};
  if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &used) != 0) return;
  rlimit limit{};
  if (prlimit(pid, RLIMIT_CPU, nullptr, &limit) != 0) return;
  limit.rlim_cur = std::min(static_cast<rlim_t>(used.tv_sec + 1 + cpu_s), limit.rlim_max);
  prlimit(pid, RLIMIT_CPU, &limit, nullptr);
}

// The pipes that a call is given: Node says all in frames, a call in the process itself its result.
int streams_of(const WarmCall& call) {
  if (call.sdk == Sdk::Node) return 0;
  return call.reuse == Reuse::Fork ? 3 : 2;
}

// The whole frame at once, with the descriptors: an order is smaller than a socket's buffer, which
// is empty between calls. False: the process is gone, or does not read.
bool send_whole(int socket, const std::string& frame, const std::vector<int>& descriptors) {
  iovec bytes{const_cast<char*>(frame.data()), frame.size()};
  alignas(cmsghdr) char rights[CMSG_SPACE(kMostStreams * sizeof(int))]{};
  msghdr message{};
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  if (!descriptors.empty()) {
    size_t size = descriptors.size() * sizeof(int);
    message.msg_control = rights;
    message.msg_controllen = CMSG_SPACE(size);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(size);
    std::copy_n(descriptors.data(), descriptors.size(), reinterpret_cast<int*>(CMSG_DATA(header)));
  }
  ssize_t sent = sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  return sent == std::ssize(frame);
}

}  // namespace

// False: it is to have a process of its own.
bool SpawnerLoop::serve_warm(Launch& order) {
  if (order.parameters.size() > kMostWarmOrder || order.delivery == Delivery::File) return false;
  std::unique_ptr<Warm> warm = warm_for(order);
  if (!warm) return false;
  auto pipes = make_pipes(streams_of(order.warm));
  if (!pipes.ok() || !hand_over(*warm, order, *pipes)) {
    retire(std::move(warm));
    return false;
  }
  kernel::RunKey key = order.key;
  auto made = std::make_unique<Run>(std::move(order), std::move(warm->slot), *parts_.blobs);
  Run& run = *runs_.emplace(key, std::move(made)).first->second;
  run.pid = warm->pid;
  run.warm = std::move(warm);
  if (run.warm->own_out) {
    run.read_end[0] = std::move(run.warm->own_out);
    run.read_end[1] = std::move(run.warm->own_err);
  } else {
    take_pipes(run, *std::move(pipes));
  }
  begin(run);
  return true;
}

// An idle one of this key, or a new one where there is room for it.
std::unique_ptr<Warm> SpawnerLoop::warm_for(const Launch& order) {
  int64_t now = monotonic_ms();
  auto same = [&](const auto& warm) { return warm->terms.key == order.warm.key; };
  for (auto at = std::ranges::find_if(idle_, same); at != idle_.end();
       at = std::ranges::find_if(idle_, same)) {
    auto warm = std::move(*at);
    idle_.erase(at);
    if (now - warm->born_ms < order.warm.age_ms) return warm;
    retire(std::move(warm));
  }
  if (warm_count_ >= order.warm.processes && !idle_.empty()) {
    auto oldest =
        std::ranges::min_element(idle_, {}, [](const auto& w) { return w->idle_since_ms; });
    auto warm = std::move(*oldest);
    idle_.erase(oldest);
    retire(std::move(warm));
  }
  if (warm_count_ >= order.warm.processes) return nullptr;
  auto started = start_warm(order);
  if (started.ok()) return *std::move(started);
  put_stderr("spawner: no warm process: {}\n", started.error().message());
  return nullptr;
}

Result<std::unique_ptr<Warm>> SpawnerLoop::start_warm(const Launch& order) {
  auto warm = std::make_unique<Warm>();
  warm->terms = order.warm;
  warm->born_ms = monotonic_ms();
  warm->marker = fmt::format("{}warm{};", parts_.identity, ++warm_number_);
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return system_error("cannot make a socket for a warm process");
  }
  warm->socket = Fd(ends[0]);
  Fd theirs(ends[1]);
  Pipes own;
  if (order.warm.sdk == Sdk::Node) {
    TRY(own, make_pipes(2));
  }
  TRY(auto slot, slots_.acquire());
  ChildSpec spec;
  spec.argv = order.argv;
  spec.argv.emplace_back("--serve");
  spec.env = order.warm.env;
  spec.program = find_program(spec.argv[0], std::string(path_variable(spec.env)));
  if (spec.program.empty()) {
    slots_.release(std::move(slot), order.tenant, order.key, false);
    return Error(ErrorKind::NotFound, "WRK-0005", "no such program");
  }
  spec.env.push_back(fmt::format("MILLRACE_SERVE_FD={}", kResultFd));
  if (!slot->cgroup) spec.env.push_back(fmt::format("{}={}", kMarkerName, warm->marker));
  RunLimits limits = order.limits;
  limits.cpu_s = 0;  // counted for each call
  spec.limits = resource_limits(limits, parts_.open_files);
  spec.cwd = "/";
  Fd nothing(open("/dev/null", O_RDWR | O_CLOEXEC));
  spec.stdin_fd = spec.stdout_fd = spec.stderr_fd = nothing.get();
  if (order.warm.sdk == Sdk::Node) {
    spec.stdout_fd = own.write_end[0].get();
    spec.stderr_fd = own.write_end[1].get();
  }
  spec.result_fd = theirs.get();
  if (slot->cgroup) slot->cgroup->limit(order.limits);
  if (slot->tasks) slot->tasks->limit(order.limits.processes);
  spec.task_entry_fd = slot->tasks ? slot->tasks->entry() : -1;
  spec.cgroup_fd = slot->cgroup ? slot->cgroup->fd() : -1;
  spec.note = parts_.notes.begin(slot->index);
  ChildStart child = start_child(spec);
  if (child.pid < 0) {
    parts_.notes.clear(slot->index);
    slots_.release(std::move(slot), order.tenant, order.key, false);
    return Error(ErrorKind::Invalid, "WRK-0005", child.error);
  }
  warm->pid = child.pid;
  by_pid_[warm->pid] = nullptr;
  ++warm_count_;
  watch(epoll_.get(), warm->socket.get(), EPOLLIN, {EpollTag::Warm, slot->index});
  if (order.warm.sdk == Sdk::Node) {
    watch(epoll_.get(), own.read_end[0].get(), EPOLLIN, {EpollTag::Stdout, slot->index});
    watch(epoll_.get(), own.read_end[1].get(), EPOLLIN, {EpollTag::Stderr, slot->index});
    warm->own_out = std::move(own.read_end[0]);
    warm->own_err = std::move(own.read_end[1]);
  }
  warm->slot = std::move(slot);
  return warm;
}

bool SpawnerLoop::hand_over(Warm& warm, const Launch& order, const Pipes& pipes) {
  const Slot& slot = *warm.slot;
  auto env = order.env;
  add_own_variables(slot, order, env);
  std::string cwd = order.cwd.starts_with('/') ? order.cwd : slot.temp + "/" + order.cwd;
  limit_cpu(warm.pid, order.limits.cpu_s);
  std::vector<int> descriptors;
  for (const Fd& end : pipes.write_end) {
    if (end) descriptors.push_back(end.get());
  }
  return send_whole(warm.socket.get(), warm_frame(order, env, cwd, ++warm.calls), descriptors);
}

void SpawnerLoop::on_warm(int slot_index) {
  auto slot = static_cast<size_t>(slot_index);
  Run* run = slot < by_slot_.size() ? by_slot_[slot] : nullptr;
  if (run && run->warm) return hear_warm(*run);
  auto at =
      std::ranges::find_if(idle_, [&](const auto& w) { return w->slot->index == slot_index; });
  if (at == idle_.end()) return;
  // What speaks between calls is told to leave, whatever it says.
  auto warm = std::move(*at);
  idle_.erase(at);
  retire(std::move(warm));
}

// An event of a call that has ended since, or what was written between calls: then it goes.
void SpawnerLoop::on_idle_output(int slot_index) {
  auto at =
      std::ranges::find_if(idle_, [&](const auto& w) { return w->slot->index == slot_index; });
  if (at == idle_.end() || !(*at)->own_out) return;
  char byte = 0;
  bool is_quiet =
      read((*at)->own_out.get(), &byte, 1) < 0 && read((*at)->own_err.get(), &byte, 1) < 0;
  if (!is_quiet) on_warm(slot_index);
}

void SpawnerLoop::hear_warm(Run& run) {
  Warm& warm = *run.warm;
  ssize_t n = recv(warm.socket.get(), read_buffer_.data(), read_buffer_.size(), MSG_DONTWAIT);
  if (n < 0) return;
  if (n == 0) return warm.socket.reset();  // it leaves: its exit tells
  warm.in.append(read_buffer_.data(), static_cast<size_t>(n));
  kernel::RunKey key = run.launch.key;
  std::string frame;
  for (;;) {
    auto taken = take_warm_frame(warm.in, frame);
    size_t line = std::min(frame.find('\n'), frame.size());
    std::string_view text = std::string_view(frame).substr(0, line);
    auto said = taken.ok() && *taken ? parse_json(text) : Result<Value>(Value());
    if (!taken.ok() || !said.ok()) {
      run.why = "ended: its runtime broke the protocol";
      if (!run.ended_by) run.ended_by = kernel::RunEnd::Lost;
      return kill_tree(run);
    }
    if (!*taken) return;
    // Behind the frame of the end stands the result, where it has no pipe of its own.
    auto result = std::string_view(frame).substr(std::min(line + 1, frame.size()));
    if (!result.empty()) record(run, static_cast<int>(kernel::Stream::Result), result, false);
    on_warm_frame(run, *said);
    if (!runs_.contains(key)) return;
  }
}

void SpawnerLoop::on_warm_frame(Run& run, const Value& said) {
  Warm& warm = *run.warm;
  if (warm.terms.sdk == Sdk::Python) {
    if (said.string_or("state", "") != "ended") return;
    warm.recycle = warm.recycle || !said["recycle"].is_null();
    auto signal = static_cast<int>(said["signal"].is_int() ? said["signal"].as_int() : 0);
    auto code = static_cast<int>(said["exit_code"].is_int() ? said["exit_code"].as_int() : 1);
    return end_call(run, signal > 0 ? signal & 0x7f : W_EXITCODE(code & 0xff, 0));
  }
  if (said["dirty"] == Value(true)) warm.recycle = true;
  std::string_view stream = said.string_or("stream", "");
  if (!stream.empty()) {
    std::string bytes;
    bool is_whole = base64_decode(said.string_or("data", ""), bytes);
    if (is_whole) record(run, stream == "stderr" ? 1 : 0, bytes, true);
    return;
  }
  if (!said.find("status")) return;
  auto result = Value::map({{"status", said["status"]}, {"result", said["result"]}});
  if (said.find("error")) result.set("error", said["error"]);
  record(run, static_cast<int>(kernel::Stream::Result), to_json(result), false);
  auto code = static_cast<int>(said["exit_code"].is_int() ? said["exit_code"].as_int() : 1);
  end_call(run, W_EXITCODE(code & 0xff, 0));
}

// The process has said that the call is over.
void SpawnerLoop::end_call(Run& run, int status) {
  if (run.ended_by) return kill_tree(run);  // with its process: nobody knows what it was at
  run.status = status;
  run.warm_goes_on = true;
  finish(run, true);
}

// After a call, when its run has ended.
void SpawnerLoop::rest(Run& run) {
  std::unique_ptr<Warm> warm = std::move(run.warm);
  const WarmCall& terms = warm->terms;
  if (warm->terms.sdk == Sdk::Node) {
    warm->own_out = std::move(run.read_end[0]);
    warm->own_err = std::move(run.read_end[1]);
  }
  bool is_clean = slots_.tidy(*run.slot, run.launch.tenant, run.launch.key);
  warm->slot = std::move(run.slot);
  warm->idle_since_ms = monotonic_ms();
  by_pid_[warm->pid] = nullptr;
  constexpr int64_t kLookEvery = 16;  // a look at its memory costs a tenth of a call
  bool is_small =
      warm->calls % kLookEvery != 1 || resident_bytes_of(warm->pid) <= terms.memory_bytes;
  bool goes_on =
      is_clean && !warm->recycle && warm->in.empty() && warm->calls < terms.calls && is_small;
  if (!goes_on) return retire(std::move(warm));
  idle_.push_back(std::move(warm));
}

// It serves nobody any more. Its slot is free when it is gone.
void SpawnerLoop::retire(std::unique_ptr<Warm> warm) {
  warm->socket.reset();
  warm->own_out.reset();
  warm->own_err.reset();
  kill_warm(*warm);
  leaving_.push_back(std::move(warm));
}

void SpawnerLoop::kill_warm(Warm& warm) const {
  if (warm.slot->cgroup) return warm.slot->cgroup->kill();
  for (const Process& process : find_tree(descendants(), warm.pid, warm.marker)) {
    signal_process(process, SIGKILL);
  }
}

// The main process of one that no run has was reaped.
void SpawnerLoop::warm_is_gone(pid_t pid) {
  auto is_it = [&](const auto& warm) { return warm->pid == pid; };
  for (auto* among : {&idle_, &leaving_}) {
    auto at = std::ranges::find_if(*among, is_it);
    if (at == among->end()) continue;
    auto warm = std::move(*at);
    among->erase(at);
    --warm_count_;
    kill_warm(*warm);
    parts_.notes.clear(warm->slot->index);
    bool left = warm->slot->cgroup ? warm->slot->cgroup->populated()
                                   : !find_tree(descendants(), warm->pid, warm->marker).empty();
    return slots_.release(std::move(warm->slot), TenantId(), {}, left);
  }
}

void SpawnerLoop::end_idle() {
  if (idle_.empty()) return;
  int64_t now = monotonic_ms();
  auto is_over = [&](const auto& warm) { return now - warm->idle_since_ms >= warm->terms.idle_ms; };
  for (auto at = std::ranges::find_if(idle_, is_over); at != idle_.end();
       at = std::ranges::find_if(idle_, is_over)) {
    auto warm = std::move(*at);
    idle_.erase(at);
    retire(std::move(warm));
  }
}

// When the first of them has been idle long enough; 0: there is none.
int64_t SpawnerLoop::next_idle_end_ms() const {
  int64_t next = 0;
  for (const auto& warm : idle_) {
    int64_t end = warm->idle_since_ms + warm->terms.idle_ms;
    if (next == 0 || end < next) next = end;
  }
  return next;
}

// Before the spawner leaves.
void SpawnerLoop::end_warm() {
  while (!idle_.empty()) {
    auto warm = std::move(idle_.back());
    idle_.pop_back();
    retire(std::move(warm));
  }
  for (const auto& warm : leaving_) waitid(P_PID, static_cast<id_t>(warm->pid), nullptr, WEXITED);
  leaving_.clear();
}

}  // namespace millrace::worker
