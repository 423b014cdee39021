// SPDX-License-Identifier: Apache-2.0
#include "app/server.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>

#include "adapters/blob_fs/blob_fs.h"
#include "agent/sessions.h"
#include "app/examination.h"
#include "app/exit_limit.h"
#include "app/file_sweep.h"
#include "app/for_others.h"
#include "app/grpc_front.h"
#include "app/http_front.h"
#include "app/metrics.h"
#include "app/open_files.h"
#include "app/open_store.h"
#include "app/pack_loader.h"
#include "app/peers.h"
#include "app/recover.h"
#include "app/releases.h"
#include "app/s3_room.h"
#include "app/sealed_rows.h"
#include "app/sensors.h"
#include "app/uploads.h"
#include "app/version.h"
#include "app/worker_config.h"
#include "async/clock_watch.h"
#include "async/deadline.h"
#include "async/loop.h"
#include "async/pool.h"
#include "async/scope.h"
#include "auth/key_ring.h"
#include "auth/token.h"
#include "base/files.h"
#include "base/log.h"
#include "base/time.h"
#include "cli/stdout.h"
#include "engine/engine.h"
#include "engine/machine/context.h"
#include "services/api/api.h"
#include "services/grpc/agent_service.h"
#include "services/grpc/certificate_service.h"
#include "services/grpc/command_service.h"
#include "services/grpc/system_service.h"
#include "services/worker/spawner.h"
#include "services/worker/worker.h"
#include "store/migrate.h"

namespace millrace::app {
namespace {

constexpr async::Duration kDrainLook{50};
// After the drain the process ends within 5 s (K12). Of that:
constexpr async::Duration kExitLimit{4700};      // for all of it
constexpr async::Duration kHttpGrace{1000};      // requests in flight may end by themselves
constexpr async::Duration kReadGrace{1500};      // then their reads are cut off
constexpr async::Duration kEngineReserve{1500};  // is left when the worker has stopped
constexpr async::Duration kJoinReserve{500};     // is left when the engine has settled
constexpr int64_t kSensorGraceMs = 1500;         // while runs are waited for, they may end
constexpr size_t kRecentKeys = 8192;             // 5 MB at most
constexpr int64_t kIdentityLookMs = 600'000;
constexpr int kExitStoreFailed = 74;  // EX_IOERR

engine::Retention retention_of(const Config& config) {
  return {.events = config.retention.events_days * kDayMs,
          .executions = config.retention.executions_days * kDayMs,
          .changes = config.retention.changes_days * kDayMs,
          .dedupe = config.retention.dedupe_days * kDayMs};
}

}  // namespace

// Everything that a server is, in the order in which it comes up. Members die in reverse.
class Server {
 public:
  static Result<void> run(const Config& config, Roles roles, const std::string& data,
                          const std::function<Result<Config>()>& reload);

  ~Server() {
    if (releases_) releases_->stop();
    if (engine_) engine_->ask_nobody();
  }

 private:
  Server(const Config& config, Roles roles, const std::string& data)
      : config_(config), roles_(roles), paths_(data) {}
  Result<void> open();
  Result<void> open_store_and_peers();
  Result<void> open_peers();
  Result<void> open_engine();
  Result<void> open_api();
  Result<void> open_worker();
  void open_sensors();
  Result<void> listen();
  Result<void> start_grpc();
  kernel::WorkSource& source();
  std::vector<rpc::Method> grpc_methods();
  std::string equal_config() const;
  Result<void> check_others() const;
  void tell_phase(api::Phase phase);
  void equip(kernel::WorkOrder& order) const;
  void token_changed(TokenId id, const kernel::TokenRow* row);
  Result<Secret> open_key(const kernel::KeyRow& row) const;
  Task<void> serve(const std::function<Result<Config>()>& reload);
  Task<void> wait_for_stop(const std::function<Result<Config>()>& reload, async::Signals& signals);
  Task<void> drain_runs();
  Task<void> stop_what_serves(async::Scope& background);
  Task<void> watch_clock();
  Task<void> renew_identity();
  void announce() const;
  std::vector<std::string> troubles() const;
  [[noreturn]] void die(const Error& error) const;

