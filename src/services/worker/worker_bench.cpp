// SPDX-License-Identifier: Apache-2.0
//
// worker_bench [RUNS]: CPU time per run of /bin/true of worker and spawner, beside a bare
// posix_spawn loop in the same process. The children's own CPU is counted apart.
//
// worker_bench --python [CALLS]: CPU of a python-script action from its order to its completion, of
// worker, spawner and Python together: cold, forked from a process that is there, in one that is.
#include <fmt/format.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <mutex>

#include "adapters/blob_fs/blob_fs.h"
#include "async/loop.h"
#include "services/worker/process_walk.h"
#include "services/worker/worker.h"

namespace millrace::worker {
namespace {

const std::string kPack = "/tmp/millrace-bench-pack";
constexpr SessionId kSession{1};

double seconds(const timeval& t) {
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
}

double cpu_of(int who) {
  rusage usage{};
  getrusage(who, &usage);
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// CPU of another process without its children: nanoseconds on a core, from schedstat.
double cpu_of_process(int64_t pid) {
  return std::strtod(read_small_file(fmt::format("/proc/{}/schedstat", pid)).c_str(), nullptr) /
         1e9;
}

// Counts completions and lets so many orders be under way.
class CountingSource final : public kernel::WorkSource {
 public:
  void open(kernel::WorkerHello hello, kernel::WorkReceiver& receiver,
            std::function<void(Result<kernel::Session>)> opened) override {
    opened(kernel::Session{.id = kSession, .worker = WorkerId(1)});
    std::lock_guard lock(mutex_);
    pid = std::atoll(hello.instance.c_str() + hello.instance.find('/') + 1);
    receiver_ = &receiver;
    changed_.notify_all();
  }
  void renew(SessionId, std::function<void(Result<void>)>) override {}
  void close(SessionId) override {}
  void output(SessionId, kernel::OutputChunk) override {}
  void preparing(SessionId, TenantId, const kernel::RunKey&, std::string) override {}
  void prepared(SessionId, TenantId, const kernel::RunKey&, std::function<void(bool)>) override {}
  void finished(SessionId, kernel::Completion completion, std::function<void()> done) override {
    done();
    std::lock_guard lock(mutex_);
    failed += completion.exit_code != 0 || completion.end != kernel::RunEnd::Exited;
    --under_way_;
    changed_.notify_all();
  }
  kernel::WorkReceiver& receiver() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return receiver_ != nullptr; });
    return *receiver_;
  }
  void wait_for_room(int at_once) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return under_way_ < at_once; });
    ++under_way_;
  }
  void wait_for_all() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return under_way_ == 0; });
  }
  int64_t pid = 0;
  int failed = 0;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  kernel::WorkReceiver* receiver_ = nullptr;
  int under_way_ = 0;
};

double now_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void print_row(std::string_view name, int at_once, int runs, double wall, double parts_us,
               std::string_view detail) {
  fmt::print("{:<24} {:>3} in flight  {:>7.0f} runs/s  {:>6.1f} us CPU each  {}\n", name, at_once,
             runs / wall, parts_us, detail);
}

void bare(int at_once, int runs) {
  double cpu = cpu_of(RUSAGE_SELF), child_cpu = cpu_of(RUSAGE_CHILDREN), wall = now_s();
  std::string program = "/bin/true";
  char* argv[] = {program.data(), nullptr};
  char* envp[] = {nullptr};
  int under_way = 0;
  for (int i = 0; i < runs || under_way > 0;) {
    if (i < runs && under_way < at_once) {
      pid_t pid = 0;
      posix_spawn(&pid, program.c_str(), nullptr, nullptr, argv, envp);
      ++i, ++under_way;
    } else {
      wait(nullptr);
      --under_way;
    }
  }
  wall = now_s() - wall;
  print_row("bare posix_spawn", at_once, runs, wall, (cpu_of(RUSAGE_SELF) - cpu) / runs * 1e6,
            fmt::format("child {:.0f}", (cpu_of(RUSAGE_CHILDREN) - child_cpu) / runs * 1e6));
}

