// SPDX-License-Identifier: Apache-2.0
#include "app/agent.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <optional>

#include "adapters/blob_fs/blob_fs.h"
#include "adapters/work_grpc/agent_connection.h"
#include "agent/release_fetch.h"
#include "agent/remote_source.h"
#include "app/agent_identity.h"
#include "app/environments.h"
#include "app/exit_limit.h"
#include "app/open_files.h"
#include "app/server.h"
#include "app/staged_releases.h"
#include "app/version.h"
#include "app/worker_config.h"
#include "app/write_release.h"
#include "async/deadline.h"
#include "async/loop.h"
#include "async/scope.h"
#include "async/wakeup.h"
#include "base/files.h"
#include "base/in_hand.h"
#include "base/log.h"
#include "base/time.h"

namespace millrace::app {
namespace {

constexpr async::Duration kDrainLook{100};
constexpr async::Duration kSecondSignal{10'000};
constexpr async::Duration kExitLimit{4'700};
constexpr async::Duration kReserve{1'500};
constexpr async::Duration kRenewalRetry{60'000};
constexpr async::Duration kShortestRenewal{1'000};

int64_t monotonic_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

Result<void> make_folder(const std::string& path) {
  std::error_code ec;
  std::filesystem::create_directories(path, ec);
  if (!ec && ::chmod(path.c_str(), 0700) == 0) return {};
  return Error(ErrorKind::Unavailable, "APP-0004",
               fmt::format("data folder '{}': {}", path,
                           ec ? ec.message() : "not ours to protect (chmod failed)"));
}

}  // namespace

// Everything that an agent is, in the order in which it comes up. Members die in reverse.
class AgentProcess {
 public:
  AgentProcess(const Config& config, const AgentOptions& options)
      : config_(config), options_(options), staged_(options.data), environments_(options.data) {}
  Result<void> open();
  // Returns when it has left.
  void run() { loop_.block_on(serve()); }

 private:
  Task<void> serve();
  Task<void> renew_identity();
  void make_source();
  void make_worker();
  std::optional<worker::Preparation> prepare(const kernel::WorkOrder& order);
  Task<void> drain();
  Task<void> watch_signals(async::Signals& signals);

  const Config& config_;
  const AgentOptions& options_;
  std::optional<ExitLimit> exit_limit_;  // of a stop, until all else is gone
  OpenFiles files_ = raise_open_files();
  std::optional<FolderLock> lock_;  // one agent per data folder
  std::unique_ptr<InHand> in_hand_;
  std::unique_ptr<kernel::Blobs> blobs_;  // where its spawner leaves output and artifacts
  StagedReleases staged_;                 // the worker's thread's
  Environments environments_;
  std::optional<AgentIdentity> identity_;
  async::Loop loop_;
  async::Wakeup stop_asked_{loop_.executor()};
  int stops_asked_ = 0;
  int64_t drain_timeout_ms_ = options_.drain_timeout_ms;
  std::optional<agent::ReleaseFetch> fetch_;
  std::optional<agent::RemoteSource> source_;
  std::unique_ptr<worker::Worker> worker_;
  std::optional<work_grpc::AgentConnection> connection_;
};

// The server's own addresses are of its machine: runs reach it where this agent does.
void AgentProcess::make_source() {
  source_.emplace(*blobs_,
                  agent::RemoteSource::Outside{
                      .mono_ms = monotonic_ms,
                      .unix_ms = unix_ms,
                      .equip =
                          [this](kernel::WorkOrder& order) {
                            std::erase_if(order.env, [](const auto& each) {
                              return each.first == "MILLRACE_API_URL";
                            });
                            order.env.emplace_back("MILLRACE_API_URL", options_.server);
                          },
                      .release = [this](const agent::ReleasePiece& piece) { fetch_->came(piece); },
                      .session_over = [this] { fetch_->give_up(); },
                      .drain =
                          [this](int64_t within_ms) {
                            loop_.post([this, within_ms] {
                              drain_timeout_ms_ = std::min(drain_timeout_ms_, within_ms);
                              ++stops_asked_;
                              stop_asked_.notify();
                            });
                          }});
  fetch_.emplace(
      options_.data + "/fetch",
      agent::ReleaseFetch::Outside{
          .ask = [this](agent::WantRelease want) { return source_->want_release(std::move(want)); },
          .install =
              [this](const auto& pack, const auto& digest, const auto& files) {
                return install_release(options_.data, pack, digest, files);
              }});
}

// What lies where an order's release should, and is none or another one, is fetched anew.
std::optional<worker::Preparation> AgentProcess::prepare(const kernel::WorkOrder& order) {
  if (order.runner != Runner::Script) return std::nullopt;
  auto staged = staged_.file(order.pack, order.release, "actions/" + order.entry_point);
  if (staged.ok()) return std::nullopt;
  return worker::Preparation{
      fmt::format("release {} of pack '{}'", order.release.substr(0, 12), order.pack),
      [this, pack = order.pack, digest = order.release](auto ready) {
        fetch_->want(pack, digest, std::move(ready));
      }};
}

void AgentProcess::make_worker() {
  auto config = worker_config(config_.worker, options_.data, files_);
  config.name = options_.name;
  config.release_file = [this](const auto& pack, const auto& digest, const auto& file) {
    return staged_.file(pack, digest, file);
  };
  config.prepare = [this](const auto& order) { return prepare(order); };
  environments_.serve(config);
  config.blobs = blobs_.get();
  config.in_hand = in_hand_.get();
  worker_ = std::make_unique<worker::Worker>(*source_, loop_, std::move(config));
}

Result<void> AgentProcess::open() {
  TRY(make_folder(options_.data));
  TRY(make_folder(options_.data + "/fetch"));
  TRY(lock_, lock_folder(options_.data));
  TRY(in_hand_, InHand::open(DataPaths(options_.data).worker_in_hand, kVersion));
  TRY(blobs_, blob_fs::open(options_.data));
  TRY(identity_, loop_.block_on(AgentIdentity::open({.folder = options_.data + "/agent",
                                                     .server = options_.server,
                                                     .join_file = options_.join_file,
                                                     .name = options_.name,
                                                     .ca_file = options_.ca_file,
                                                     .grpc = options_.grpc},
                                                    unix_ms())));
  make_source();
  make_worker();
  connection_.emplace(*source_, [this] { return identity_->way(); });
  return {};
}

// Each signal is one more request to stop.
Task<void> AgentProcess::watch_signals(async::Signals& signals) {
  for (;;) {
    co_await signals.next();
    ++stops_asked_;
    stop_asked_.notify();
  }
}

Task<void> AgentProcess::renew_identity() {
  for (;;) {
    auto due = co_await identity_->renew(unix_ms());
    if (!due.ok()) log_warn("agent.identity_not_renewed", due.error());
    auto pause = due.ok() ? async::Duration(*due - unix_ms()) : kRenewalRetry;
    co_await async::sleep_for(std::max(pause, kShortestRenewal));
  }
}

Task<void> AgentProcess::drain() {
  source_->drain();
  log_info("agent.draining",
           {{"running", worker_->stats().running}, {"timeout_ms", drain_timeout_ms_}});
  int asked = stops_asked_;
  auto end = std::chrono::steady_clock::now() + async::Duration(drain_timeout_ms_);
  // The end of a run is its server's when it says so: a session that is closed before takes it
  // along.
  auto is_at_work = [this] {
    auto stats = worker_->stats();
    return stats.running > 0 || stats.unheard > 0;
  };
  while (is_at_work() && std::chrono::steady_clock::now() < end) {
    if (stops_asked_ > asked) {
      asked = INT32_MAX;
      end = std::min(end, std::chrono::steady_clock::now() + kSecondSignal);
    }
    co_await async::sleep_for(kDrainLook);
  }
}

Task<void> AgentProcess::serve() {
  auto signals = std::make_unique<async::Signals>(loop_.executor(),
                                                  std::initializer_list<int>{SIGTERM, SIGINT});
  async::Scope background(loop_.executor());
  auto started = worker_->start();
  if (started.ok()) started = connection_->start();
  if (started.ok()) {
    async::spawn("watch_signals", background, watch_signals(*signals));
    async::spawn("renew_identity", background, renew_identity());
    log_info("agent.ready", {{"name", options_.name},
                             {"server", options_.server},
                             {"data", options_.data},
                             {"pid", ::getpid()}});
    co_await stop_asked_.wait();
    co_await drain();
  } else {
    log_error("agent.not_started", started.error());
  }
  exit_limit_.emplace(kExitLimit);
  co_await background.stop();
  if (!co_await worker_->stop(exit_limit_->left(kReserve))) leave_at_once();
  connection_->stop();
  log_info("agent.stopped", {});
}

Result<void> run_agent(const Config& config, const AgentOptions& options) {
  AgentProcess agent(config, options);
  TRY(agent.open());
  agent.run();
  return {};
}

}  // namespace millrace::app