  std::optional<ExitLimit> exit_limit_;  // of a stop, until all else is gone
  Config config_;
  const Roles roles_;
  OpenFiles files_ = raise_open_files();
  int64_t connections_ = connections_within(files_.now, config_.server.max_connections);
  DataPaths paths_;
  std::optional<Error> not_served_;    // why it stopped before it was ready
  std::optional<FolderLock> lock_;     // one server per data folder
  std::optional<auth::KeyRing> keys_;  // seals webhook secrets and encrypted keys
  std::optional<auth::RunTokens> run_tokens_;
  auth::TokenCache tokens_;
  Metrics metrics_;
  std::unique_ptr<InHand> in_hand_;
  std::unique_ptr<InHand> worker_in_hand_;
  size_t set_aside_at_start_ = 0;
  std::unique_ptr<sql::Store> store_;
  std::unique_ptr<kernel::Blobs> blobs_;  // output above 64 KiB, artifacts
  std::unique_ptr<kernel::Blobs> room_;   // of all servers, for the same; may be none
  std::unique_ptr<SharedBlobs> shared_blobs_;
  async::Loop loop_;  // HTTP: this thread
  PackLoader packs_{loop_.executor(), config_.packs.folders};
  async::Pool pool_{{.name = "read", .threads = 2}};
  std::unique_ptr<engine::Engine> engine_;  // its executor and committer: two threads
  std::unique_ptr<Uploads> uploads_;        // with room_
  std::unique_ptr<SensorHost> sensors_;     // a thread that talks to them; the API shows them
  std::unique_ptr<api::Api> api_;
  std::unique_ptr<worker::Worker> worker_;  // a thread that listens to the spawner
  std::optional<HttpFront> http_;
  std::unique_ptr<Releases> releases_;
  std::unique_ptr<agent::Sessions> sessions_;  // of agents
  std::unique_ptr<ForOthers> for_others_;      // with grpc_, which calls it
  // None: no worker or server reaches this one. Made before the engine, ended before it.
  std::unique_ptr<GrpcFront> grpc_;
  std::unique_ptr<Peers> peers_;  // with grpc_
};

// After a failed sync nobody knows what the file holds: the only safe step is to leave and to
// read it again (K1). No destructors: they would write. It is no message's fault.
[[noreturn]] void Server::die(const Error& error) const {
  in_hand_->let_go();
  worker_in_hand_->let_go();
  log_error("store.failed", {{"error", error.message()}, {"exit", kExitStoreFailed}});
  std::fflush(nullptr);
  _exit(kExitStoreFailed);
}

// Of workers: what their runs leave goes into the room of all servers first.
kernel::WorkSource& Server::source() {
  if (uploads_) return *uploads_;
  return *engine_;
}

// Whom it asks for the releases of packs that it does not have is there before the engine.
Result<void> Server::open_store_and_peers() {
  TRY(store_, open_store(config_.store, paths_.data));
  store_ = with_statements_logged(std::move(store_), config_.log);
  TRY(blobs_, blob_fs::open(paths_.data));
  TRY(room_, open_s3_room(config_.blob.s3));
  if (config_.grpc.port >= 0) TRY(open_peers());
  shared_blobs_ = std::make_unique<SharedBlobs>(*blobs_, room_.get(), peers_.get());
  releases_ = std::make_unique<Releases>(Releases::Given{
      .data = paths_.data, .peers = peers_.get(), .room = room_.get(), .run = [this](auto job) {
        uploads_->run(std::move(job));
      }});
  return {};
}

Result<void> Server::open_peers() {
  TRY(grpc_, GrpcFront::open({.config = config_.grpc,
                              .folder = paths_.tls,
                              .self = {auth::Peer::Kind::Service, "server", config_.worker.name},
                              .keys = *keys_,
                              .tokens = tokens_,
                              .observe = metrics_.grpc_observer()}));
  // Of the store as it is, until there is an engine that follows it.
  auto servers = [this] {
    return engine_ ? engine_->servers() : servers_in(*store_, config_.worker.name);
  };
  peers_ = std::make_unique<Peers>(servers, *grpc_);
  return {};
}

Result<void> Server::open_engine() {
  // Which packs it knows is asked before the engine starts. Open until that has connections of its
  // own: the last one to close moves the log, and syncs.
  TRY(auto writer, store_->open_writer());
  TRY(store::migrate(*writer));
  if (!config_.store.keys_are_lost) TRY(check_ring(*writer, *keys_, paths_));
  TRY(auto packs, packs_.open({.data = paths_.data,
                               .pool = pool_,
                               .releases = *releases_,
                               .store = *store_,
                               .has_others = peers_ != nullptr,
                               .server = config_.worker.name,
                               .fetch_within_ms = config_.packs.fetch_timeout_ms,
                               .configs = ConfigFiles(config_.packs.configs),
                               .indexes = config_.packs.indexes,
                               .keep_ms = config_.packs.keep_releases_days * kDayMs}));
  // Whom others reach may have a part of the shards only.
  std::optional<engine::ClusterTimes> cluster;
  if (config_.grpc.port >= 0 && !is_in_folder(config_.store)) cluster.emplace();
  TRY(engine_, engine::Engine::start(
                   *store_, std::move(packs), retention_of(config_),
                   {.max_waiting = static_cast<size_t>(config_.intake.max_waiting),
                    .session_ttl_ms = config_.agents.session_ttl_ms,
                    .recent_keys = is_in_folder(config_.store) ? kRecentKeys : 0,
                    .env_allowed = config_.worker.env_allowed,
                    .server = {.name = config_.worker.name,
                               .home = paths_.data,
                               .roles = roles_.text(),
                               .version = std::string(kVersion),
                               .config = equal_config(),
                               .since = unix_ms()},
                    .cluster = cluster},
                   {.now_ms = unix_ms,
                    .fatal = [this](const Error& error) { die(error); },
                    .equip = [this](kernel::WorkOrder& order) { equip(order); },
                    .decided = metrics_.decided(),
                    .clock_stepped = [this](int64_t) { metrics_.clock_stepped(); },
                    .open_key = [this](const kernel::KeyRow& row) { return open_key(row); },
                    .token_changed = [this](auto id, const auto* row) { token_changed(id, row); },
                    .packs_changed = [this] { packs_.hear(); },
                    .ask_slots = peers_ ? peers_->ask_slots() : nullptr,
                    .give_slot_back = peers_ ? peers_->give_slot_back() : nullptr,
                    .blobs = room_ ? shared_blobs_.get() : blobs_.get(),
                    .in_hand = in_hand_.get()}));
  if (room_) {
    TRY(uploads_, Uploads::start(*engine_, *blobs_, *room_, config_.blob.s3.parallel));
  }
  metrics_.watch(*engine_);
  metrics_.watch(loop_);
  return {};
}

Result<void> Server::open() {
  TRY(make_data_folder(paths_.data));
  TRY(lock_, lock_folder(paths_.data));
  TRY(keys_, auth::open_key_file(paths_.keys, auth::system_random()));
  run_tokens_.emplace(keys_->derive("run tokens"));
  TRY(in_hand_, InHand::open(paths_.in_hand, kVersion));
  TRY(worker_in_hand_, InHand::open(paths_.worker_in_hand, kVersion));
  tell_what_was_in_hand(*in_hand_);
  tell_what_was_in_hand(*worker_in_hand_);
  set_aside_at_start_ = in_hand_->dead().size();
  TRY(pool_.start());
  TRY(open_store_and_peers());
  TRY(open_engine());
  TRY(check_others());
  if (grpc_) {
    for_others_ =
        std::make_unique<ForOthers>(loop_, pool_, *engine_, *blobs_, releases_->archives());
  }
  open_sensors();
  TRY(open_api());
  TRY(ensure_admin_token(*engine_, tokens_, paths_.admin_token));
  TRY(listen());
  if (roles_.has(Role::Worker)) TRY(open_worker());
  return {};
}

Result<void> Server::open_api() {
  api::ApiOptions options{
      .version = kVersion,
      .blobs = shared_blobs_.get(),
      .max_connections = connections_,
      .webhook_body_limit = static_cast<size_t>(config_.server.webhook_body_bytes),
      .event_body_limit = static_cast<size_t>(config_.server.event_body_bytes),
      .last_verdicts = config_.server.last_verdicts,
      .now_ms = unix_ms,
      .random = auth::system_random(),
      .metrics = [this] { return metrics_.text(); },
      .troubles = [this] { return troubles(); },
      .observe = metrics_.observer(),
      .packs = packs_.desk(),
      .sensors = sensors_->desk()};
  if (grpc_) {
    options.not_reached = rpc::kNotReached;
    options.forward = [this](api::ForwardedRequest request, int node) {
      return peers_->forward(std::move(request), node);
    };
    options.follow_output = [this](int node, Of<ExecutionId> execution, bool kept_only, auto got,
                                   auto over) {
      return peers_->follow_output(node, execution, kept_only,
                                   {.on_output = std::move(got), .over = std::move(over)});
    };
    options.grpc_address = [this] { return grpc_->address(); };
    options.join = {.admit = [this](const auto& name, const auto& request,
                                    auto peer) { return grpc_->admit(name, request, peer); },
                    .pin = grpc_->pin()};
  }
  TRY(api_, api::Api::create(*engine_, *keys_, tokens_, *run_tokens_, pool_, std::move(options)));
  return {};
}

Result<void> Server::open_worker() {
  auto worker = worker_config(config_.worker, paths_.data, files_);
  releases_->serve(worker);
  worker.blobs = blobs_.get();
  worker.in_hand = worker_in_hand_.get();
  worker_ = std::make_unique<worker::Worker>(source(), loop_, std::move(worker));
  return {};
}

void Server::open_sensors() {
  SensorHost::Given given{.engine = *engine_,
                          .store = *store_,
                          .tokens = tokens_,
                          .random = auth::system_random(),
                          .open_key = [this](const kernel::KeyRow& row) { return open_key(row); },
                          .worker = worker_config(config_.worker, paths_.data, files_),
                          .data = paths_.data,
                          .api_url = [this] { return http_->url(); },
                          .has_others = config_.grpc.port >= 0 && !is_in_folder(config_.store),
                          .runs = roles_.has(Role::Sensor) && roles_.has(Role::Executor),
                          .events_per_second = config_.sensors.events_per_second,
                          .stop_grace_ms = config_.sensors.stop_grace_ms};
  releases_->serve(given.worker);
  sensors_ = std::make_unique<SensorHost>(std::move(given));
  metrics_.watch(*sensors_);
}

Result<void> Server::listen() {
  TRY(start_grpc());
  http_.emplace();
  TRY(http_->listen(loop_.executor(), {.config = config_.server,
                                       .connections = connections_,
                                       .has_api = roles_.has(Role::Api),
                                       .api = *api_}));
  engine_->set_addresses(http_->url(), grpc_ ? grpc_->address() : std::string());
  return replace_file(paths_.url, http_->url() + "\n", 0600);
}

std::vector<rpc::Method> Server::grpc_methods() {
  auto methods = rpc::system_service(
      {.version = std::string(kVersion), .node = config_.worker.name, .roles = roles_.names()});
  auto renew = [this](const auto& name, const auto& request,
                      const auto& address) -> Result<rpc::RenewedIdentity> {
    TRY(auto identity, grpc_->admit(name, request, address));
    return rpc::RenewedIdentity{std::move(identity.certificate), std::move(identity.authorities),
                                std::move(identity.token), identity.expires};
  };
  std::ranges::move(rpc::certificate_service(renew), std::back_inserter(methods));
  std::ranges::move(rpc::command_service(for_others_->handlers()), std::back_inserter(methods));
  sessions_ = std::make_unique<agent::Sessions>(
      *engine_, *blobs_,
      [this](const auto& want, auto answer) { releases_->read(want, std::move(answer)); });
  std::ranges::move(rpc::agent_service(*sessions_), std::back_inserter(methods));
  return methods;
}

Result<void> Server::start_grpc() {
  if (!grpc_) return {};
  TRY(grpc_->start(grpc_methods()));
  log_info("grpc.ready", {{"address", grpc_->address()}, {"tls", grpc_->has_tls()}});
  return {};
}

// A hash of what has to be the same on every server of a store.
std::string Server::equal_config() const {
  const auto& kept = config_.retention;
  auto text =
      fmt::format("{} {} {} {} {}", keys_->derive("equal config").front().reveal(),
                  kept.events_days, kept.executions_days, kept.changes_days, kept.dedupe_days);
  return auth::token_hash(text).substr(0, 16);
}

// One that has not been heard of for ten seconds does not count.
Result<void> Server::check_others() const {
  for (const auto& other : engine_->servers()) {
    if (other.is_self || !other.lives || other.row.config == equal_config()) continue;
    return Error(ErrorKind::Conflict, "APP-0041",
                 fmt::format("server '{}' of this store has another key ring or another retention "
                             "than this one: give all servers the same keys.json and retention",
                             other.row.name));
  }
  return {};
}

void Server::tell_phase(api::Phase phase) {
  api_->set_phase(phase);
  if (grpc_) grpc_->set_serving(phase == api::Phase::Ready);
}

void Server::equip(kernel::WorkOrder& order) const {
  order.env.emplace_back("MILLRACE_API_URL", http_->url());
  if (order.permissions.empty()) return;
  Secret token =
      run_tokens_->make({order.tenant, order.key.execution, order.key.attempt, order.key.epoch});
  order.secrets.emplace_back(token.reveal());
  order.env.emplace_back("MILLRACE_API_TOKEN", token.reveal());
}

// On another server.
void Server::token_changed(TokenId id, const kernel::TokenRow* row) {
  if (!row) return tokens_.remove(id);
  tokens_.put({row->id, row->tenant, row->hash, row->identity, row->permissions, row->expires});
}

Result<Secret> Server::open_key(const kernel::KeyRow& row) const {
  const auto& key = row.key;
  auto opened = keys_->open({key.tenant, key.scope, key.name, row.version}, row.value_json);
  if (!opened.ok()) {
    log_error("key.not_opened",
              {{"scope", key.scope}, {"name", key.name}, {"error", opened.error().describe()}});
  }
  return opened;
}

// What keeps it from being all well, for /health: it is asked without a token.
std::vector<std::string> Server::troubles() const {
  std::vector<std::string> troubles;
  if (engine_->read_only()) troubles.emplace_back("the disk is full: writes are refused");
  auto count = [&](size_t number, std::string_view what) {
    if (number > 0) troubles.push_back(fmt::format("{} {}", number, what));
  };
  count(static_cast<size_t>(engine_->stats().set_aside),
        "messages that could not be handled were set aside: see the quarantine");
  count(set_aside_at_start_, "things that ended the server were set aside: see the log");
  count(engine_->catalogs()->rules_out_of_force(),
        "rules do not compile and are out of force: see rule.not_compiled in the log");
  count(engine_->catalogs()->packs_with_faults(), "packs have faults: see millrace pack show");
  std::ranges::move(sensors_->troubles(), std::back_inserter(troubles));
  if (worker_ && worker_->is_away()) {
    troubles.emplace_back("no spawner, no action runs here: see worker.not_connected in the log");
  }
  if (uploads_ && uploads_->is_away()) {
    troubles.emplace_back("S3 cannot be reached: output stays on this server until it can");
  }
  return troubles;
}

void Server::announce() const {
  log_info("server.ready", {{"url", http_->url()},
                            {"roles", roles_.text()},
                            {"data", paths_.data},
                            {"pid", ::getpid()},
                            {"open_files", files_.now},
                            {"max_connections", connections_}});
  if (http_->is_open_in_clear()) {
    log_warn("server.open_to_the_network",
             {{"address", config_.server.address},
              {"do", "tokens travel in clear: give server.tls, or a proxy that speaks TLS"}});
  }
  if (connections_ < config_.server.max_connections) {
    log_warn("server.few_open_files", {{"wanted", config_.server.max_connections},
                                       {"max_connections", connections_},
                                       {"do", "raise the hard limit of open files (ulimit -Hn)"}});
  }
  if (::isatty(STDOUT_FILENO) != 0) {
    cli::put("Millrace {} is ready at {}\nAPI docs: {}/api/docs   Token file: {}\n", kVersion,
             http_->url(), http_->url(), paths_.admin_token);
  }
}

// Until SIGTERM or SIGINT.
Task<void> Server::wait_for_stop(const std::function<Result<Config>()>& reload,
                                 async::Signals& signals) {
  for (;;) {
    int signal = co_await signals.next();
    if (signal != SIGHUP) co_return;
    if (auto config = reload(); config.ok()) {
      set_log_level(config->log.level);
      packs_.reload(config->packs.folders);
    } else {
      log_error("config.not_reloaded", {{"error", config.error().describe()}});
    }
  }
}

// Runs until a signal ends it; then drains (K12): no new work, what runs may finish for a while,
// the rest stays with the spawner.
Task<void> Server::serve(const std::function<Result<Config>()>& reload) {
  auto signals = std::make_unique<async::Signals>(
      loop_.executor(), std::initializer_list<int>{SIGTERM, SIGINT, SIGHUP});
  async::Scope background(loop_.executor());
  if (for_others_) for_others_->begin(*api_);
  auto started = worker_ ? worker_->start() : Result<void>();
  if (started.ok()) started = sensors_->start();
  if (!started.ok()) {
    not_served_ = started.error();
    co_return co_await stop_what_serves(background);
  }
  FileSweep sweep({.pool = pool_,
                   .store = *store_,
                   .blobs = *blobs_,
                   .lock = paths_.sweep,
                   .kept_ms = config_.retention.executions_days * kDayMs,
                   .uploads = uploads_.get(),
                   .room = room_.get(),
                   .sweeps_room = [this] { return owns_first_shard(*engine_); }});
  async::spawn("sweep_files", background, sweep.run());
  async::spawn("load_packs", background, packs_.run(*engine_, background));
  async::spawn("watch_clock", background, watch_clock());
  async::spawn("look_at_files", background, http_->look_at_files(pool_));
  if (grpc_ && grpc_->has_tls()) async::spawn("renew_identity", background, renew_identity());
  releases_->publish(engine_->catalog(kDefaultTenant)->packs());
  tell_phase(api::Phase::Ready);
  announce();
  co_await wait_for_stop(reload, *signals);
  // They have their default action again: a second one ends the process at once, whatever it
  // waits for. There is nothing to reload any more.
  signals.reset();
  std::signal(SIGHUP, SIG_IGN);
  log_info("server.draining", {{"timeout_ms", config_.server.drain_timeout_ms}});
  tell_phase(api::Phase::Draining);
  sensors_->begin_stop(kSensorGraceMs);
  co_await drain_runs();
  co_await stop_what_serves(background);
}

// In an order in which nobody is asked who has gone. All of it within one limit, which goes on
// until the last thread is joined.
Task<void> Server::stop_what_serves(async::Scope& background) {
  exit_limit_.emplace(kExitLimit);
  sensors_->begin_stop(kSensorGraceMs);
  auto sensors = co_await pool_.run([this] { sensors_->stop(); });
  if (!sensors.ok()) sensors_->stop();  // no thread for it: then the loop waits
  store_->cut_reads(std::chrono::steady_clock::now() + kReadGrace);
  co_await http_->stop(kHttpGrace);
  if (grpc_) {
    auto stopped = co_await pool_.run([this] { grpc_->stop(kHttpGrace); });
    if (!stopped.ok()) grpc_->stop(kHttpGrace);  // no thread for it: then the loop waits
  }
  releases_->stop();
  packs_.stop();
  if (for_others_) co_await for_others_->end();
  co_await background.stop();
  store_->cut_reads(std::chrono::steady_clock::time_point::max());  // the engine reads on
  if (worker_ && !co_await worker_->stop(exit_limit_->left(kEngineReserve))) leave_at_once();
  if (uploads_) uploads_->stop();
}

// Timers are due by the wall clock, the engine sleeps by the other one.
Task<void> Server::watch_clock() {
  async::ClockWatch clock(loop_.executor());
  for (;;) {
    co_await clock.next();
    engine_->look_at_clock();
  }
}

// gRPC looks at the files itself.
Task<void> Server::renew_identity() {
  for (;;) {
    auto due = co_await pool_.run([this] { return grpc_->renew(unix_ms()); });
    if (!due.ok()) log_error("identity.not_renewed", {{"error", due.error().message()}});
    int64_t left = due.ok() ? *due - unix_ms() : 0;
    co_await async::sleep_for(async::Duration(std::clamp<int64_t>(left, 60'000, kIdentityLookMs)));
  }
}

Task<void> Server::drain_runs() {
  engine_->stop_granting();
  auto end = std::chrono::steady_clock::now() + async::Duration(config_.server.drain_timeout_ms);
  while (worker_ && worker_->stats().running > 0 && std::chrono::steady_clock::now() < end) {
    co_await async::sleep_for(kDrainLook);
  }
}

Result<void> Server::run(const Config& config, Roles roles, const std::string& data,
                         const std::function<Result<Config>()>& reload) {
  Server server(config, roles, data);
  auto opened = server.open();
  if (!opened.ok() && server.http_) server.loop_.block_on(server.http_->stop(async::Duration(0)));
  TRY(std::move(opened));
  server.loop_.block_on(server.serve(reload));
  server.engine_->stop(server.exit_limit_->left(kJoinReserve));
  if (server.not_served_) return std::move(*server.not_served_);
  log_info("server.stopped", {});
  return {};
}

Result<void> run_server(const Config& config, Roles roles, const std::string& data,
                        const std::function<Result<Config>()>& reload) {
  return Server::run(config, roles, data, reload);
}

}  // namespace millrace::app