void through_worker(CountingSource& source, Worker& worker, int at_once, int runs) {
  kernel::WorkOrder order;
  order.action = "bench.true";
  order.runner = Runner::Script;
  order.entry_point = "true";
  order.tenant = kDefaultTenant;
  order.parameters = Value::map({{"message", "hello"}, {"count", 3}});
  for (const char* name : {"ACTION", "PACK", "EXEC_ID", "ATTEMPT", "IDEMPOTENCY_KEY", "API_URL",
                           "RULE", "TRIGGER", "TRACE_PARENT"}) {
    order.env.emplace_back(fmt::format("MILLRACE_{}", name), "a value of a usual length");
  }
  order.timeout_ms = 60'000;
  auto& receiver = source.receiver();
  static int64_t next = 1;
  double cpu = cpu_of(RUSAGE_SELF), spawner = cpu_of_process(source.pid), wall = now_s();
  auto wakes = worker.stats().wake_ups;
  for (int i = 0; i < runs; ++i) {
    source.wait_for_room(at_once);
    order.key = {ExecutionId(next++), 1, 1};
    receiver.grant(kSession, {order});
  }
  source.wait_for_all();
  wall = now_s() - wall;
  double own_us = (cpu_of(RUSAGE_SELF) - cpu) / runs * 1e6;
  double spawner_us = (cpu_of_process(source.pid) - spawner) / runs * 1e6;
  print_row("worker and spawner", at_once, runs, wall, own_us + spawner_us,
            fmt::format("worker {:.1f}, spawner {:.1f}, wake-ups of the worker {:.2f}", own_us,
                        spawner_us, static_cast<double>(worker.stats().wake_ups - wakes) / runs));
}

// Of a process and of the children that it has waited for, in seconds; in steps of 10 ms.
double cpu_with_children(pid_t pid) {
  std::string stat = read_small_file(fmt::format("/proc/{}/stat", pid));
  const char* at = stat.c_str() + stat.rfind(')') + 2;
  double ticks = 0;
  for (int field = 3; *at && field <= 17; ++field) {
    if (field >= 14) ticks += std::strtod(at, nullptr);  // utime stime cutime cstime
    at = std::strchr(at, ' ') + 1;
  }
  return ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
}

// Of all that the spawner has started, the spawner itself apart.
double cpu_of_python(int64_t spawner) {
  double sum = cpu_with_children(static_cast<pid_t>(spawner)) - cpu_of_process(spawner);
  for (const Process& process : all_processes()) {
    if (process.parent == spawner) sum += cpu_with_children(process.pid);
  }
  return sum;
}

constexpr std::string_view kAction =
    "from st2common.runners.base_action import Action\n"
    "class Echo(Action):\n    def run(self, message):\n        return message\n";

void python_calls(CountingSource& source, std::string_view name, Reuse reuse, int at_once,
                  int calls) {
  static int64_t next = 1'000'000;
  kernel::WorkOrder order;
  order.action = "bench.echo";
  order.pack = "bench";
  order.runner = Runner::Script;
  order.sdk = Sdk::Python;
  order.reuse = reuse;
  order.runtime.interpreter = {"/usr/bin/python3", "-u"};
  order.entry_point = "echo.py";
  order.tenant = kDefaultTenant;
  order.parameters = Value::map({{"message", "hello"}});
  for (const char* variable : {"ACTION", "PACK", "EXEC_ID", "ATTEMPT", "API_URL", "RULE"}) {
    order.env.emplace_back(fmt::format("MILLRACE_{}", variable), "a value of a usual length");
  }
  auto run = [&](int count) {
    for (int i = 0; i < count; ++i) {
      source.wait_for_room(at_once);
      order.key = {ExecutionId(next++), 1, 1};
      source.receiver().grant(kSession, {order});
    }
    source.wait_for_all();
  };
  run(3 * at_once);  // the first ones start their processes, and load
  double python = cpu_of_python(source.pid), own = cpu_of(RUSAGE_SELF);
  double spawner = cpu_of_process(source.pid), wall = now_s();
  run(calls);
  wall = now_s() - wall;
  python = (cpu_of_python(source.pid) - python) / calls * 1e6;
  own = (cpu_of(RUSAGE_SELF) - own) / calls * 1e6;
  spawner = (cpu_of_process(source.pid) - spawner) / calls * 1e6;
  fmt::print(
      "{:<8} {} in flight  {:>6.0f} calls/s  {:>6.0f} us CPU each: Python {:.0f}, worker {:.0f}, "
      "spawner {:.0f}\n",
      name, at_once, calls / wall, python + own + spawner, python, own, spawner);
}

