// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "app/pack_change.h"
#include "app/pack_store.h"
#include "app/releases.h"
#include "async/completion.h"
#include "async/pool.h"
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
  };
  // What it is given outlives it.
  PackLoader(async::Executor loop, std::vector<std::string> folders)
      : wakeup_(std::move(loop)), folders_(std::move(folders)) {}

  // At the start, before there is an engine: the packs that it begins with. Blocks.
  Result<engine::PackSet> open(Given given);

  // Until it is cancelled.
  Task<void> run(engine::Engine& engine);

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
  Task<Result<Change>> put(engine::Caller caller, std::function<Result<FreshRelease>()> get,
                           bool is_trial, bool force);
  Task<Result<api::PacksReloaded>> reload_now();
  Task<Result<int>> load(PackStore::Why why, bool is_told);
  Task<Result<int>> put_in_force(engine::PackSet packs, engine::Caller caller,
                                 std::shared_ptr<const engine::TenantCatalog> before);
  PackStore packs() const { return {given_->data, folders_, given_->releases.bring()}; }

  async::Wakeup wakeup_;
  std::vector<std::string> folders_;
  std::optional<Given> given_;
  engine::Engine* engine_ = nullptr;
  bool asked_ = false;
  std::atomic<bool> heard_ = false;
  size_t gone_ = 0;
  std::deque<std::function<Task<void>()>> waiting_;
};

}  // namespace millrace::app
