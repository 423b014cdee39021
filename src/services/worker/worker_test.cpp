// SPDX-License-Identifier: Apache-2.0
#include "services/worker/worker.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <new>
#include <stdexcept>

#include "adapters/blob_fs/blob_fs.h"
#include "base/in_hand.h"
#include "services/worker/http_runs.h"
#include "services/worker/worker_fixture.h"

namespace millrace::worker {
namespace {

TEST_F(WorkerTest, RunsAnOrderAndReportsItsEnd) {
  RunningWorker worker(source_, config_);
  auto order = shell("cat; echo $MILLRACE_EXEC_ID; echo oops >&2; exit 2");
  order.parameters.set("greeting", "hello");
  order.env = {{"MILLRACE_EXEC_ID", order.key.execution.str()}};
  source_.grant({order});
  auto c = source_.wait_finished(order.key);
  EXPECT_EQ(c.end, RunEnd::Exited);
  EXPECT_EQ(c.exit_code, 2);
  EXPECT_TRUE(c.out.bytes.ends_with("\"greeting\":\"hello\"}5000\n")) << c.out.bytes;
  EXPECT_EQ(c.err.bytes, "oops\n");
  EXPECT_EQ(c.tenant, kDefaultTenant);
  EXPECT_TRUE(worker->ready());
}

TEST_F(WorkerTest, RunsAPythonScriptOfAPack) {
  RunningWorker worker(source_, config_);
  std::string folder = path("demo-d1");
  ASSERT_TRUE(make_folders(folder + "/actions", 0755).ok());
  ASSERT_TRUE(replace_file(folder + "/actions/add.py",
                           "import json, sys\np = json.load(sys.stdin)\n"
                           "print(json.dumps({'sum': p['a'] + p['b']}))\n")
                  .ok());
  auto order = shell("");
  order.action = "demo.add";
  order.pack = "demo";
  order.release = "d1";
  order.runner = Runner::Script;
  order.entry_point = "add.py";
  order.runtime.interpreter = {"/usr/bin/python3"};
  order.parameters = Value::map({{"a", 1}, {"b", 41}});
  source_.grant({order});
  auto c = source_.wait_finished(order.key);
  EXPECT_EQ(c.out.bytes, "{\"sum\": 42}\n") << c.err.bytes << c.message;
}

TEST_F(WorkerTest, ReportsAnOrderThatCannotStart) {
  RunningWorker worker(source_, config_);
  auto empty = shell("");
  auto bad_folder = shell("true");
  bad_folder.parameters.set("cwd", "/no/such/folder");
  auto too_large = shell("true");
  too_large.parameters.set("data", std::string(kMaxFrame, 'x'));
  source_.grant({empty, bad_folder, too_large});
  for (const auto* order : {&empty, &bad_folder, &too_large}) {
    auto c = source_.wait_finished(order->key);
    EXPECT_EQ(c.end, RunEnd::SpawnFailed);
    EXPECT_FALSE(c.message.empty());
  }
  EXPECT_EQ(source_.wait_finished(too_large.key).message,
            "the parameters are too large: at most 32 MiB can be passed");
}

TEST_F(WorkerTest, WhatAnOrderThrowsIsItsOwnEnd) {
  config_.prepare = [](const kernel::WorkOrder& order) -> std::optional<Preparation> {
    if (order.action == "demo.prepare") throw std::runtime_error("no plan for it");
    return std::nullopt;
  };
  config_.release_file = [](const auto&, const auto&, const auto&) -> Result<std::string> {
    throw std::length_error("no room for it");
  };
  RunningWorker worker(source_, config_);
  auto prepares = shell("true"), script = shell(""), calm = shell("echo calm");
  prepares.action = "demo.prepare";
  script.runner = Runner::Script;
  source_.grant({prepares, script, calm});
  auto c = source_.wait_finished(prepares.key);
  EXPECT_EQ(c.end, RunEnd::SpawnFailed);
  EXPECT_EQ(c.message, "an exception in the worker: no plan for it");
  EXPECT_EQ(source_.wait_finished(script.key).message,
            "an exception in the worker: no room for it");
  EXPECT_EQ(source_.wait_finished(calm.key).out.bytes, "calm\n");
}

TEST_F(WorkerTest, AnEndThatCannotBeToldIsToldAsLost) {
  std::atomic<int> calls = 0;
  source_.on_finished = [&] {
    if (++calls == 1) throw std::bad_alloc();
  };
  RunningWorker worker(source_, config_);
  auto order = shell("echo whole");
  source_.grant({order});
  auto c = source_.wait_finished(order.key);
  EXPECT_EQ(c.end, RunEnd::Lost);
  EXPECT_NE(c.message.find("an exception in the worker"), std::string::npos) << c.message;
  auto after = shell("echo after");
  source_.grant({after});
  EXPECT_EQ(source_.wait_finished(after.key).out.bytes, "after\n");
  EXPECT_TRUE(eventually([&] { return worker->stats().running == 0; }));
}

// Whoever decides on the run decides on all others too, and must not parse megabytes.
TEST_F(WorkerTest, ReadsLargeStructuredOutput) {
  auto blobs = blob_fs::open(data_.path());
  ASSERT_TRUE(blobs.ok());
  config_.blobs = blobs->get();
  RunningWorker worker(source_, config_);
  auto printing = [&](const char* end, OutputFormat format) {
    auto order = shell(fmt::format(
        "printf '[\"hush-hush\"'; head -c 1200000 /dev/zero | tr '\\0' ' '; printf '{}'", end));
    order.secrets = {"hush-hush"};
    order.output_format = format;
    return order;
  };
  auto whole = printing(", 1]", OutputFormat::Json), broken = printing(", 1", OutputFormat::Json),
       text = printing("", OutputFormat::Text), small = shell("echo '[1]'");
  small.output_format = OutputFormat::Json;
  source_.grant({whole, broken, text, small});
  auto c = source_.wait_finished(whole.key);
  EXPECT_TRUE(c.is_read);
  EXPECT_EQ(c.output, Value(ValueList{"hush-hush", 1})) << c.output_error;
  EXPECT_EQ(c.out.hidden.size(), 1U);
  c = source_.wait_finished(broken.key);
  EXPECT_TRUE(c.is_read);
  EXPECT_TRUE(c.output.is_null());
  EXPECT_NE(c.output_error, "");
  EXPECT_FALSE(source_.wait_finished(text.key).is_read);
  EXPECT_FALSE(source_.wait_finished(small.key).is_read);
}

// The place of the Python SDK: a program that says what it was given, beside what it prints.
TEST_F(WorkerTest, AResultComesOnADescriptorOfItsOwn) {
  auto blobs = blob_fs::open(data_.path());
  ASSERT_TRUE(blobs.ok());
  config_.blobs = blobs->get();
  constexpr std::string_view kSdk = R"(import json, os, sys
order = json.load(sys.stdin)
print('["printed"]')
if order["parameters"]["size"] < 0: os._exit(3)
def say(what): os.write(int(os.environ["MILLRACE_RESULT_FD"]), json.dumps(what).encode())
if order["parameters"]["size"] == 0:
    say({"status": "failed", "error": {"type": "E", "message": "at " + order["config"]["key"]}})
    os._exit(0)
result = [order["config"], order["action"], "x" * order["parameters"]["size"]]
say({"result": result})
# )";
  config_.run.sdk = [=](Sdk) { return Result<std::string>(kSdk); };
  config_.release_file = [](const auto&, const auto&, const auto& file) {
    return Result<std::string>("/release/" + file);
  };
  RunningWorker worker(source_, config_);
  auto calling = [&](int64_t size) {
    auto order = shell("");
    order.runner = Runner::Script;
    order.runtime.interpreter = {"python3", "-c"};
    order.entry_point = "a.py";
    order.sdk = Sdk::Python;
    order.secrets = {"hush-hush"};
    order.config = Value::map({{"key", "hush-hush"}});
    order.parameters = Value::map({{"size", size}});
    return order;
  };
  auto small = calling(1), large = calling(200'000), silent = calling(-1), failing = calling(0);
  source_.grant({small, large, silent, failing});
  for (const auto& order : {small, large}) {
    auto c = source_.wait_finished(order.key);
    EXPECT_FALSE(c.is_read) << "nobody else can read it again";
    EXPECT_EQ(c.output_error, "");
    auto size = static_cast<size_t>(order.parameters["size"].as_int());
    EXPECT_EQ(c.output,
              Value(ValueList{order.config, order.action, Value(std::string(size, 'x'))}));
    EXPECT_EQ(c.out.bytes, "[\"printed\"]\n");
    EXPECT_EQ(c.result.size, 0);
  }
  EXPECT_FALSE(
      (*blobs)->size(kernel::output_ref(large.tenant, large.key, kernel::Stream::Result)).ok());
  auto c = source_.wait_finished(failing.key);
  EXPECT_TRUE(c.says_failed);
  EXPECT_EQ(c.message, "E: at ********") << "it is for people";
  c = source_.wait_finished(silent.key);
  EXPECT_EQ(c.exit_code, 3);
  EXPECT_TRUE(c.output.is_null());
}

TEST_F(WorkerTest, ARunOfWhichServersHaveDiedIsGivenUp) {
  auto deadly = shell("echo again"), calm = shell("echo calm");
  for (int i = 0; i < InHand::kMostEnds; ++i) {
    (*InHand::open(path("in_hand"), "1"))->take({"run", deadly.key.execution.value});
  }
  auto in_hand = *InHand::open(path("in_hand"), "1");
  config_.in_hand = in_hand.get();
  RunningWorker worker(source_, config_);
  source_.grant({deadly, calm});
  auto c = source_.wait_finished(deadly.key);
  EXPECT_EQ(c.end, RunEnd::SpawnFailed);
  EXPECT_EQ(c.message, "the server has ended 2 times while it was at this run");
  EXPECT_EQ(source_.wait_finished(calm.key).out.bytes, "calm\n");
  worker.stop();
  EXPECT_FALSE(in_hand->has_suspects());
  EXPECT_TRUE((*InHand::open(path("in_hand"), "1"))->found().empty());
}

TEST_F(WorkerTest, ForwardsOutputWhileTheRunGoesOn) {
  RunningWorker worker(source_, config_);
  auto order = shell("printf first; while ! [ -e go ]; do sleep 0.01; done; printf second");
  source_.grant({order});
  source_.wait_for_live(order.key, "first");
  ASSERT_TRUE(replace_file(path("go"), "").ok());
  EXPECT_EQ(source_.wait_finished(order.key).out.bytes, "firstsecond");
}

TEST_F(WorkerTest, CancelsARunAndReportsUnknownOnesAsLost) {
  RunningWorker worker(source_, config_);
  auto order = shell("echo; exec sleep 1000");
  source_.grant({order});
  source_.wait_for_live(order.key, "\n");
  source_.cancel(order.key);
  source_.cancel(order.key);  // is repeated until the completion is durable
  EXPECT_EQ(source_.wait_finished(order.key).end, RunEnd::Canceled);

  RunKey unknown{ExecutionId(1), 1, 1};
  source_.cancel(unknown);
  auto lost = source_.wait_finished(unknown);
  EXPECT_EQ(lost.end, RunEnd::Lost);
  EXPECT_EQ(lost.tenant, kDefaultTenant);  // its execution is found by both
}

TEST_F(WorkerTest, ReadsLargeStructuredOutputOfAdoptedRunsToo) {
  auto blobs = blob_fs::open(data_.path());
  ASSERT_TRUE(blobs.ok());
  config_.blobs = blobs->get();
  auto printing = [&](std::string_view before) {
    auto order = shell(fmt::format(
        "{}printf '[\"hush-hush\"'; head -c 1200000 /dev/zero | tr '\\0' ' '; echo ', 1]'",
        before));
    order.secrets = {"hush-hush"};
    order.output_format = OutputFormat::Json;
    return order;
  };
  auto ended = printing("");
  auto running = printing("echo $$ > pid; while ! [ -e go ]; do sleep 0.01; done; ");
  {
    FakeSource first;
    first.acknowledges = false;
    RunningWorker worker(first, config_);
    first.grant({ended, running});
    first.wait_finished(ended.key);
    wait_for_line(path("pid"));
  }
  for (const auto& order : {ended, running}) {
    source_.adopted.push_back({order.tenant, order.key, order.output_format, order.secrets});
  }
  RunningWorker worker(source_, config_);
  ASSERT_TRUE(replace_file(path("go"), "").ok());
  for (const auto& order : {ended, running}) {
    auto c = source_.wait_finished(order.key);
    EXPECT_TRUE(c.is_read);
    EXPECT_EQ(c.output, Value(ValueList{"hush-hush", 1})) << c.output_error;
  }
}

TEST_F(WorkerTest, TheNextWorkerAdoptsWhatRunsAndWhatIsUnreported) {
  auto running = shell("echo $$ > pid; while ! [ -e go ]; do sleep 0.01; done; echo done");
  auto unreported = shell("exit 6");
  std::string instance;
  {
    FakeSource first;
    first.acknowledges = false;
    RunningWorker worker(first, config_);
    first.grant({running, unreported});
    first.wait_finished(unreported.key);
    wait_for_line(path("pid"));
    instance = first.hello().instance;
  }
  RunningWorker worker(source_, config_);
  EXPECT_EQ(source_.hello().instance, instance);
  auto adopted = source_.hello().adopted;
  std::sort(adopted.begin(), adopted.end());
  EXPECT_EQ(adopted, (std::vector{running.key, unreported.key}));
  EXPECT_EQ(source_.wait_finished(unreported.key).exit_code, 6);
  ASSERT_TRUE(replace_file(path("go"), "").ok());
  auto c = source_.wait_finished(running.key);
  EXPECT_EQ(c.out.bytes, "done\n");
  EXPECT_EQ(c.tenant, kDefaultTenant);
}

TEST_F(WorkerTest, RunsOfAKilledSpawnerAreLostAndDeadAndWorkGoesOn) {
  RunningWorker worker(source_, config_);
  auto order = shell("echo $$ > pid; exec sleep 1000");
  source_.grant({order});
  int pid = std::atoi(wait_for_line(path("pid")).c_str());
  kill(spawner_pid(), SIGKILL);
  auto c = source_.wait_finished(order.key);
  EXPECT_EQ(c.end, RunEnd::Lost);
  EXPECT_FALSE(is_alive(pid));
  EXPECT_EQ(c.tenant, kDefaultTenant);

  auto next = shell("echo again");
  source_.grant({next});
  EXPECT_EQ(source_.wait_finished(next.key).out.bytes, "again\n");
  EXPECT_EQ(source_.times_finished(order.key), 1U);
}

TEST_F(WorkerTest, OrdersThatComeWhileNoSpawnerIsThereWaitForOne) {
  RunningWorker worker(source_, config_);
  source_.hello();
  std::vector<kernel::WorkOrder> orders;
  kill(spawner_pid(), SIGKILL);
  for (int i = 0; i < 20; ++i) {
    orders.push_back(shell("echo ran"));
    source_.grant({orders.back()});
    usleep(2000);
  }
  EXPECT_TRUE(eventually([&] { return !worker->ready() || worker->stats().reconnects > 0; }));
  orders.push_back(shell("echo ran"));  // it has noticed
  source_.grant({orders.back()});
  for (const auto& order : orders) {
    auto c = source_.wait_finished(order.key);
    // Those that were sent into the dying connection are lost, which is said of them.
    EXPECT_TRUE(c.out.bytes == "ran\n" || c.end == RunEnd::Lost) << c.message;
  }
  EXPECT_EQ(source_.wait_finished(orders.back().key).out.bytes, "ran\n");
}

// Answers every connection with the same text, or never when that is empty.
class CannedServer {
 public:
  explicit CannedServer(std::string answer) : answer_(std::move(answer)) {
    listener_ = Fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* any = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(bind(listener_.get(), any, size), 0);
    EXPECT_EQ(listen(listener_.get(), 8), 0);
    getsockname(listener_.get(), any, &size);
    url = fmt::format("http://127.0.0.1:{}/path", ntohs(address.sin_port));
    thread_ = std::thread([this] { serve(); });
  }
  ~CannedServer() {
    shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
  }
  std::string request() {
    EXPECT_TRUE(eventually([&] {
      std::lock_guard lock(mutex_);
      return !request_.empty();
    }));
    return request_;
  }
  std::string url;

 private:
  void serve() {
    std::vector<Fd> open;
    for (Fd peer; peer = Fd(accept(listener_.get(), nullptr, nullptr)), peer;) {
      char buffer[4096];
      ssize_t n = recv(peer.get(), buffer, sizeof buffer, 0);
      std::lock_guard lock(mutex_);
      request_.assign(buffer, static_cast<size_t>(std::max<ssize_t>(n, 0)));
      send(peer.get(), answer_.data(), answer_.size(), MSG_NOSIGNAL);
      if (answer_.empty()) open.push_back(std::move(peer));
    }
  }
  std::string answer_;
  Fd listener_;
  std::mutex mutex_;
  std::string request_;
  std::thread thread_;
};

TEST_F(WorkerTest, MakesHttpRequestsItself) {
  CannedServer server(
      "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Token: secret-1\r\n"
      "Content-Length: 22\r\n\r\n{\"a\":1,\"t\":\"secret-1\"}");
  RunningWorker worker(source_, config_);
  auto order = http(server.url);
  order.parameters.set("method", "POST");
  order.parameters.set("params", Value::map({{"q", "a b&c"},
                                             {"on", true},
                                             {"off", false},
                                             {"ids", ValueList{1, "x,y"}},
                                             {"none", Value()},
                                             {"of", Value::map({{"k", true}})}}));
  order.parameters.set("headers", Value::map({{"X-Dry-Run", true}}));
  order.parameters.set("body", Value::map({{"k", "v"}}));
  order.secrets = {"secret-1"};
  source_.grant({order});
  auto c = source_.wait_finished(order.key);
  EXPECT_EQ(c.end, RunEnd::Exited);
  EXPECT_EQ(c.exit_code, 0) << c.message;
  EXPECT_EQ(c.output["status_code"], Value(200));
  EXPECT_EQ(c.output["body"], Value::map({{"a", 1}, {"t", "********"}}));
  EXPECT_EQ(c.output["headers"]["X-Token"], Value("********"));
  std::string request = server.request();
  EXPECT_TRUE(
      request.starts_with("POST /path?q=a%20b%26c&on=true&off=false&ids=1&ids=x%2Cy&of="
                          "%7B%22k%22%3Atrue%7D HTTP/1.1\r\n"))
      << request;
  EXPECT_NE(request.find("X-Dry-Run: true\r\n"), std::string::npos) << request;
  EXPECT_TRUE(request.ends_with("{\"k\":\"v\"}")) << request;
  EXPECT_NE(request.find("Content-Type: application/json"), std::string::npos);
}

TEST_F(WorkerTest, ABodyThatIsNotTheJsonThatItSaysStaysTextAndSaysSo) {
  CannedServer server(
      "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\n{\"a\":");
  RunningWorker worker(source_, config_);
  auto order = http(server.url);
  source_.grant({order});
  auto c = source_.wait_finished(order.key);
  EXPECT_EQ(c.output["body"], Value("{\"a\":"));
  EXPECT_FALSE(c.output.string_or("body_error", "").empty());
}

TEST_F(WorkerTest, AnHttpErrorIsExitCodeOneWithTheAnswer) {
  CannedServer server("HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnope");
  RunningWorker worker(source_, config_);
  auto order = http(server.url);
  source_.grant({order});
  auto c = source_.wait_finished(order.key);
  EXPECT_EQ(c.exit_code, 1);
  EXPECT_EQ(c.message, "HTTP status 404");
  EXPECT_EQ(c.output["body"], Value("nope"));
}

TEST_F(WorkerTest, EndsHttpRequestsByTimeoutAndByCancel) {
  CannedServer silent("");
  RunningWorker worker(source_, config_);
  auto slow = http(silent.url);
  slow.parameters.set("timeout", 0.05);
  auto timed_out = http(silent.url);
  timed_out.timeout_ms = 50;
  auto canceled = http(silent.url);
  source_.grant({slow, timed_out, canceled});
  EXPECT_EQ(source_.wait_finished(slow.key).end, RunEnd::Exited);
  EXPECT_EQ(source_.wait_finished(slow.key).message, "no answer within 0.05 s");
  EXPECT_EQ(source_.wait_finished(timed_out.key).end, RunEnd::TimedOut);
  source_.cancel(canceled.key);
  EXPECT_EQ(source_.wait_finished(canceled.key).end, RunEnd::Canceled);
}

TEST_F(WorkerTest, AnHttpRequestThatDiedWithItsServerIsLost) {
  CannedServer silent("");
  auto order = http(silent.url);
  {
    FakeSource first;
    RunningWorker worker(first, config_);
    first.grant({order});
    silent.request();
  }
  RunningWorker worker(source_, config_);
  EXPECT_EQ(source_.wait_finished(order.key).end, RunEnd::Lost);
  EXPECT_EQ(source_.hello().adopted, std::vector{order.key});
}

TEST_F(WorkerTest, AnHttpRequestOutlivesTheSpawner) {
  CannedServer silent("");
  RunningWorker worker(source_, config_);
  auto order = http(silent.url);
  source_.grant({order});
  silent.request();
  kill(spawner_pid(), SIGKILL);
  EXPECT_TRUE(eventually([&] { return worker->stats().reconnects == 1; }));
  EXPECT_EQ(source_.times_finished(order.key), 0U);
  source_.cancel(order.key);
  EXPECT_EQ(source_.wait_finished(order.key).end, RunEnd::Canceled);
}

TEST_F(WorkerTest, TellsTheSpawnerOnceACompletionIsDurable) {
  auto order = shell("true");
  {
    RunningWorker worker(source_, config_);
    source_.grant({order});
    source_.wait_finished(order.key);
  }
  Client client(config_.spawner);
  EXPECT_TRUE(client.hello().runs.empty());
}

TEST_F(WorkerTest, WorkerAndSpawnerDoNothingWhenIdle) {
  RunningWorker worker(source_, config_);
  auto order = shell("true");
  source_.grant({order});
  source_.wait_finished(order.key);
  // CPU time, time waited and turns on a core of the spawner.
  std::string schedule = fmt::format("/proc/{}/schedstat", spawner_pid());
  EXPECT_TRUE(eventually([&] {
    auto before = worker->stats().wake_ups;
    std::string spawner_before = read_small_file(schedule);
    usleep(300'000);
    return worker->stats().wake_ups == before && read_small_file(schedule) == spawner_before;
  }));
}

TEST_F(WorkerTest, RunsAThousandQuickOnesWithFewWakeUps) {
  RunningWorker worker(source_, config_);
  constexpr size_t kRuns = 1000, kAtOnce = 16;
  std::vector<RunKey> keys;
  for (size_t i = 0; i < kRuns; ++i) {
    if (i >= kAtOnce) source_.wait_for_count(i - kAtOnce);
    auto order = shell("exec /bin/true");
    keys.push_back(order.key);
    source_.grant({order});
  }
  for (const auto& key : keys) {
    EXPECT_EQ(source_.wait_finished(key).exit_code, 0);
    EXPECT_EQ(source_.times_finished(key), 1U);
  }
  EXPECT_LE(worker->stats().wake_ups, static_cast<int64_t>(2 * kRuns));
}

}  // namespace
}  // namespace millrace::worker
