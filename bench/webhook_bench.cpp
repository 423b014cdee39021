// SPDX-License-Identifier: Apache-2.0
// Signed webhooks over HTTP until the 202, which comes after the commit. The floor of a request is
// its rows in bare SQLite and nginx answering the same request with a constant, one after the
// other.
#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "auth/crypto.h"
#include "bare_rows.h"
#include "bare_sqlite.h"
#include "base/json.h"
#include "base/text.h"
#include "figure.h"
#include "hostile.h"
#include "test_server.h"

namespace millrace::bench {
namespace {

constexpr std::string_view kSecret = "a secret of the bench";
constexpr int64_t kAtOnce[] = {1, 64};

struct Kind {
  std::string_view name;
  size_t bytes;
  bool matched;
  double aim_cpu_us;  // at 64 in flight
};
constexpr Kind kKinds[] = {{"1 KB, no match", 1 << 10, false, 80},
                           {"8 KB, no match", 8 << 10, false, 120},
                           {"8 KB, matched", 8 << 10, true, 160}};

// A push of about `bytes`: like GitHub's, a list of commits with short texts. The number makes
// each its own.
std::string push(size_t bytes, bool matched, int64_t number) {
  std::string body = fmt::format(
      R"({{"ref":"refs/heads/{}","before":"{:040x}","repository":{{"id":1,"name":"gears",)"
      R"("full_name":"ada/gears","private":false}},"pusher":{{"name":"ada"}},"commits":[)",
      matched ? "main" : "topic", number);
  constexpr size_t kCommit = 190;
  for (int i = 0; body.size() + kCommit < bytes; ++i) {
    fmt::format_to(std::back_inserter(body),
                   R"({}{{"id":"{:040x}","message":"Mend the gears","distinct":true,)"
                   R"("author":{{"name":"Ada","email":"ada@example.com"}},"added":[],)"
                   R"("modified":["src/gear.cpp"]}})",
                   i == 0 ? "" : ",", i);
  }
  return body + "]}";
}

std::string request(const Kind& kind, int64_t number) {
  auto body = push(kind.bytes, kind.matched, number);
  auto signature = hex_encode(auth::bytes_of(auth::hmac_sha256(kSecret, {body})));
  auto headers = fmt::format(
      "Content-Type: application/json\r\nUser-Agent: GitHub-Hookshot/1\r\nX-GitHub-Event: push\r\n"
      "X-GitHub-Delivery: {}\r\nX-Hub-Signature-256: sha256={}\r\n",
      delivery(number), signature);
  return http_request("POST", "/api/v1/webhooks/github", headers, body);
}

// One slot, which is taken: what matches is queued and stays.
void prepare(TestServer& server) {
  server.call("POST", "/api/v1/webhook-endpoints",
              fmt::format(R"({{"name":"github","scheme":"github","secrets":["{}"]}})", kSecret));
  server.call("POST", "/api/v1/rules", R"({"ref":"bench.pushed",
      "trigger":{"ref":"core.webhook","parameters":{"name":"github"}},
      "criteria":{"trigger.body.ref":{"type":"equals","pattern":"refs/heads/main"}},
      "action":{"ref":"bench.true","parameters":{}}})");
  server.call("POST", "/api/v1/executions", R"({"action":"bench.hold"})");
}

// The floor's two halves, one after the other.
LoadSample sum(const LoadSample& a, const LoadSample& b) {
  return {.rate = 1 / (1 / a.rate + 1 / b.rate),
          .p50_us = a.p50_us + b.p50_us,
          .p99_us = a.p99_us + b.p99_us,
          .cpu_us = a.cpu_us + b.cpu_us,
          .client_cpu_us = a.client_cpu_us + b.client_cpu_us};
}

LoadSample bare_rows(BareRows& rows, int64_t count, int64_t at_once, const Kind& kind) {
  std::vector<double> commits;
  auto payload = push(kind.bytes, kind.matched, 0);
  auto sample =
      measure([&] { return rows.webhooks(count, at_once, payload, kind.matched, &commits); });
  std::ranges::sort(commits);
  return {.rate = sample.rate(),
          .p50_us = quantile(commits, 0.5),
          .p99_us = quantile(commits, 0.99),
          .cpu_us = sample.cpu_us()};
}

class WebhookBench {
 public:
  explicit WebhookBench(const Options& options)
      : options_(options),
        nginx_(options.folder),
        server_(options.server, options.folder + "/webhook", {"worker.slots=1"},
                make_bench_pack(options.folder)) {
    prepare(server_);
  }

