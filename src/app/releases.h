// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "app/pack_store.h"
#include "app/peer_releases.h"
#include "app/release_archives.h"
#include "app/staged_releases.h"
#include "services/worker/worker.h"

namespace millrace::app {

// The releases of a server, for all who need one: what is staged here, and where there are others
// what they have. Thread-safe, but for what the worker is given.
class Releases {
 public:
  // `peers`, which outlives it: null where there are none.
  Releases(std::string data, Peers* peers);

  // How a release that is not here is brought; empty: it cannot be.
  PackStore::Bring bring();
  // Of what is staged here.
  ReleaseArchives& archives() { return archives_; }
  // A piece for an agent; of a release that is not here once it was brought. Answers from any
  // thread.
  void read(const agent::WantRelease& want,
            std::function<void(Result<agent::ReleasePiece>)> answer);
  // Where a worker finds what its orders name.
  void serve(worker::WorkerConfig& worker);
  // Nothing is brought any more; who waits for it is told so.
  void stop();

 private:
  std::optional<worker::Preparation> prepare(const kernel::WorkOrder& order);

  ReleaseArchives archives_;
  StagedReleases staged_;  // the worker's
  std::unique_ptr<PeerReleases> brought_;
};

}  // namespace millrace::app
