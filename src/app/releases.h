// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "app/environments.h"
#include "app/pack_store.h"
#include "app/peer_releases.h"
#include "app/release_archives.h"
#include "app/staged_releases.h"
#include "services/worker/worker.h"

namespace millrace::app {

// The releases of a server, for all who need one: what is staged here, and what the room that
// servers share and the other servers have. Thread-safe, but for what workers are given.
class Releases {
 public:
  struct Given {
    std::string data;
    Peers* peers = nullptr;  // null: there are no others
    // Null: there is none. In it lies the archive of releases/PACK/DIGEST.
    kernel::Blobs* room = nullptr;
    // Runs what asks the room, on a thread of its own, when a server is up.
    std::function<void(std::function<void()>)> run = {};
  };
  // What it is given outlives it.
  explicit Releases(Given given);

  // How a release that is not here is brought; empty: it cannot be.
  PackStore::Bring bring();
  // Of what is staged here.
  ReleaseArchives& archives() { return archives_; }
  // A piece for an agent; of a release that is not here once it was brought. Answers from any
  // thread.
  void read(const agent::WantRelease& want,
            std::function<void(Result<agent::ReleasePiece>)> answer);
  // Where a worker, or who starts sensors, finds what orders name, and what these need. What is
  // put into the configuration is for one thread at a time.
  void serve(worker::WorkerConfig& worker);
  // Puts those that were loaded from a folder into the room, where it has them not; in its own
  // time.
  void publish(const Packs& packs);
  // Nothing is brought any more; who waits for it is told so.
  void stop();

 private:
  bool can_bring() const { return brought_ || given_.room; }
  void want(const std::string& pack, const std::string& digest, PeerReleases::Ready ready);
  Result<void> bring_now(const std::string& pack, const std::string& digest);
  Result<void> from_room(const std::string& pack, const std::string& digest);
  Result<void> put_into_room(const std::string& pack, const std::string& digest);
  std::optional<worker::Preparation> prepare(StagedReleases& staged,
                                             const kernel::WorkOrder& order);

  const Given given_;
  std::mutex room_mutex_;
  ReleaseArchives archives_;
  Environments environments_;
  std::unique_ptr<PeerReleases> brought_;
};

}  // namespace millrace::app
