// SPDX-License-Identifier: Apache-2.0
#include "engine/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <future>

#include "base/files.h"
#include "base/json.h"
#include "base/log.h"
#include "engine/board.h"
#include "engine/borrower.h"
#include "engine/cluster/membership.h"
#include "engine/driver.h"
#include "engine/elsewhere.h"
#include "engine/follower.h"
#include "engine/machine/in_hand.h"
#include "engine/outlet.h"
#include "engine/preparations.h"
#include "engine/transitions/messages.h"
#include "engine/transitions/stored_catalog.h"
#include "kernel/limits.h"
#include "store/migrate.h"
#include "store/read.h"
#include "store/servers.h"

namespace millrace::engine {

using namespace kernel;

namespace {

// For a commit under way, before shards change hands.
constexpr std::chrono::seconds kLongestHold{3};

int64_t monotonic_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace

// What an engine consists of, in the order in which it comes up; it goes in reverse.
struct Engine::Parts final : public Observer {
  Parts(sql::Store& its_store, Options its_options, Outside its_outside)
      : store(its_store), options(its_options), outside(std::move(its_outside)) {
    if (!outside.mono_ns) outside.mono_ns = monotonic_ns;
  }

  // Observer
  void ended(const ExecutionRow& row) override {
    board.ended(row);
    listeners.ended({row.tenant, row.id});
  }
  void watch(int64_t number, Of<ExecutionId> execution, Reply<ExecutionRow> reply) override {
    board.watch(number, execution, std::move(reply));
  }
  // Of several servers the follower tells of all commits, also of these.
  void committed() override {
    if (!options.cluster) listeners.changed();
  }
  bool catalog_is_old() override {
    if (follower) follower->look();
    return follower != nullptr;
  }
  void catalog_changed(std::shared_ptr<const Catalog> next) override {
    std::lock_guard lock(catalog_mutex);
    catalog = std::move(next);
  }
  void slow() override { ++slow_decisions; }
  void met(Trouble trouble, Fate::What what) override {
    bool given_up = trouble == Trouble::Deadly || trouble == Trouble::Undecided;
    if (given_up && what == Fate::What::Bury) ++set_aside;
  }
  void decided(std::string_view kind, int64_t waited_ns) override {
    outside.decided(kind, waited_ns);
  }
  void clock_stepped(int64_t by_ms) override {
    if (outside.clock_stepped) outside.clock_stepped(by_ms);
  }

  // Before anything is decided: what was left behind is decided first.
  Result<void> load_catalog(const PackSet& packs);
  Result<std::unique_ptr<Partition>> open_partition(ShardSet shards);
  Result<void> start_driver(store::Owned owned);
  // The releases are in the store, and the packs' rules follow their files, before anybody asks.
  Result<void> load_packs(PackSet packs);
  void load_packs_later(PackSet packs);
  void load_waiting_packs();
  std::shared_ptr<const Catalog> current() const {
    std::lock_guard lock(catalog_mutex);
    return catalog;
  }
  int owner_of(int shard) const {
    return membership ? membership->owner_of(shard) : options.server.node;
  }

  // Of several servers.
  Result<void> join();
  void start_borrowing();
  Result<void> go_on(std::optional<store::Owned> owned);
  void check_homes();
  Result<void> follow();
  Result<void> listen();
  void hear(const sql::Hint& hint);

