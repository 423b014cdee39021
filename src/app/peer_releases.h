// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "app/peers.h"
#include "base/result.h"

namespace millrace::app {

// Releases that are not staged here, brought from the servers that hold them: piece by piece, held
// against their digest, then staged. What has come of one when a connection breaks lies in
// {data}/fetch, and the next attempt goes on there, with whichever server. Thread-safe.
class PeerReleases {
 public:
  using Ready = std::function<void(Result<void>)>;

  // `peers` outlives it.
  PeerReleases(std::string data, Peers& peers);
  ~PeerReleases() { stop(); }

  // `ready` is called once, from any thread, perhaps before this returns, and within a minute. Who
  // wants what is on its way waits for that. Errors: NotFound, APP-0042: no server gives it.
  void want(const std::string& pack, const std::string& digest, Ready ready);
  // The same, and waits.
  Result<void> bring(const std::string& pack, const std::string& digest);
  // Nobody is asked any more; who waits is told so at once.
  void stop();

 private:
  class Fetch;
  struct Coming;
  std::string data_;
  Peers& peers_;
  std::shared_ptr<Coming> coming_;
};

}  // namespace millrace::app