int bench_python(int calls) {
  char name[] = "/tmp/millrace-bench-XXXXXX";
  WorkerConfig config;
  config.spawner.data_dir = mkdtemp(name);
  config.run.sdk = [](Sdk) { return Result<std::string>(MILLRACE_SOURCE_DIR "/sdk/python/src"); };
  config.run.warm.calls = 1 << 30;
  config.slots = 8;
  config.release_file = [](const auto&, const auto&, const auto& file) {
    return Result<std::string>(kPack + "/" + file);
  };
  if (!make_folders(kPack + "/actions", 0755).ok()) return 1;
  if (!replace_file(kPack + "/actions/echo.py", kAction).ok()) return 1;
  CountingSource source;
  async::Loop loop;
  Worker worker(source, loop, config);
  if (!worker.start().ok()) std::abort();
  for (int round = 0; round < 3; ++round) {
    for (int at_once : {1, 8}) {
      python_calls(source, "cold", Reuse::None, at_once, std::max(20, calls / 100));
      python_calls(source, "fork", Reuse::Fork, at_once, std::max(20, calls / 10));
      python_calls(source, "process", Reuse::Process, at_once, calls);
    }
  }
  if (!loop.block_on(worker.stop(async::Duration(5000)))) return 1;
  std::filesystem::remove_all(config.spawner.data_dir);
  std::filesystem::remove_all(kPack);
  return source.failed == 0 ? 0 : 1;
}

int bench(int runs) {
  char name[] = "/tmp/millrace-bench-XXXXXX";
  WorkerConfig config;
  config.spawner.data_dir = mkdtemp(name);
  config.release_file = [](const auto&, const auto&, const auto& file) {
    return Result<std::string>(std::string(kPack) + "/" + file);
  };
  config.spawner.use_cgroups = std::getenv("NO_CGROUPS") == nullptr;
  if (!make_folders(kPack + "/actions", 0755).ok()) return 1;
  if (symlink("/bin/true", (kPack + "/actions/true").c_str()) != 0 && errno != EEXIST) {
    return 1;
  }
  CountingSource source;
  async::Loop loop;
  Worker worker(source, loop, config);
  if (!worker.start().ok()) std::abort();
  for (int round = 0; round < 3; ++round) {
    for (int at_once : {1, 16}) {
      bare(at_once, runs);
      through_worker(source, worker, at_once, runs);
    }
  }
  std::string status = read_small_file(fmt::format("/proc/{}/status", source.pid));
  fmt::print("spawner: {}\n", status.substr(status.find("VmRSS"), 25));
  if (!loop.block_on(worker.stop(async::Duration(5000)))) return 1;
  std::filesystem::remove_all(config.spawner.data_dir);
  std::filesystem::remove_all(kPack);
  return source.failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace millrace::worker

int main(int argc, char** argv) {
  using namespace millrace::worker;
  if (is_spawner_invocation(argc, argv)) return spawner_main(argc, argv, millrace::blob_fs::open);
  bool is_python = argc > 1 && std::string_view(argv[1]) == "--python";
  int given = argc > (is_python ? 2 : 1) ? std::atoi(argv[is_python ? 2 : 1]) : 3000;
  return is_python ? bench_python(given) : bench(given);
}