  sql::Store& store;
  Options options;
  Outside outside;
  Board board;
  Listeners listeners;
  Outlet outlet{outside.equip};
  Preparations preparations;
  std::atomic<int64_t> last_watch{0};
  std::atomic<int64_t> set_aside{0};
  std::atomic<int64_t> slow_decisions{0};
  mutable std::mutex catalog_mutex;
  std::shared_ptr<const Catalog> catalog = std::make_shared<const Catalog>();
  std::optional<PackSet> packs_to_load;  // when it has shards
  int64_t followed_from = 0;             // where the feed was when the catalogue was read
  std::string api_url;                   // guarded by catalog_mutex
  Retention retention;
  std::unique_ptr<Borrower> borrower;
  std::unique_ptr<Driver> driver;
  std::unique_ptr<Membership> membership;
  std::unique_ptr<Follower> follower;
  std::unique_ptr<sql::Listening> listening;
};

Result<void> Engine::Parts::load_catalog(const PackSet& packs) {
  catalog = catalog->with_system(packs.system)->with_packs(kDefaultTenant, packs.own);
  for (const auto& pack : packs.retired) catalog = catalog->with_retired(kDefaultTenant, pack);
  catalog = catalog->with_missing(kDefaultTenant, packs.missing);
  TRY(auto reader, store.open_reader());
  TRY(store::begin_snapshot(*reader));
  TRY(followed_from, store::last_change(*reader));
  TRY(catalog, with_stored(catalog, *reader, outside.in_hand));
  return store::end_snapshot(*reader);
}

Result<std::unique_ptr<Partition>> Engine::Parts::open_partition(ShardSet shards) {
  Surroundings surroundings{outlet,
                            *this,
                            outside.open_key,
                            monotonic_ns,
                            outside.in_hand,
                            [this](int shard) { return owner_of(shard); },
                            borrower.get(),
                            [this] {
                              std::lock_guard lock(catalog_mutex);
                              return api_url;
                            }};
  TRY(auto reader, store.open_reader());
  auto node = membership ? membership->self().node : options.server.node;
  return Partition::open(std::move(reader), current(), surroundings,
                         {.shards = shards,
                          .node = static_cast<uint16_t>(node),
                          .sweep_ms = options.sweep_ms,
                          .retention = retention,
                          .env_allowed = options.env_allowed});
}

Result<void> Engine::Parts::start_driver(store::Owned owned) {
  TRY(auto partition, open_partition(owned.shards));
  Surroundings surroundings{outlet, *this, outside.open_key, monotonic_ns, outside.in_hand};
  Driver::Options driving;
  driving.max_waiting = options.max_waiting;
  driving.committer.shards = owned.shards;
  driving.committer.owner_epoch = owned.epoch;
  driving.committer.shared = driving.committer.tells = options.cluster.has_value();
  driving.committer.recent_keys = options.recent_keys;
  TRY(driver,
      Driver::start(store, std::move(partition), surroundings, driving,
                    {.wall_ms = outside.now_ms, .mono_ns = outside.mono_ns}, outside.fatal));
  return {};
}

Result<void> Engine::Parts::join() {
  TRY(membership,
      Membership::join(store, options.server, *options.cluster,
                       {.unix_ms = outside.now_ms,
                        .mono_ms = [this] { return outside.mono_ns() / 1'000'000; },
                        .may_decide_until = [this](int64_t ms) { driver->may_decide_until(ms); },
                        .hold = [this] { return driver->hold(kLongestHold); },
                        .go_on = [this](auto owned) { return go_on(owned); },
                        .was_away = [this] { driver->end_sessions(); },
                        .changed =
                            [this] {
                              check_homes();
                              if (borrower) borrower->look();
                            },
                        .fatal = outside.fatal}));
  start_borrowing();
  return {};
}

void Engine::Parts::start_borrowing() {
  if (!outside.ask_slots) return;
  borrower = std::make_unique<Borrower>(Borrower::Outside{
      .self = membership->self().epoch,
      .servers = [this] { return membership->servers(); },
      .mono_ms = [this] { return outside.mono_ns() / 1'000'000; },
      .ask = outside.ask_slots,
      .give_back = outside.give_slot_back,
      .lent =
          [this](std::vector<Permit> permits) {
            driver->call([permits = std::move(permits)](Partition* partition, Now now) {
              if (partition) partition->borrow(permits, now);
            });
          },
      .look =
          [this] {
            if (driver) driver->call([](Partition*, Now) {});
          }});
}

Result<void> Engine::Parts::go_on(std::optional<store::Owned> owned) {
  if (!owned) {
    driver->go_on(nullptr, 0);
    return {};
  }
  auto next = open_partition(owned->shards);
  driver->go_on(next.ok() ? std::move(*next) : nullptr, owned->epoch);
  if (!next.ok()) return std::move(next).error();
  check_homes();
  if (!owned->shards.empty()) load_waiting_packs();
  return {};
}

Result<void> Engine::Parts::follow() {
  TRY(follower,
      Follower::start(
          store, followed_from,
          {.is_awaited = [this](Of<ExecutionId> of) { return board.waits_for(of); },
           .ended =
               [this](const ExecutionRow& row) {
                 board.ended(row);
                 listeners.ended({row.tenant, row.id});
               },
           .canceling =
               [this](const ExecutionRow& row) {
                 driver->submit(stop_run(row.worker, {row.tenant, row.key()}));
               },
           .given =
               [this](RunGiven given) {
                 given.self = membership->self().epoch;
                 driver->submit(take_run(given));
               },
           .catalog =
               [this](CatalogNews news) { driver->submit(refresh_catalog(std::move(news))); },
           .token =
               [this](TenantId, TokenId id, const TokenRow* row) {
                 if (outside.token_changed) outside.token_changed(id, row);
               },
           .packs =
               [this] {
                 if (outside.packs_changed) outside.packs_changed();
               },
           .changed = [this] { listeners.changed(); },
           .in_hand = nullptr},
          outside.fatal));
  return {};
}

// Hints: what they tell of is looked up, and is found by the sweep without them.
Result<void> Engine::Parts::listen() {
  TRY(listening, store.listen({.heard = [this](const sql::Hint& hint) { hear(hint); },
                               .missed =
                                   [this] {
                                     membership->look();
                                     driver->look_for_messages();
                                     follower->look();
                                   }}));
  return {};
}

void Engine::Parts::hear(const sql::Hint& hint) {
  if (hint.topic == store::kServersTopic) return membership->look();
  if (hint.topic == store::kFeedTopic) return follower->look();
  if (hint.topic != store::kShardsTopic) return;
  int64_t bits = 0;
  std::from_chars(hint.payload.data(), hint.payload.data() + hint.payload.size(), bits);
  if ((bits & membership->owned().shards.bits()) != 0) driver->look_for_messages();
}

// Of runs in shards that are new to this server as well.
void Engine::Parts::check_homes() {
  if (!membership || !driver) return;
  if (auto with_runs = membership->with_runs()) {
    driver->submit(engine::check_homes(std::move(*with_runs), membership->self().epoch));
  }
}

Result<void> Engine::Parts::load_packs(PackSet packs) {
  if (options.cluster && !packs.known) {
    TRY(auto reader, store.open_reader());
    TRY(auto releases, store::current_releases(*reader));
    packs.known.emplace();
    packs.newest = releases.newest;
    for (const auto& release : releases.rows) packs.known->insert(release.digest);
  }
  std::promise<Result<int>> loaded;
  driver->submit(command::load_packs({.tenant = kDefaultTenant}, packs,
                                     [&](Result<int> done) { loaded.set_value(std::move(done)); }));
  auto done = loaded.get_future().get();
  if (done.ok() || done.error().code() == kDeadly) return {};
  if (!elsewhere(done.error())) return std::move(done).error();
  load_packs_later(std::move(packs));
  return {};
}

// It has no shards yet, in which timers of rules could lie.
void Engine::Parts::load_packs_later(PackSet packs) {
  {
    std::lock_guard lock(catalog_mutex);
    packs_to_load = std::move(packs);
  }
  if (!membership->owned().shards.empty()) load_waiting_packs();
}

void Engine::Parts::load_waiting_packs() {
  std::optional<PackSet> packs;
  {
    std::lock_guard lock(catalog_mutex);
    packs = std::exchange(packs_to_load, std::nullopt);
  }
  if (!packs) return;
  auto loaded = [this, packs = *packs](const Result<int>& done) {
    if (done.ok()) return;
    if (elsewhere(done.error())) return load_packs_later(packs);
    log_error("packs.not_loaded", {{"error", done.error().describe()}});
  };
  driver->submit(
      command::load_packs({.tenant = kDefaultTenant}, std::move(*packs), std::move(loaded)));
}

Engine::Engine(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Engine::~Engine() = default;

Result<std::unique_ptr<Engine>> Engine::start(sql::Store& store, PackSet packs,
                                              const Retention& retention, Options options,
                                              Outside outside) {
  auto parts = std::make_unique<Parts>(store, options, std::move(outside));
  parts->retention = retention;
  store::Owned owned;
  {
    TRY(auto writer, store.open_writer());
    TRY(store::migrate(*writer));
    if (options.cluster) {
      TRY(parts->join());
    } else {
      owned.shards = ShardSet::all();
      TRY(owned.epoch, store::claim_shards(*writer, options.server.node, owned.shards));
    }
  }
  TRY(parts->load_catalog(packs));
  TRY(parts->start_driver(owned));
  if (parts->membership) {
    TRY(parts->membership->start());
    TRY(parts->follow());
    TRY(parts->listen());
  }
  TRY(parts->load_packs(std::move(packs)));
  return std::unique_ptr<Engine>(new Engine(std::move(parts)));
}

void Engine::submit(Message message) {
  bool is_request = message->whose() == Whose::Asker;  // the machine's own may be about no tenant
  if (is_request && !message->about().tenant) {
    return message->fail(
        Error(ErrorKind::Internal, "SEC-0003",
              fmt::format("{}: the request names no tenant, and nothing is done without one",
                          message->name())));
  }
  parts_->driver->submit(std::move(message));
}

void Engine::load_packs(PackSet packs, Reply<int> loaded) {
  auto done = [parts = parts_.get(), packs, loaded = std::move(loaded)](Result<int> result) {
    if (result.ok() || !elsewhere(result.error())) return loaded(std::move(result));
    parts->driver->submit(show_packs(kDefaultTenant, packs));
    parts->load_packs_later(packs);
    loaded(static_cast<int>(packs.system.size() + packs.own.size()));
  };
  parts_->driver->submit(
      command::load_packs({.tenant = kDefaultTenant}, std::move(packs), std::move(done)));
}

int64_t Engine::new_watch() { return ++parts_->last_watch; }

void Engine::watch(int64_t number, Of<ExecutionId> execution, Reply<ExecutionRow> ended) {
  parts_->board.watch(number, execution, std::move(ended));
}

void Engine::forget_watch(int64_t number) { parts_->board.forget(number); }

std::shared_ptr<const Catalog> Engine::catalogs() const { return parts_->current(); }

std::shared_ptr<const TenantCatalog> Engine::catalog(TenantId tenant) const {
  return catalogs()->shared(tenant);
}

Result<std::unique_ptr<sql::Connection>> Engine::reader() const {
  return parts_->store.open_reader();
}

int64_t Engine::now_ms() const { return parts_->outside.now_ms(); }

int64_t Engine::on_change(std::function<void()> changed) {
  return parts_->listeners.on_change(std::move(changed));
}

int64_t Engine::on_output(Of<ExecutionId> execution,
                          std::function<void(const OutputChunk&)> chunk) {
  return parts_->listeners.on_output(execution, std::move(chunk));
}

void Engine::forget(int64_t subscription) { parts_->listeners.forget(subscription); }

std::vector<ServerView> Engine::servers() const {
  if (parts_->membership) return parts_->membership->servers();
  return {{.row = parts_->options.server, .shards = ShardSet::all(), .is_self = true}};
}

int Engine::owner_of(int shard) const { return parts_->owner_of(shard); }

void Engine::set_addresses(std::string http, std::string internal) {
  {
    std::lock_guard lock(parts_->catalog_mutex);
    parts_->api_url = http + "/api/v1";
  }
  if (parts_->membership) {
    return parts_->membership->set_addresses(std::move(http), std::move(internal));
  }
  parts_->options.server.http = std::move(http);
  parts_->options.server.internal = std::move(internal);
}

void Engine::lend(PermitAsk ask, Permits lent) {
  auto by = parts_->membership ? parts_->membership->self().epoch : 0;
  auto as_ours = [by, lent = std::move(lent)](Result<std::vector<Permit>> permits) {
    if (permits.ok()) std::ranges::for_each(*permits, [&](auto& permit) { permit.home = by; });
    lent(std::move(permits));
  };
  parts_->driver->call([ask = std::move(ask), as_ours](Partition* partition, Now now) {
    if (partition) return partition->lend(ask, as_ours, now);
    as_ours(Error(ErrorKind::Unavailable, "ENG-0005", "the server is stopping: it lends no slots"));
  });
}

void Engine::take_back(int64_t number) {
  parts_->driver->call([number](Partition* partition, Now) {
    if (partition) partition->take_back(number);
  });
}

void Engine::ask_nobody() {
  if (parts_->borrower) parts_->borrower->stop();
}

bool Engine::read_only() const { return parts_->driver->read_only(); }
int64_t Engine::waiting() const { return parts_->driver->waiting(); }

Engine::Stats Engine::stats() const {
  const auto& stats = parts_->driver->commit_stats();
  return {.set_aside = parts_->set_aside,
          .slow_decisions = parts_->slow_decisions,
          .commits = stats.commits,
          .steps = stats.steps,
          .batch_failures = stats.batch_failures,
          .commit_ns = stats.commit_ns};
}

void Engine::look_at_clock() {
  parts_->driver->look_at_clock();
  if (parts_->membership) parts_->membership->look();
}

void Engine::stop_granting() {
  parts_->driver->drain();
  if (parts_->membership) parts_->membership->drain();
}

bool Engine::settle(std::chrono::milliseconds within) { return parts_->driver->settle(within); }

void Engine::stop(std::chrono::milliseconds within) {
  auto& membership = parts_->membership;
  parts_->listening.reset();
  if (membership) membership->stop();
  ask_nobody();
  parts_->driver->stop(within);
  if (!membership) return;
  // Others see its beat stand still, if this fails.
  auto left = membership->leave();
  if (!left.ok()) log_warn("server.not_left", {{"error", left.error().message()}});
}

// WorkSource

namespace {

// The whole of a stream where it is a blob. Read here, on the worker's thread: deciding and
// committing wait for no disk but the store's.
Result<std::string> stored_stream(Blobs& blobs, std::string_view name, const StreamOutput& stream) {
  if (stream.blob.empty()) return std::string();
  if (stream.size > kOutputInResult.most) {
    return Error(ErrorKind::TooLarge, "EXE-0023", exceeds(kOutputInResult, stream.size));
  }
  TRY(auto bytes, blobs.read(stream.blob, 0, stream.size));
  if (static_cast<int64_t>(bytes.size()) == stream.size) return bytes;
  return Error(
      ErrorKind::Unavailable, "EXE-0024",
      fmt::format("{} is not whole: {} of {} bytes are stored", name, bytes.size(), stream.size));
}

}  // namespace

void Engine::open(WorkerHello hello, WorkReceiver& receiver,
                  std::function<void(Result<Session>)> opened) {
  log_info("worker.opens", {{"worker", hello.name},
                            {"slots", hello.slots},
                            {"adopted", static_cast<int64_t>(hello.adopted.size())}});
  auto attach = [this, &receiver, opened = std::move(opened)](Result<Session> session) {
    if (session.ok()) parts_->outlet.attach(*session, receiver);
    opened(std::move(session));
  };
  // Of 30 s: renewed every 10, and after 22 in vain the worker ends its runs itself.
  int64_t ttl_ms = hello.elsewhere ? parts_->options.session_ttl_ms : 0;
  SessionTerms terms{.ttl_ms = ttl_ms, .renew_ms = ttl_ms / 3, .fence_ms = ttl_ms * 11 / 15};
  if (parts_->membership) terms.home = parts_->membership->self().epoch;
  submit(open_worker(std::move(hello), terms, std::move(attach)));
}

void Engine::renew(SessionId session, std::function<void(Result<void>)> renewed) {
  parts_->driver->renew(session, std::move(renewed));
}

void Engine::close(SessionId session) {
  parts_->outlet.close(session);
  parts_->driver->close(session);
}

void Engine::drain(SessionId session) { parts_->driver->drain(session); }

void Engine::output(SessionId session, OutputChunk chunk) {
  if (parts_->outlet.worker_of(session)) parts_->listeners.output(chunk);
}

void Engine::preparing(SessionId session, TenantId tenant, const RunKey& key, std::string what) {
  auto worker = parts_->outlet.worker_of(session);
  if (!worker) return;
  parts_->preparations.begins(key);
  auto known = [this, key] { parts_->preparations.ends(key); };
  submit(prepare_run(*worker, tenant, key, std::move(what), std::move(known)));
}

void Engine::prepared(SessionId session, TenantId tenant, const RunKey& key,
                      std::function<void(bool)> go) {
  auto worker = parts_->outlet.worker_of(session);
  if (!worker) return go(false);
  parts_->preparations.after(key, [this, of = *worker, tenant, key, go = std::move(go)]() mutable {
    submit(run_is_prepared(of, tenant, key, std::move(go)));
  });
}

void Engine::finished(SessionId session, Completion completion, std::function<void()> done) {
  auto worker = parts_->outlet.worker_of(session);
  if (!worker) return;
  Blobs& blobs = *parts_->outside.blobs;
  StoredStreams stored{stored_stream(blobs, "stdout", completion.out),
                       stored_stream(blobs, "stderr", completion.err)};
  submit(finish_run(*worker, std::move(completion), std::move(stored), std::move(done)));
}

}  // namespace millrace::engine
