// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "async/completion.h"
#include "async/pool.h"
#include "async/wakeup.h"
#include "auth/key_ring.h"
#include "auth/token.h"
#include "engine/engine.h"
#include "kernel/rows.h"
#include "services/api/options.h"
#include "services/api/route.h"

namespace millrace::api {

// Runs reads on the pool's threads, each with a read-only connection of its own. Loop thread.
class Readers {
 public:
  Readers(engine::Engine& engine, async::Pool& pool) : engine_(engine), pool_(pool) {}
  Task<Result<void>> run(std::function<Result<void>(sql::Connection&)> read);
  // A body that is long holds the loop when it is read there: it is read on the pool. `read` may
  // use what the caller's frame holds.
  static constexpr size_t kLongBody = 64 << 10;
  Task<Result<void>> parse(std::function<Result<void>()> read);

 private:
  Result<std::unique_ptr<sql::Connection>> take();
  void give_back(std::unique_ptr<sql::Connection> connection);

  engine::Engine& engine_;
  async::Pool& pool_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<sql::Connection>> idle_;
};

// Random bytes in small pieces, without a system call for each. Loop thread.
class RandomHex {
 public:
  explicit RandomHex(auth::Random random) : random_(std::move(random)) {}
  std::string take(size_t bytes);

 private:
  auth::Random random_;
  std::string buffer_;
  size_t used_ = 0;
};

// The opened secrets of webhook endpoints, so that a delivery costs no decryption. Loop thread.
class WebhookSecrets {
 public:
  explicit WebhookSecrets(const auth::KeyRing& keys) : keys_(keys) {}
  Result<const std::vector<Secret>*> of(const kernel::WebhookRow& endpoint);
  static std::string seal(const auth::KeyRing& keys, const auth::Random& random, TenantId tenant,
                          std::string_view name, const std::vector<Secret>& secrets);

 private:
  struct Entry {
    int64_t version = 0;
    std::vector<Secret> secrets;
  };
  const auth::KeyRing& keys_;
  std::unordered_map<WebhookId, Entry> opened_;
};

// Whose Idempotency-Key it is.
struct RequestKey {
  TenantId tenant;
  std::string identity;
  std::string key;
  auto operator<=>(const RequestKey&) const = default;
};

// So that strangers do not fill the log: of what is refused, so many lines a second; the rest is
// counted, and told with the next line. Loop thread.
class RefusalLog {
 public:
  static constexpr int kLinesPerSecond = 50;
  bool takes_line(int64_t now_ms);

 private:
  int64_t second_ = 0;
  int lines_ = 0;
  int64_t left_out_ = 0;
};

// The event streams that are open. Loop thread.
class Streams {
 public:
  // Whose they are.
  using Owner = std::pair<TenantId, std::string>;

  int open() const { return open_; }
  int open_of(const Owner& owner) const;
  void enter(const Owner& owner);
  void leave(const Owner& owner);

  // What follows something looks at its credential whenever it is woken.
  int64_t add(async::Wakeup wakeup);
  void forget(int64_t number) { wakeups_.erase(number); }
  void look_again() const;

 private:
  int open_ = 0;
  std::map<Owner, int> by_owner_;
  int64_t last_ = 0;
  std::map<int64_t, async::Wakeup> wakeups_;
};

// What the handlers work with; lives as long as the Api. Loop thread, except where a member says
// otherwise.
struct Shared {
  engine::Engine& engine;             // thread-safe
  const auth::KeyRing& keys;          // immutable
  auth::TokenCache& tokens;           // thread-safe
  const auth::RunTokens& run_tokens;  // immutable
  ApiOptions options;
  Readers readers;
  RandomHex hex;
  WebhookSecrets webhook_secrets;
  std::set<RequestKey> running_keys;  // of requests that are under way
  RefusalLog refusal_log;
  Streams streams;
  std::atomic<Phase> phase{Phase::Starting};
  struct Progress {
    int64_t steps = 0;
    std::chrono::steady_clock::time_point at = std::chrono::steady_clock::now();
  } progress;  // as /livez last saw it
  std::string openapi_json;
  std::string docs_html;

  Shared(engine::Engine& the_engine, const auth::KeyRing& the_keys, auth::TokenCache& the_tokens,
         const auth::RunTokens& the_run_tokens, async::Pool& pool, ApiOptions the_options);
  int64_t now_ms() const { return options.now_ms(); }
};

// A command's longest way to its durable outcome.
inline constexpr async::Duration kCommandLimit{30'000};
// What a command answers whose outcome is not known in time: Unavailable, API-0003.
Error outcome_unknown();

template <typename T>
Task<Result<T>> outcome_of(async::Completion<T> done) {
  auto result = co_await done.wait(kCommandLimit);
  if (!result.ok() && result.error().code() == "ASY-0001") co_return outcome_unknown();
  co_return result;
}

// Gives a command to the engine and waits for its Reply.
template <typename T>
Task<Result<T>> ask(std::function<void(engine::Reply<T>)> command) {
  async::Completion<T> done(co_await async::this_executor());
  command([done](Result<T> result) { done.fulfil(std::move(result)); });
  co_return co_await outcome_of(done);
}

}  // namespace millrace::api
