// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "app/folder_watch.h"
#include "app/pack_change.h"
#include "app/pack_indexes.h"
#include "app/pack_store.h"
#include "app/releases.h"
#include "async/completion.h"
#include "async/pool.h"
#include "async/scope.h"
#include "async/wakeup.h"
#include "engine/engine.h"
#include "services/api/pack_changes.h"

namespace millrace::app {

// Puts packs in force while a server is up, one after the other: all folders again when they are
// asked for (SIGHUP, the API), what other servers have put in force, and what people install. While
// a release is missing that others may have by now it looks each minute. Loop thread, except hear.
class PackLoader {
 public:
  struct Given {
    std::string data;
    async::Pool& pool;
    Releases& releases;
    sql::Store& store;
    bool has_others = false;
    std::string server;           // its name: whose operations these are
    int64_t fetch_within_ms = 0;  // of a pack from a git repository
    ConfigFiles configs;
    std::vector<std::string> indexes = {};  // files and URLs
    int64_t keep_ms = 0;                    // a release that nothing needs any more
  };
  // What it is given outlives it.
  PackLoader(async::Executor loop, std::vector<std::string> folders)
      : wakeup_(std::move(loop)), folders_(std::move(folders)) {}

  // At the start, before there is an engine: the packs that it begins with. Blocks.
  Result<engine::PackSet> open(Given given);

  // Until it is cancelled. What takes long is done in `scope`.
  Task<void> run(engine::Engine& engine, async::Scope& scope);
  // Fetches end now.
  void stop() { stop_ = true; }

  // Others have put something in force; any thread.
  void hear();
  // All folders again; these, from now on.
  void reload(std::vector<std::string> folders);
  // For the API.
  api::PackDesk desk();

 private:
  using Change = api::PackChange;
  template <typename T>
  Task<Result<T>> in_turn(TenantId tenant, std::function<Task<Result<T>>()> work);
  Task<Result<Change>> install(api::PackInstall install);
  Task<Result<Change>> roll_back(api::PackRollback rollback);
  Task<Result<kernel::OperationRow>> fetch(api::PackFetch fetch);
  Task<Result<std::vector<api::IndexedPackView>>> search(std::string words);
  Task<void> fetch_now(std::shared_ptr<const api::PackFetch> fetch, kernel::OperationRow row);
  Task<Result<Change>> fetch_and_put(const api::PackFetch& fetch, kernel::OperationRow& row);
  Task<Result<kernel::OperationRow>> write(kernel::OperationRow row);
  Task<void> end_what_was_left();
  Task<Result<Change>> put(engine::Caller caller, std::function<Result<FreshRelease>()> get,
                           bool is_trial, bool force);
  Task<Result<api::PacksReloaded>> reload_now();
  Task<Result<int>> load(PackStore::Why why, bool is_told);
  Task<void> load_changed();
  Task<void> sweep();
  void watch();
  Task<Result<int>> put_in_force(engine::PackSet packs, engine::Caller caller,
                                 std::shared_ptr<const engine::TenantCatalog> before);
  PackStore packs() { return {given_->data, folders_, given_->releases.bring(), &given_->configs}; }

  async::Wakeup wakeup_;
  std::vector<std::string> folders_;
  std::optional<Given> given_;
  std::optional<PackIndexes> indexes_;
  engine::Engine* engine_ = nullptr;
  bool asked_ = false;
  std::atomic<bool> heard_ = false;
  std::atomic<bool> changed_ = false;  // files of the folders
  size_t gone_ = 0;
  int64_t swept_ms_ = 0;  // Unix
  std::deque<std::function<Task<void>()>> waiting_;
  async::Scope* scope_ = nullptr;
  std::atomic<bool> stop_ = false;
  async::Pool fetches_{{.name = "fetch", .threads = 1, .max_queued = 16}};
  FolderWatch watch_{[this] {
    changed_ = true;
    wakeup_.notify();
  }};
};

}  // namespace millrace::app
