// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string_view>
#include <thread>
#include <vector>

#include "engine/transitions/messages.h"
#include "store/sql.h"

namespace millrace {
class InHand;
}

namespace millrace::engine {

// What the change feed of a store that several servers share tells of the others' commits. On one
// thread.
class FeedReader {
 public:
  struct Outside {
    // Whether somebody here waits for the end of this execution.
    std::function<bool(Of<ExecutionId>)> is_awaited;
    std::function<void(const kernel::ExecutionRow&)> ended;
    // It is canceled, and its run may be one of a worker here.
    std::function<void(const kernel::ExecutionRow&)> canceling;
    // A run was given to a worker of another server than its shard's owner.
    std::function<void(RunGiven)> given;
    std::function<void(CatalogNews)> catalog;
    std::function<void(TenantId, TokenId, const kernel::TokenRow*)> token;  // null: it is revoked
    std::function<void()> packs;    // releases have come or gone
    std::function<void()> changed;  // the feed has grown
    InHand* in_hand = nullptr;      // of the compiler of rules; may be null
  };
  // Begins behind the entry `after`.
  FeedReader(std::unique_ptr<sql::Connection> reader, int64_t after, Outside outside)
      : reader_(std::move(reader)), after_(after), outside_(std::move(outside)) {}
  // Tells of the next entries. True: there may be more. After an error it has read nothing. An
  // execution that cannot be read holds up nothing else: it is tried again each time.
  // Error kMissed: what comes next is not kept any more. Who reads knows less than all; it has to
  // begin anew.
  static constexpr std::string_view kMissed = "ENG-0011";
  Result<bool> read();

 private:
  // What one look has found of a tenant.
  struct Found {
    std::set<std::string> rules;  // refs
    std::set<WebhookId> webhooks;
    bool timers = false;  // one is paused, or goes on
    std::set<kernel::PolicyId> policies;
    bool packs = false;
  };
  Result<bool> read_on();
  Result<void> take(const std::vector<kernel::ChangeRow>& entries);
  Result<void> take_or_pass_over(const kernel::ChangeRow& entry);
  Result<void> take_execution(const kernel::ChangeRow& entry) const;
  Result<CatalogNews> news_of(TenantId tenant, const Found& found);

  std::unique_ptr<sql::Connection> reader_;
  int64_t after_;
  Outside outside_;
  std::map<TenantId, int64_t> told_;       // the versions of catalogues that were told of last
  std::vector<kernel::ChangeRow> unread_;  // passed over: their executions could not be read
};

// Follows the feed on a thread of its own: what one server has committed comes to whoever waits for
// it on another. The feed is durable: nothing is missed, whatever became of a hint.
class Follower {
 public:
  // `fatal` is called, on its thread, when the process has to begin anew; it must not return.
  static Result<std::unique_ptr<Follower>> start(sql::Store& store, int64_t after,
                                                 FeedReader::Outside outside,
                                                 std::function<void(const Error&)> fatal);
  ~Follower();
  // There may be more. From any thread.
  void look();

 private:
  Follower(FeedReader feed, std::function<void(const Error&)> fatal)
      : feed_(std::move(feed)), fatal_(std::move(fatal)) {}
  void run();

  FeedReader feed_;
  std::function<void(const Error&)> fatal_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool look_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace millrace::engine
