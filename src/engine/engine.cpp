// SPDX-License-Identifier: Apache-2.0
#include "engine/engine.h"

#include <fmt/format.h>

#include <atomic>
#include <future>

#include "base/files.h"
#include "base/json.h"
#include "base/log.h"
#include "engine/board.h"
#include "engine/driver.h"
#include "engine/machine/in_hand.h"
#include "engine/outlet.h"
#include "engine/preparations.h"
#include "engine/transitions/messages.h"
#include "engine/transitions/stored_catalog.h"
#include "kernel/limits.h"
#include "store/migrate.h"

namespace millrace::engine {

using namespace kernel;

namespace {

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
  void committed() override { listeners.changed(); }
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
  Result<void> start_driver(int64_t epoch, const Retention& retention);

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
  std::mutex catalog_mutex;
  std::shared_ptr<const Catalog> catalog = std::make_shared<const Catalog>();
  std::unique_ptr<Driver> driver;
};

Result<void> Engine::Parts::load_catalog(const PackSet& packs) {
  catalog = catalog->with_system(packs.system)->with_packs(kDefaultTenant, packs.own);
  for (const auto& pack : packs.retired) catalog = catalog->with_retired(kDefaultTenant, pack);
  catalog = catalog->with_missing(kDefaultTenant, packs.missing);
  TRY(auto reader, store.open_reader());
  TRY(catalog, with_stored(catalog, *reader, outside.in_hand));
  return {};
}

Result<void> Engine::Parts::start_driver(int64_t epoch, const Retention& retention) {
  Surroundings surroundings{outlet, *this, outside.open_key, monotonic_ns, outside.in_hand};
  TRY(auto reader, store.open_reader());
  TRY(auto partition, Partition::open(std::move(reader), catalog, surroundings,
                                      {.sweep_ms = options.sweep_ms,
                                       .retention = retention,
                                       .env_allowed = options.env_allowed}));
  Driver::Options driving;
  driving.max_waiting = options.max_waiting;
  driving.committer.owner_epoch = epoch;
  driving.committer.recent_keys = options.recent_keys;
  TRY(driver,
      Driver::start(store, std::move(partition), surroundings, driving,
                    {.wall_ms = outside.now_ms, .mono_ns = outside.mono_ns}, outside.fatal));
  return {};
}

Engine::Engine(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Engine::~Engine() = default;

Result<std::unique_ptr<Engine>> Engine::start(sql::Store& store, PackSet packs,
                                              const Retention& retention, Options options,
                                              Outside outside) {
  auto parts = std::make_unique<Parts>(store, options, std::move(outside));
  int64_t epoch = 0;
  {
    TRY(auto writer, store.open_writer());
    TRY(store::migrate(*writer));
    TRY(epoch, store::claim_shards(*writer, parts->outside.owner, ShardSet::all()));
  }
  TRY(parts->load_catalog(packs));
  TRY(parts->start_driver(epoch, retention));
  auto engine = std::unique_ptr<Engine>(new Engine(std::move(parts)));
  // The releases are in the store, and the packs' rules follow their files, before anybody asks.
  std::promise<Result<int>> loaded;
  engine->submit(command::load_packs({.tenant = kDefaultTenant}, std::move(packs),
                                     [&](Result<int> done) { loaded.set_value(std::move(done)); }));
  auto done = loaded.get_future().get();
  if (!done.ok() && done.error().code() != kDeadly) return std::move(done).error();
  return engine;
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

int64_t Engine::new_watch() { return ++parts_->last_watch; }

void Engine::watch(int64_t number, Of<ExecutionId> execution, Reply<ExecutionRow> ended) {
  parts_->board.watch(number, execution, std::move(ended));
}

void Engine::forget_watch(int64_t number) { parts_->board.forget(number); }

std::shared_ptr<const Catalog> Engine::catalogs() const {
  std::lock_guard lock(parts_->catalog_mutex);
  return parts_->catalog;
}

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

void Engine::look_at_clock() { parts_->driver->look_at_clock(); }
void Engine::stop_granting() { parts_->driver->drain(); }

bool Engine::settle(std::chrono::milliseconds within) { return parts_->driver->settle(within); }

void Engine::stop(std::chrono::milliseconds within) { parts_->driver->stop(within); }

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
  int64_t ttl_ms = parts_->options.session_ttl_ms;
  SessionTerms terms{.ttl_ms = ttl_ms, .renew_ms = ttl_ms / 3, .fence_ms = ttl_ms * 11 / 15};
  submit(open_worker(std::move(hello), terms, std::move(attach)));
}

void Engine::renew(SessionId session, std::function<void(Result<void>)> renewed) {
  parts_->driver->renew(session, std::move(renewed));
}

void Engine::close(SessionId session) {
  parts_->outlet.end(session);
  parts_->driver->close(session);
}

void Engine::output(SessionId session, OutputChunk chunk) {
  if (parts_->outlet.worker_of(session)) parts_->listeners.output(chunk);
}

void Engine::preparing(SessionId session, TenantId tenant, const RunKey& key, std::string what) {
  if (!parts_->outlet.worker_of(session)) return;
  parts_->preparations.begins(key);
  auto known = [this, key] { parts_->preparations.ends(key); };
  submit(prepare_run(tenant, key, std::move(what), std::move(known)));
}

void Engine::prepared(SessionId session, TenantId tenant, const RunKey& key,
                      std::function<void(bool)> go) {
  if (!parts_->outlet.worker_of(session)) return go(false);
  parts_->preparations.after(key, [this, tenant, key, go = std::move(go)]() mutable {
    submit(run_is_prepared(tenant, key, std::move(go)));
  });
}

void Engine::finished(SessionId session, Completion completion, std::function<void()> done) {
  if (!parts_->outlet.worker_of(session)) return;
  Blobs& blobs = *parts_->outside.blobs;
  StoredStreams stored{stored_stream(blobs, "stdout", completion.out),
                       stored_stream(blobs, "stderr", completion.err)};
  submit(finish_run(std::move(completion), std::move(stored), std::move(done)));
}

}  // namespace millrace::engine
