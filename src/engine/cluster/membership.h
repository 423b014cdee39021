// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "engine/cluster/roster.h"
#include "store/servers.h"

namespace millrace::engine {

// The place of one server among those that share a store, on a thread of its own: raises its beat,
// sees who lives, and takes and gives up shards until the spread is even. That no two decide for
// one shard does not rest on it: each commit checks the epochs.
//
// Thread-safe.
class Membership {
 public:
  struct Outside {
    std::function<int64_t()> unix_ms;
    std::function<int64_t()> mono_ms;
    // All on the thread of the membership, or on that which starts it.
    std::function<void(int64_t mono_ms)> may_decide_until;
    // Decides nothing any more; returns when nothing is being written. False: not in time.
    std::function<bool()> hold;
    // Goes on with these shards; nothing, or an error: as before.
    std::function<Result<void>(std::optional<store::Owned>)> go_on;
    // It has been silent for so long that others may have given up the runs of its workers.
    std::function<void()> was_away;
    // Who lives, or who owns what, has changed.
    std::function<void()> changed;
    // Its place is another process's: nothing of it may be written any more.
    std::function<void(const Error&)> fatal;
  };

  // Begins to serve the store. Conflict, kNameTaken: another server of this name lives, which may
  // take `dead_ms` to find out. What was free of its share it owns then.
  static Result<std::unique_ptr<Membership>> join(sql::Store& store, kernel::ServerRow self,
                                                  ClusterTimes times, Outside outside);
  ~Membership();
  // Takes its place: has its share of what is free when this returns. What `outside` does has to be
  // possible from here on.
  Result<void> start();

  // Somebody has come, gone, or given something up: looks at once.
  void look();
  // It owns nothing any more, within a moment.
  void drain();
  // Where it is reached, once that is known.
  void set_addresses(std::string http, std::string internal);
  // Ends the thread.
  void stop();
  // It is gone, after `stop`: its shards are free at once.
  Result<void> leave();

  const kernel::ServerRow& self() const { return self_; }
  store::Owned owned() const;
  std::vector<ServerView> servers() const;
  int owner_of(int shard) const;
  std::vector<int64_t> living() const;
  std::optional<std::vector<int64_t>> with_runs() const;

 private:
  Membership(kernel::ServerRow self, ClusterTimes times, Outside outside);
  Result<void> enter();
  void run();
  // When the next one is due, monotonic.
  int64_t tick();
  Result<void> keep_place(int64_t begun_ms);
  bool has_lost_some() const;
  Result<void> reassign();
  void publish(kernel::Cluster cluster);

  kernel::ServerRow self_;
  const ClusterTimes times_;
  Outside outside_;
  std::unique_ptr<sql::Connection> writer_;
  std::unique_ptr<sql::Connection> reader_;
  std::optional<int64_t> kept_ms_;  // when its last beat began
  std::string told_address_;        // that others were told to look for
  std::vector<int64_t> told_living_;
  std::optional<std::vector<int64_t>> told_with_runs_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  Roster roster_;
  store::Owned owned_;
  bool look_ = false;
  bool draining_ = false;
  bool stopping_ = false;
  std::string http_;
  std::string internal_;
  std::thread thread_;
};

}  // namespace millrace::engine