  std::vector<Line> run(const Kind& kind, int64_t at_once) {
    BareRows rows(fmt::format("{}/webhook-floor-{}", options_.folder, ++floors_));
    HttpLoad ours(server_.port(), static_cast<int>(at_once));
    HttpLoad theirs(nginx_.port(), static_cast<int>(at_once));
    auto server_use = [&] { return server_.use(); };
    auto nginx_cpu = [&] { return nginx_.cpu_seconds(); };
    ours.run(requests(kind, 20 * at_once), {202}, server_use);  // not counted
    int64_t count = options_.count(2000, 20) * (at_once == 1 ? 1 : 3);
    std::vector<LoadSample> of_ours;
    std::vector<LoadSample> of_floor;
    for (int round = 0; round < options_.rounds(5); ++round) {
      auto texts = requests(kind, count);
      auto run_ours = [&] { of_ours.push_back(ours.run(texts, {202}, server_use)); };
      // Who goes first changes: what the first leaves to the disk meets both.
      if (round % 2 == 0) run_ours();
      rows.checkpoint();
      auto bare = bare_rows(rows, count, at_once, kind);
      of_floor.push_back(sum(bare, theirs.run(texts, {202}, nginx_cpu)));
      if (round % 2 != 0) run_ours();
    }
    check(kind, ours);
    return lines(kind, at_once, of_ours, of_floor);
  }

 private:
  // One more webhook starts what its kind says.
  void check(const Kind& kind, HttpLoad& load) {
    auto answer = load.ask(request(kind, ++number_));
    auto accepted = parse_json(answer.body);
    if (!accepted.ok()) give_up(accepted.error().describe());
    auto query = fmt::format("?event={}", (*accepted)["data"]["event"].as_string());
    auto rows = server_.call("GET", "/api/v1/enforcements" + query);
    if (rows.size() != (kind.matched ? 1 : 0)) give_up("a webhook did not match as it should");
  }

  std::vector<std::string> requests(const Kind& kind, int64_t count) {
    std::vector<std::string> texts;
    for (int64_t i = 0; i < count; ++i) texts.push_back(request(kind, ++number_));
    return texts;
  }

  static std::vector<Line> lines(const Kind& kind, int64_t at_once,
                                 const std::vector<LoadSample>& ours,
                                 const std::vector<LoadSample>& floor) {
    auto line = [&](std::string_view what, std::string unit, double LoadSample::* figure) {
      return Line{.figure = fmt::format("webhook {}, {} at once: {}", kind.name, at_once, what),
                  .unit = std::move(unit),
                  .ours = median(ours, figure),
                  .floor = median(floor, figure)};
    };
    auto rate = line("accepted", "/s", &LoadSample::rate);
    rate.better = Line::Better::More;
    auto cpu = line("server CPU", "us", &LoadSample::cpu_us);
    if (at_once == 64) {
      cpu.aim = kind.aim_cpu_us;
      cpu.aim_of = Line::AimOf::Ours;
    }
    auto client = line("client CPU", "us", &LoadSample::client_cpu_us);
    client.floor = 0;
    std::vector<Line> lines{rate, line("p50", "us", &LoadSample::p50_us),
                            line("p99", "us", &LoadSample::p99_us), cpu, client};
    add_use(lines, fmt::format("webhook {}, {} at once", kind.name, at_once), ours);
    return lines;
  }

  const Options& options_;
  Nginx nginx_;
  TestServer server_;
  int64_t number_ = 0;
  int floors_ = 0;
};

// As many executions that sleep, in a server that is gone again; all are due when the next starts.
void leave_due(const Options& options, const std::string& folder, int64_t count) {
  {
    TestServer server(options.server, folder);
    HttpLoad load(server.port(), 64);
    auto sleeps = http_request("POST", "/api/v1/executions",
                               server.authorization() + "Content-Type: application/json\r\n",
                               R"({"action":"core.sleep","parameters":{"seconds":86400}})");
    load.run(std::vector<std::string>(static_cast<size_t>(count), sleeps), {201},
             [&] { return server.cpu_seconds(); });
  }
  BareSqlite store(folder + "/data/millrace.db");
  store.exec("UPDATE timer SET due = 1");
}

int64_t timers_left(sqlite3_stmt* count) {
  sqlite3_step(count);
  int64_t left = sqlite3_column_int64(count, 0);
  sqlite3_reset(count);
  return left;
}

}  // namespace

