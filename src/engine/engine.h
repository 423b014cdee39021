// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/secret.h"
#include "engine/cluster/roster.h"
#include "engine/machine/message.h"
#include "engine/machine/reply.h"
#include "kernel/blobs.h"
#include "kernel/permits.h"
#include "kernel/work.h"

namespace millrace {
class InHand;
}

namespace millrace::kernel {
struct ExecutionRow;
struct KeyRow;
struct TokenRow;
}  // namespace millrace::kernel

namespace millrace::sql {
class Connection;
class Store;
}  // namespace millrace::sql

namespace millrace::engine {

class Catalog;
class TenantCatalog;
struct PackSet;
struct Retention;

// The use cases over one store: takes messages (transitions/commands.h), brings work to the
// workers, tells who listens. Commands answer through their Reply after the durable commit; reads
// are done by the caller over `reader()` connections on its own pool. Thread-safe.
class Engine final : public kernel::WorkSource {
 public:
  struct Options {
    size_t max_waiting = 8192;        // requests that wait to be written; more are answered Busy
    int64_t session_ttl_ms = 30'000;  // of workers in other processes
    int64_t sweep_ms = 60'000;
    size_t recent_keys = 0;  // see store::RecentKeys: of the only server of a store
    std::vector<std::string> env_allowed = {};  // as model/env_names.h reads it
    // What others see of this server: its name, home, roles, version, addresses, config.
    kernel::ServerRow server = {};
    // Others may serve the same store. Nothing: this process has it alone.
    std::optional<ClusterTimes> cluster = {};
  };
  using Permits = std::function<void(Result<std::vector<kernel::Permit>>)>;
  struct Outside {
    std::function<int64_t()> now_ms;          // Unix
    std::function<int64_t()> mono_ns;         // empty: the machine's monotonic clock
    std::function<void(const Error&)> fatal;  // must not return
    // Added to the environment of each run: MILLRACE_API_URL, and the token if it asks for one.
    std::function<void(kernel::WorkOrder&)> equip;
    // Each first decision: its kind and how long it waited for it, in ns. For metrics.
    std::function<void(std::string_view kind, int64_t waited_ns)> decided;
    // The wall clock was set by so many ms, or the machine has slept; may be empty. For metrics.
    std::function<void(int64_t by_ms)> clock_stepped;
    // For st2kv(..., decrypt=true); may be empty. It says itself in the log why it cannot.
    std::function<Result<Secret>(const kernel::KeyRow&)> open_key;
    // Another server has made a token, or revoked it (null). Any thread; may be empty.
    std::function<void(TokenId, const kernel::TokenRow*)> token_changed;
    // Another server has other releases of packs, or has uninstalled some: to be loaded as after a
    // change of folders. Any thread; may be empty.
    std::function<void()> packs_changed;
    // Of several servers, how another one is asked for slots (Engine::lend) and gets one back. The
    // answer comes once, on any thread; neither waits. Empty: nobody is asked.
    std::function<void(const kernel::ServerRow&, kernel::PermitAsk, Permits)> ask_slots;
    std::function<void(const kernel::ServerRow&, int64_t number)> give_slot_back;
    kernel::Blobs* blobs = nullptr;  // holds output above 64 KiB
    InHand* in_hand = nullptr;       // notes what is being decided; may be null
  };
  // What the committer has done; for metrics.
  struct Stats {
    int64_t set_aside = 0;  // messages that could not be decided, or ended the server
    int64_t slow_decisions = 0;
    int64_t commits = 0;
    int64_t steps = 0;
    int64_t batch_failures = 0;
    int64_t commit_ns = 0;
  };

  // Migrates the store, claims the shards, loads the catalogue and starts the threads. The packs
  // are those of the first tenant.
  static Result<std::unique_ptr<Engine>> start(sql::Store& store, PackSet packs,
                                               const Retention& retention, Options options,
                                               Outside outside);
  ~Engine() override;

  // A command. One that names no tenant is refused: Internal, SEC-0003.
  void submit(Message message);

  // Another set of packs of the first tenant: command::load_packs, where this server decides for
  // something; else they are shown, and loaded when it does. How many there are.
  void load_packs(PackSet packs, Reply<int> loaded);

  // Waiting for the end: take a number, watch, then read the row once (it may have ended before);
  // forget the watch when you stop waiting. `ended` is called on any thread.
  int64_t new_watch();
  void watch(int64_t number, Of<ExecutionId> execution, Reply<kernel::ExecutionRow> ended);
  void forget_watch(int64_t number);

  std::shared_ptr<const Catalog> catalogs() const;
  std::shared_ptr<const TenantCatalog> catalog(TenantId tenant) const;
  Result<std::unique_ptr<sql::Connection>> reader() const;
  int64_t now_ms() const;

  // `changed` is called after each commit that added to the change feed, from any thread.
  int64_t on_change(std::function<void()> changed);
  // Live output of one execution; not durable. `chunk` is called from any thread and must not
  // block: first, before this returns, with the last 64 KiB or more of each stream of a run under
  // way. Gone when forgotten.
  int64_t on_output(Of<ExecutionId> execution,
                    std::function<void(const kernel::OutputChunk&)> chunk);
  void forget(int64_t subscription);  // of on_change and on_output

  // All that serve the store, by node; of a store of one process it alone.
  std::vector<ServerView> servers() const;
  // The node of the server that owns a shard, as far as this one knows; kNobody: it is on its way
  // from one to another.
  int owner_of(int shard) const;
  // Where this server is reached, once that is known.
  void set_addresses(std::string http, std::string internal);

  // Another server asks for slots of the workers here; it gives one back that it has not used.
  void lend(kernel::PermitAsk ask, Permits lent);
  void take_back(int64_t number);

  bool read_only() const;
  int64_t waiting() const;
  Stats stats() const;

  // The wall clock may have been set: what is due by it is looked up again. Without this word it is
  // noticed within a minute.
  void look_at_clock();

  // Asks other servers for nothing any more, and hears no answer.
  void ask_nobody();
  // From now on nothing is started; what runs goes on, what is admitted waits in the queue. Shards
  // go to other servers at once.
  void stop_granting();
  // Waits until nothing is in hand. False: not in time.
  bool settle(std::chrono::milliseconds within = std::chrono::seconds(30));
  // Sees to the end what nobody else would bring back, as far as that can be done in time. Nothing
  // is taken afterwards; what is left is in the store or with the workers.
  void stop(std::chrono::milliseconds within);

  // WorkSource
  void open(kernel::WorkerHello hello, kernel::WorkReceiver& receiver,
            std::function<void(Result<kernel::Session>)> opened) override;
  void renew(SessionId session, std::function<void(Result<void>)> renewed) override;
  void close(SessionId session) override;
  void drain(SessionId session) override;
  void output(SessionId session, kernel::OutputChunk chunk) override;
  void preparing(SessionId session, TenantId tenant, const kernel::RunKey& key,
                 std::string what) override;
  void prepared(SessionId session, TenantId tenant, const kernel::RunKey& key,
                std::function<void(bool)> go) override;
  void finished(SessionId session, kernel::Completion completion,
                std::function<void()> done) override;

 private:
  struct Parts;
  explicit Engine(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace millrace::engine
