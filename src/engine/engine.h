// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "engine/machine/catalog.h"
#include "engine/machine/executor.h"
#include "engine/transitions/commands.h"
#include "kernel/work.h"
#include "store/read.h"

namespace millrace::engine {

// A rule held against an event: what `rule test` and `rule why` show.
struct RuleVerdict {
  RuleSpec spec;
  int64_t revision = 0;
  bool matched = false;
  std::string reason;  // when it was not even tried: disabled, other trigger, not there yet
  Value criteria;      // list of {path, type, pattern, value, holds, message}
  Value parameters;    // rendered, when it matched
  std::string error;   // the parameters could not be rendered
};

// The use cases. Commands answer through a Reply after the durable commit; reads are done by the
// caller over `reader()` connections on its own pool. Thread-safe.
class Engine final : public kernel::WorkSource {
 public:
  struct Options {
    Executor::Options executor;
    Retention retention;
  };
  struct Outside {
    std::function<int64_t()> now_ms;
    std::function<void(const Error&)> fatal;  // must not return
    // Added to the environment of each run: MILLRACE_API_URL, and the token if it asks for one.
    std::function<void(kernel::WorkOrder&)> equip;
    // Each first decision: its kind and how long it waited for it, in ns. For metrics.
    std::function<void(std::string_view kind, int64_t waited_ns)> decided;
    OpenKey open_key;           // for st2kv(..., decrypt=true); may be empty
    std::string owner;          // names this process in the shards' rows
    std::string output_folder;  // where workers leave output above 64 KiB
  };

  // Migrates the store, claims the shards, loads the catalogue and starts the threads. `retired`:
  // older releases that open executions are pinned to.
  static Result<std::unique_ptr<Engine>> start(sql::Store& store,
                                               std::vector<std::shared_ptr<const Pack>> packs,
                                               std::vector<std::shared_ptr<const Pack>> retired,
                                               Options options, Outside outside);
  ~Engine() override;

  // Commands
  void ingest(Caller caller, NewEvent event, Reply<Ingested> reply);
  void replay(Caller caller, EventId event, Reply<Ingested> reply);
  void run(Caller caller, NewExecution request, Reply<kernel::ExecutionRow> reply);
  // Waiting for the end: take a number, watch, then read the row once (it may have ended before);
  // forget the watch when you stop waiting. `ended` is called on any thread.
  int64_t new_watch() { return ++last_watch_; }
  void watch(int64_t number, ExecutionId id, Reply<kernel::ExecutionRow> ended);
  void forget_watch(int64_t number);
  // The whole tree. Conflict when it is final already.
  void cancel(Caller caller, ExecutionId id, Reply<kernel::ExecutionRow> reply);
  void resolve(Caller caller, ExecutionId id, Resolution resolution,
               Reply<kernel::ExecutionRow> reply);
  // Of workflows, with all workflows below: steps that run end first. Conflict when it is final.
  void pause(Caller caller, ExecutionId id, Reply<kernel::ExecutionRow> reply);
  void resume(Caller caller, ExecutionId id, Reply<kernel::ExecutionRow> reply);
  // A new execution that goes on from where the workflow `id` ended.
  void rerun(Caller caller, ExecutionId id, Rerun request, Reply<kernel::ExecutionRow> reply);
  // Conflict when it was answered before, Denied to others than those it is put to.
  void answer(Caller caller, InquiryId id, Answer answer, Reply<kernel::InquiryRow> reply);
  void write_rule(Caller caller, RuleWrite write, Reply<kernel::RuleRow> reply);
  void delete_rule(Caller caller, std::string ref, std::optional<int64_t> if_revision,
                   Reply<kernel::RuleRow> reply);
  void write_webhook(Caller caller, WebhookWrite write, Reply<kernel::WebhookRow> reply);
  void delete_webhook(Caller caller, std::string name, Reply<kernel::WebhookRow> reply);
  // Of a key that is there, deletion needs the name only.
  // Its rules end, its actions leave the catalogue; what runs of it goes on. Conflict when other
  // rules or webhook endpoints use it, unless `force`.
  void uninstall_pack(Caller caller, std::string ref, bool force, Reply<Uninstalled> reply);
  void write_key(Caller caller, KeyWrite write, Reply<kernel::KeyRow> reply);
  void write_token(Caller caller, TokenWrite write, Reply<kernel::TokenRow> reply);
  void delete_token(Caller caller, TokenId id, Reply<TokenId> reply);
  // Another set of releases; rules that packs own follow.
  // `retired`: as in start(); those that it knows already need not be among them.
  void load_packs(std::vector<std::shared_ptr<const Pack>> packs,
                  std::vector<std::shared_ptr<const Pack>> retired, Reply<int> reply);

  // Reads
  std::shared_ptr<const Catalog> catalog() const;
  Result<std::unique_ptr<sql::Connection>> reader() const { return store_.open_reader(); }
  // A rule against an event of the past (in its revision of that time when `as_it_was`) or a
  // given payload.
  Result<RuleVerdict> test_rule(const RuleSpec& spec, const kernel::EventRow& event) const;
  Result<RuleVerdict> why(sql::Connection& reader, TenantId tenant, std::string_view rule_ref,
                          EventId event) const;

  // `changed` is called after each commit that added to the change feed, from any thread.
  int64_t on_change(std::function<void()> changed);
  // Live output of one execution; not durable. `chunk` is called from any thread and must not
  // block: first, before this returns, with the last 64 KiB or more of each stream of a run under
  // way. Gone when forgotten.
  int64_t on_output(ExecutionId id, std::function<void(const kernel::OutputChunk&)> chunk);
  void forget(int64_t subscription);  // of on_change and on_output

  bool read_only() const { return executor_->read_only(); }
  int64_t waiting() const { return executor_->waiting(); }
  const Executor& executor() const { return *executor_; }
  // From now on nothing is started; what runs goes on, what is admitted waits in the queue.
  void stop_granting();
  // Waits until everything that was accepted is written.
  void drain();

  // WorkSource
  void open(kernel::WorkerHello hello, kernel::WorkReceiver& receiver,
            std::function<void(Result<kernel::Session>)> opened) override;
  void renew(SessionId session, std::function<void(Result<void>)> renewed) override;
  void close(SessionId session) override;
  void output(SessionId session, kernel::OutputChunk chunk) override;
  void preparing(SessionId session, const kernel::RunKey& key, std::string what) override;
  void prepared(SessionId session, const kernel::RunKey& key,
                std::function<void(bool)> go) override;
  void finished(SessionId session, kernel::Completion completion,
                std::function<void()> done) override;

 private:
  Engine(sql::Store& store, Options options, Outside outside);
  Result<void> load_rules(sql::Connection& reader, std::shared_ptr<const Catalog>& catalog);
  Executor::Callbacks callbacks();
  Result<RuleVerdict> test_rule(const RuleSpec& spec, const kernel::EventRow& event,
                                const KeyRows& keys) const;

  sql::Store& store_;
  Options options_;
  Outside outside_;
  std::unique_ptr<class Board> board_;
  std::unique_ptr<class Listeners> listeners_;
  std::unique_ptr<class Outlet> outlet_;
  std::atomic<int64_t> last_watch_{0};
  mutable std::mutex catalog_mutex_;
  std::shared_ptr<const Catalog> catalog_;
  std::unique_ptr<Executor> executor_;
};

}  // namespace millrace::engine