std::vector<Line> drain_figure(const Options& options) {
  constexpr int kConnections = 16;
  constexpr int kRequests = 400;  // of a round
  int64_t due = options.count(100'000, 500);
  auto folder = options.folder + "/drain";
  leave_due(options, folder, due);
  TestServer server(options.server, folder);
  double begin = wall_seconds();
  double cpu_begin = server.cpu_seconds();
  server.call("POST", "/api/v1/webhook-endpoints",
              fmt::format(R"({{"name":"github","scheme":"github","secrets":["{}"]}})", kSecret));
  HttpLoad load(server.port(), kConnections);
  int64_t number = 0;
  auto round = [&] {
    std::vector<std::string> texts;
    for (int i = 0; i < kRequests; ++i) texts.push_back(request(kKinds[0], ++number));
    return load.run(texts, {202}, [&] { return server.cpu_seconds(); });
  };
  BareSqlite store(folder + "/data/millrace.db");
  auto* count = store.prepare("SELECT count(*) FROM timer");
  std::vector<LoadSample> beside;
  do beside.push_back(round());
  while (timers_left(count) > 0);
  double seconds = wall_seconds() - begin;
  double cpu = server.cpu_seconds() - cpu_begin;
  sqlite3_finalize(count);
  std::vector<LoadSample> quiet;
  for (int i = 0; i < options.rounds(20); ++i) quiet.push_back(round());
  auto ended = server.call("GET", "/api/v1/executions?status=succeeded&limit=1");
  if (ended.size() != 1) give_up("no execution that was due has ended");
  auto name = fmt::format("webhook 1 KB beside {} due timers, {} at once", due, kConnections);
  auto line = [&](std::string_view what, double LoadSample::* figure) {
    return Line{.figure = fmt::format("{}: {}", name, what),
                .unit = "us",
                .ours = median(beside, figure),
                .floor = median(quiet, figure)};
  };
  return {line("p50", &LoadSample::p50_us),
          line("p99", &LoadSample::p99_us),
          {.figure = fmt::format("{} timers that are due: fired beside webhooks", due),
           .unit = "/s",
           .ours = static_cast<double>(due) / seconds,
           .better = Line::Better::More},
          {.figure = "the same: server CPU, the webhooks' included",
           .unit = "us",
           .ours = cpu * 1e6 / static_cast<double>(due)}};
}

std::vector<Line> borders_figure(const Options& options) {
  constexpr int kConnections = 16;
  constexpr int kRequests = 400;  // of a round
  const int hostile = options.smoke ? 50 : 1000;
  TestServer server(options.server, options.folder + "/borders");
  server.call("POST", "/api/v1/webhook-endpoints",
              fmt::format(R"({{"name":"github","scheme":"github","secrets":["{}"]}})", kSecret));
  HttpLoad load(server.port(), kConnections);
  int64_t number = 0;
  auto rounds = [&](std::vector<LoadSample>& samples) {
    for (int i = 0; i < options.rounds(20); ++i) {
      std::vector<std::string> texts;
      for (int j = 0; j < kRequests; ++j) texts.push_back(request(kKinds[1], ++number));
      samples.push_back(load.run(texts, {202}, [&] { return server.cpu_seconds(); }));
    }
  };
  std::vector<LoadSample> quiet;
  std::vector<LoadSample> beside;
  for (int turn = 0; turn < options.rounds(3); ++turn) {
    rounds(quiet);
    Hostile crowd(server.port(), hostile);
    std::this_thread::sleep_for(std::chrono::milliseconds(500));  // until they are there
    rounds(beside);
  }
  auto name =
      fmt::format("webhook 8 KB beside {} hostile clients, {} at once", hostile, kConnections);
  auto line = [&](std::string_view what, double LoadSample::* figure, double aim) {
    return Line{.figure = fmt::format("{}: {}", name, what),
                .unit = "us",
                .ours = median(beside, figure),
                .floor = median(quiet, figure),
                .aim = aim};
  };
  return {line("p50", &LoadSample::p50_us, 2),
          line("p99", &LoadSample::p99_us, 2),
          {.figure = "the same: resident at most",
           .unit = "MB",
           .ours = static_cast<double>(footprint_of(server.pid()).peak_bytes) / 1e6,
           .aim = 200,
           .aim_of = Line::AimOf::Ours}};
}

std::vector<Line> webhook_figure(const Options& options) {
  WebhookBench bench(options);
  std::vector<Line> lines;
  for (const auto& kind : kKinds) {
    for (int64_t at_once : kAtOnce) {
      if (!options.wants(fmt::format("{}, {} at once", kind.name, at_once))) continue;
      auto more = bench.run(kind, at_once);
      lines.insert(lines.end(), more.begin(), more.end());
    }
  }
  return lines;
}

}  // namespace millrace::bench
