// SPDX-License-Identifier: Apache-2.0
// Signed webhooks over HTTP until the 202, which comes after the commit. The floor of a request is
// its rows in bare SQLite and nginx answering the same request with a constant, one after the
// other.
#include <fmt/format.h>

#include <algorithm>

#include "auth/crypto.h"
#include "bare_rows.h"
#include "base/json.h"
#include "base/text.h"
#include "figure.h"
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
  return {1 / (1 / a.rate + 1 / b.rate), a.p50_us + b.p50_us, a.p99_us + b.p99_us,
          a.cpu_us + b.cpu_us, a.client_cpu_us + b.client_cpu_us};
}

LoadSample bare_rows(BareRows& rows, int64_t count, int64_t at_once, const Kind& kind) {
  std::vector<double> commits;
  auto payload = push(kind.bytes, kind.matched, 0);
  auto sample =
      measure([&] { return rows.webhooks(count, at_once, payload, kind.matched, &commits); });
  std::ranges::sort(commits);
  return {sample.rate(), quantile(commits, 0.5), quantile(commits, 0.99), sample.cpu_us(), 0};
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
    auto server_cpu = [&] { return server_.cpu_seconds(); };
    auto nginx_cpu = [&] { return nginx_.cpu_seconds(); };
    ours.run(requests(kind, 20 * at_once), {202}, server_cpu);  // not counted
    int64_t count = options_.count(2000, 20) * (at_once == 1 ? 1 : 3);
    std::vector<LoadSample> of_ours;
    std::vector<LoadSample> of_floor;
    for (int round = 0; round < options_.rounds(5); ++round) {
      auto texts = requests(kind, count);
      auto run_ours = [&] { of_ours.push_back(ours.run(texts, {202}, server_cpu)); };
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
    return {rate, line("p50", "us", &LoadSample::p50_us), line("p99", "us", &LoadSample::p99_us),
            cpu, client};
  }

  const Options& options_;
  Nginx nginx_;
  TestServer server_;
  int64_t number_ = 0;
  int floors_ = 0;
};

}  // namespace

std::vector<Line> webhook_figure(const Options& options) {
  WebhookBench bench(options);
  std::vector<Line> lines;
  for (const auto& kind : kKinds) {
    for (int64_t at_once : kAtOnce) {
      auto more = bench.run(kind, at_once);
      lines.insert(lines.end(), more.begin(), more.end());
    }
  }
  return lines;
}

}  // namespace millrace::bench
