// SPDX-License-Identifier: Apache-2.0
#include "app/pack_loader.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "app/git_fetch.h"
#include "app/release_sweep.h"
#include "base/fields.h"
#include "base/log.h"
#include "base/time.h"
#include "cli/stdout.h"
#include "engine/machine/catalog.h"
#include "store/read.h"

namespace millrace::app {
namespace {

constexpr async::Duration kMissingLook{60'000};
constexpr async::Duration kSweepEvery{3'600'000};  // as the sweep of files
constexpr async::Duration kTurnLimit{50'000};      // of all that waits before it, and its own work
constexpr async::Duration kForceLimit{30'000};     // the engine's way to a durable outcome

using Catalog = std::shared_ptr<const engine::TenantCatalog>;

const Pack* find_pack(const std::vector<std::shared_ptr<const Pack>>& packs, std::string_view ref) {
  auto pack = std::ranges::find_if(packs, [&](auto& each) { return each->ref == ref; });
  return pack == packs.end() ? nullptr : pack->get();
}

void tell_terminal(const std::string& line) {
  if (::isatty(STDOUT_FILENO) != 0) cli::put("{}\n", line);
}

// Packs are the first tenant's as yet.
Result<void> check_tenant(TenantId tenant) {
  if (tenant == kDefaultTenant) return {};
  return Error(ErrorKind::Conflict, "PCK-0013",
               "packs are not changed here: ask as the first tenant");
}

Error breaks_others(const api::PackChange& change) {
  Error error(ErrorKind::Conflict, "PCK-0006",
              fmt::format("pack '{}' {} would take what {} others use: change or delete these, or "
                          "give --force",
                          change.ref, change.version, change.breaks.size()));
  for (const auto& one : change.breaks) error = std::move(error).with_problem("", one);
  return error;
}

api::PacksReloaded reloaded(const engine::TenantCatalog& before, const engine::TenantCatalog& now) {
  api::PacksReloaded done{.packs = static_cast<int64_t>(now.packs().size())};
  for (const auto& pack : now.packs()) {
    done.faults += static_cast<int64_t>(pack->faults.size());
    for (const auto& fault : pack->faults) {
      done.problems.push_back(fmt::format("{}/{}: {}", pack->ref, fault.path, fault.message));
    }
    const Pack* old = find_pack(before.packs(), pack->ref);
    if (!old || old->digest != pack->digest) done.changed.push_back(pack->ref);
  }
  for (const auto& pack : before.packs()) {
    if (!find_pack(now.packs(), pack->ref)) done.changed.push_back(pack->ref);
  }
  return done;
}

}  // namespace

Result<engine::PackSet> PackLoader::open(Given given) {
  given_.emplace(std::move(given));
  indexes_.emplace(given_->indexes, given_->pool);
  TRY(auto loaded, packs().load_all(given_->store, PackStore::Why::Start));
  gone_ = loaded.gone;
  return std::move(loaded.set);
}

void PackLoader::hear() {
  heard_ = true;
  wakeup_.notify();
}

void PackLoader::reload(std::vector<std::string> folders) {
  folders_ = std::move(folders);
  asked_ = true;
  wakeup_.notify();
}

api::PackDesk PackLoader::desk() {
  return {.install = [this](auto what) { return install(std::move(what)); },
          .fetch = [this](auto what) { return fetch(std::move(what)); },
          .roll_back = [this](auto what) { return roll_back(std::move(what)); },
          .reload =
              [this](const auto& caller) {
                return in_turn<api::PacksReloaded>(caller.tenant, [this] { return reload_now(); });
              },
          .search = [this](auto words) { return search(std::move(words)); }};
}

// A load may take long: what is asked meanwhile waits for its turn.
Task<void> PackLoader::run(engine::Engine& engine, async::Scope& scope) {
  engine_ = &engine;
  scope_ = &scope;
  co_await end_what_was_left();
  watch();
  co_await sweep();
  for (;;) {
    bool looks_again = given_->has_others && gone_ > 0;
    bool is_woken = co_await wakeup_.wait_for(looks_again ? kMissingLook : kSweepEvery);
    while (!waiting_.empty()) {
      auto work = std::move(waiting_.front());
      waiting_.pop_front();
      co_await work();
    }
    if (unix_ms() - swept_ms_ >= kSweepEvery.count()) co_await sweep();
    if (changed_.exchange(false) && !asked_) co_await load_changed();
    bool is_asked = std::exchange(asked_, false);
    bool is_told = heard_.exchange(false) || is_asked;
    if (!is_told && (is_woken || !looks_again)) continue;
    auto done = co_await load(is_asked ? PackStore::Why::Asked : PackStore::Why::News, is_told);
    if (!done.ok()) log_error("packs.not_reloaded", {{"error", done.error().describe()}});
    if (is_asked) watch();
  }
}

// Between loads: what comes into force now, or is taken back, is not deleted meanwhile.
Task<void> PackLoader::sweep() {
  swept_ms_ = unix_ms();
  std::set<ReleaseName> needed;  // by this server, which may have another core pack than others
  for (const auto& pack : engine_->catalog(kDefaultTenant)->packs()) {
    needed.emplace(pack->ref, pack->digest);
  }
  auto work = [&]() -> Result<std::vector<ReleaseName>> {
    TRY(auto reader, given_->store.open_reader());
    TRY(auto current, store::current_releases(*reader));
    for (const auto& row : current.rows) needed.emplace(row.pack, row.digest);
    TRY(auto pinned, store::pinned_releases(*reader));
    for (const auto& row : pinned) needed.emplace(row.pack, row.digest);
    return sweep_releases(given_->data, needed, unix_ms(), given_->keep_ms);
  };
  auto gone = co_await given_->pool.run(work);
  if (!gone.ok()) log_warn("releases.not_swept", {{"error", gone.error().describe()}});
}

// The folders of packs, and of what they are configured with.
void PackLoader::watch() {
  auto folders = folders_;
  if (!given_->configs.folder().empty()) folders.push_back(given_->configs.folder());
  auto watched = watch_.watch(std::move(folders));
  if (watched.ok()) return;
  log_warn("packs.not_watched", {{"error", watched.error().message()},
                                 {"do",
                                  "raise fs.inotify.max_user_watches, or millrace pack "
                                  "reload after a change"}});
}

// Files of a folder have changed: what came of it is said where its author looks.
Task<void> PackLoader::load_changed() {
  auto done = co_await reload_now();
  if (!done.ok()) {
    log_error("packs.not_reloaded", {{"error", done.error().describe()}});
    tell_terminal(fmt::format("packs are not loaded: {}", done.error().message()));
    co_return;
  }
  log_info("packs.changed",
           {{"packs", fmt::format("{}", fmt::join(done->changed, ","))}, {"faults", done->faults}});
  auto text = done->changed.empty() ? std::string("nothing else than before")
                                    : fmt::format("{}", fmt::join(done->changed, ", "));
  auto more = done->problems.size() > 1
                  ? fmt::format("; {} more: millrace pack list", done->problems.size() - 1)
                  : std::string();
  auto first =
      done->problems.empty() ? std::string() : fmt::format("; {}{}", done->problems.front(), more);
  tell_terminal(fmt::format("packs are loaded: {}{}", text, first));
}

template <typename T>
Task<Result<T>> PackLoader::in_turn(TenantId tenant, std::function<Task<Result<T>>()> work) {
  CO_TRY(check_tenant(tenant));
  async::Completion<T> done(co_await async::this_executor());
  waiting_.emplace_back(
      // NOLINTNEXTLINE(cppcoreguidelines-avoid-capturing-lambda-coroutines): run() holds it
      [done, work = std::move(work)]() -> Task<void> { done.fulfil(co_await work()); });
  wakeup_.notify();
  co_return co_await done.wait(kTurnLimit);
}

// Unless it `is_told`, only when there is more than before.
Task<Result<int>> PackLoader::load(PackStore::Why why, bool is_told) {
  auto before = engine_->catalog(kDefaultTenant);
  auto store = packs();
  auto loaded = co_await given_->pool.run([&] { return store.load_all(given_->store, why); });
  if (!loaded.ok()) co_return std::move(loaded).error();
  size_t were_gone = std::exchange(gone_, loaded->gone);
  if (!is_told && gone_ >= were_gone) co_return 0;
  async::Completion<int> done(co_await async::this_executor());
  loaded->set.before = std::move(before);
  engine_->load_packs(std::move(loaded->set),
                      [done](Result<int> count) { done.fulfil(std::move(count)); });
  CO_TRY(int count, co_await done.wait(kForceLimit));
  log_info("packs.reloaded", {{"packs", count}});
  given_->releases.publish(engine_->catalog(kDefaultTenant)->packs());
  co_return count;
}

Task<Result<api::PacksReloaded>> PackLoader::reload_now() {
  auto before = engine_->catalog(kDefaultTenant);
  CO_TRY(co_await load(PackStore::Why::Asked, true));
  co_return reloaded(*before, *engine_->catalog(kDefaultTenant));
}

Task<Result<PackLoader::Change>> PackLoader::install(api::PackInstall what) {
  TenantId tenant = what.caller.tenant;
  auto work = [this, what = std::make_shared<api::PackInstall>(std::move(what))] {
    auto get = [what]() -> Result<FreshRelease> {
      TRY(auto fresh, unpack(std::move(what->archive)));
      fresh.origin = {what->kind, what->from, what->caller.identity};
      return fresh;
    };
    return put(what->caller, std::move(get), what->is_trial, what->force);
  };
  co_return co_await in_turn<Change>(tenant, std::move(work));
}

Task<Result<PackLoader::Change>> PackLoader::roll_back(api::PackRollback what) {
  TenantId tenant = what.caller.tenant;
  // NOLINTNEXTLINE(cppcoreguidelines-avoid-capturing-lambda-coroutines): run() holds it
  auto work = [this, what = std::move(what)]() -> Task<Result<Change>> {
    auto now = engine_->catalog(what.caller.tenant);
    auto get = [this, now, ref = what.ref, who = what.caller]() -> Result<FreshRelease> {
      const Pack* pack = find_pack(now->packs(), ref);
      if (!pack) return Error(ErrorKind::NotFound, "PCK-0004", fmt::format("no pack '{}'", ref));
      TRY(auto fresh, packs().release_before(given_->store, who.tenant, *pack));
      fresh.origin.installer = who.identity;
      return fresh;
    };
    auto done = co_await put(what.caller, std::move(get), what.is_trial, what.force);
    if (!done.ok()) co_return done;
    done->outcome = "rolled_back";
    co_return done;
  };
  co_return co_await in_turn<Change>(tenant, std::move(work));
}

Task<Result<kernel::OperationRow>> PackLoader::write(kernel::OperationRow row) {
  async::Completion<kernel::OperationRow> done(co_await async::this_executor());
  engine::Caller caller{.tenant = row.tenant, .identity = row.identity};
  engine_->submit(engine::command::write_operation(
      std::move(caller), std::move(row),
      [done](Result<kernel::OperationRow> written) { done.fulfil(std::move(written)); }));
  co_return co_await done.wait(kForceLimit);
}

Task<void> PackLoader::end_what_was_left() {
  auto find = [this]() -> Result<std::vector<kernel::OperationRow>> {
    TRY(auto reader, given_->store.open_reader());
    return store::operations_left(*reader, given_->server);
  };
  auto left = co_await given_->pool.run(find);
  if (!left.ok()) {
    log_error("operations.not_ended", {{"error", left.error().describe()}});
    co_return;
  }
  for (auto& row : *left) {
    row.status = kernel::OperationStatus::Failed;
    row.error_code = "PCK-0016";
    row.error = "the server has ended before it was done: ask again";
    auto written = co_await write(row);
    if (!written.ok()) log_error("operation.not_written", {{"error", written.error().describe()}});
  }
}

Task<Result<kernel::OperationRow>> PackLoader::fetch(api::PackFetch what) {
  CO_TRY(check_tenant(what.caller.tenant));
  if (!what.name.empty()) {
    CO_TRY(auto indexed, co_await indexes_->find(what.name));
    what.url = std::move(indexed.repo_url);
  }
  CO_TRY(check_git_source(what.url, what.ref));
  CO_TRY(auto row, co_await write({.tenant = what.caller.tenant,
                                   .kind = "pack.install",
                                   .subject = what.url,
                                   .progress = "waits for its turn",
                                   .identity = what.caller.identity,
                                   .server = given_->server}));
  async::spawn("fetch_pack", *scope_,
               fetch_now(std::make_shared<const api::PackFetch>(std::move(what)), row));
  co_return row;
}

Task<Result<std::vector<api::IndexedPackView>>> PackLoader::search(std::string words) {
  CO_TRY(auto found, co_await indexes_->search(std::move(words)));
  std::vector<api::IndexedPackView> views;
  for (auto& pack : found) {
    views.push_back({.ref = std::move(pack.ref),
                     .version = std::move(pack.version),
                     .installed = {},
                     .description = std::move(pack.description),
                     .keywords = std::move(pack.keywords),
                     .repo_url = std::move(pack.repo_url)});
  }
  co_return views;
}

Task<void> PackLoader::fetch_now(std::shared_ptr<const api::PackFetch> what,
                                 kernel::OperationRow row) {
  auto done = co_await fetch_and_put(*what, row);
  if (done.ok()) {
    row.status = kernel::OperationStatus::Succeeded;
    row.progress = done->outcome;
    row.result_json = encode_json(*done);
  } else {
    row.status = kernel::OperationStatus::Failed;
    row.error_code = done.error().code();
    row.error = done.error().describe();
  }
  auto written = co_await write(row);
  if (!written.ok()) log_error("operation.not_written", {{"error", written.error().describe()}});
}

Task<Result<PackLoader::Change>> PackLoader::fetch_and_put(const api::PackFetch& what,
                                                           kernel::OperationRow& row) {
  GitWant want{.url = what.url,
               .ref = what.ref,
               .folder = given_->data + "/fetch/git",
               .within_ms = given_->fetch_within_ms,
               .stop = &stop_};
  row.progress = "fetches";
  CO_TRY(row, co_await write(row));
  CO_TRY(auto got, co_await fetches_.run([&want] { return fetch_git(want); }));
  row.progress = fmt::format("installs {}", got.commit.substr(0, 12));
  CO_TRY(row, co_await write(row));
  auto fresh = std::make_shared<FreshRelease>(
      FreshRelease{.files = std::move(got.pack.files),
                   .origin = {"git", what.url, what.caller.identity, what.ref, got.commit},
                   .name = std::move(got.pack.folder),
                   .ref = {}});
  auto work = [this, caller = what.caller, fresh, trial = what.is_trial, force = what.force] {
    auto get = [fresh]() -> Result<FreshRelease> { return std::move(*fresh); };
    return put(caller, std::move(get), trial, force);
  };
  co_return co_await in_turn<Change>(what.caller.tenant, std::move(work));
}

// Judged with all other packs, for rules of one name what another has.
Task<Result<PackLoader::Change>> PackLoader::put(engine::Caller caller,
                                                 std::function<Result<FreshRelease>()> get,
                                                 bool is_trial, bool force) {
  struct Trial {
    PackStore::Loaded loaded;
    Change change;
  };
  auto before = engine_->catalog(kDefaultTenant);
  auto store = packs();
  auto look = [&]() -> Result<Trial> {
    TRY(auto fresh, get());
    TRY(auto loaded, store.load_all(given_->store, PackStore::Why::News, &fresh));
    const Pack* pack = find_pack(loaded.set.own, fresh.ref);
    ASSERT(pack);
    auto change = compare(given_->data, *before, *pack, fresh.files);
    change.dry_run = is_trial;
    if (is_trial || change.outcome == "unchanged") return Trial{{}, std::move(change)};
    if (!change.breaks.empty() && !force) return breaks_others(change);
    TRY(store.stage(fresh));
    return Trial{std::move(loaded), std::move(change)};
  };
  auto trial = co_await given_->pool.run(look);
  if (!trial.ok()) co_return std::move(trial).error();
  if (is_trial || trial->change.outcome == "unchanged") co_return std::move(trial->change);
  gone_ = trial->loaded.gone;
  CO_TRY(co_await put_in_force(std::move(trial->loaded.set), caller, std::move(before)));
  log_info("pack.installed", {{"pack", trial->change.ref},
                              {"version", trial->change.version},
                              {"digest", trial->change.digest},
                              {"by", caller.identity},
                              {"faults", trial->change.faults}});
  co_return std::move(trial->change);
}

// Where this server decides; else its error says whose business it is.
Task<Result<int>> PackLoader::put_in_force(engine::PackSet packs, engine::Caller caller,
                                           Catalog before) {
  packs.before = std::move(before);
  caller.idempotency_key.clear();
  async::Completion<int> done(co_await async::this_executor());
  engine_->submit(
      engine::command::load_packs(std::move(caller), std::move(packs),
                                  [done](Result<int> count) { done.fulfil(std::move(count)); }));
  CO_TRY(int count, co_await done.wait(kForceLimit));
  given_->releases.publish(engine_->catalog(kDefaultTenant)->packs());
  co_return count;
}

}  // namespace millrace::app
