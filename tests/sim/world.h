// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/outlet.h"
#include "engine/partition.h"
#include "engine/transitions/commands.h"
#include "ledger.h"
#include "plan.h"
#include "store.h"
#include "store/writer.h"
#include "workers.h"

namespace millrace::sim {

struct Violation {
  std::string promise;
  std::string what;
};

// One server, its store, its workers, its clients and both clocks, in one thread: runs a plan
// operation by operation, then everything is mended and has to come to rest.
class World final : private engine::Observer, private kernel::WorkReceiver {
 public:
  World(SimStore& store, uint64_t seed, Coverage& coverage);
  ~World() override;

  // `trace`: each operation and each commit is told.
  std::optional<Violation> run(const Plan& plan, std::function<void(std::string)> trace = {});
  uint64_t hash() const { return ledger_.hash(); }
  int64_t messages() const { return messages_; }  // that were offered

 private:
  // A client's request, from its first sending to the answer that it believes.
  struct Request {
    std::string what;
    std::function<engine::Message(size_t number)> make;
    bool keyed = false;  // may be sent again
    int open = 0;        // sendings without an answer
    bool answered = false;
    bool lost = false;  // its answer died with a server
    int64_t made = 0;   // the entity of the answer
  };
  // A process that serves the store.
  struct Server {
    std::unique_ptr<store::Writer> writer;
    std::unique_ptr<engine::Outlet> outlet;
    std::unique_ptr<engine::Partition> partition;
    struct Decided {
      std::unique_ptr<store::Step> step;
      int64_t wall_ms;
    };
    std::deque<Decided> decided;          // with the committer
    std::vector<store::Written> written;  // outcomes on their way back
    bool drains = false;
  };

  // world.cpp: the server's life
  void start();
  bool load_first_packs();
  void crash();
  void write_as_usurped();
  engine::Retention retention() const;
  void stop_in_time();
  void turn();
  void commit(size_t most, bool dies_before_it_tells);
  void settle();
  bool cycle();  // false: nothing happened
  void hasty_cycle();
  void die_if_it_must();
  engine::Now now() const { return {wall_ms_, mono_ms_ * 1'000'000}; }
  void offer(engine::Message message);
  engine::PackSet pack_set(bool all_there);
  bool something_is_due();

  // Observer
  void ended(const kernel::ExecutionRow& row) override;
  void watch(int64_t, Of<ExecutionId>, engine::Reply<kernel::ExecutionRow>) override {}
  void committed() override {}
  void catalog_changed(std::shared_ptr<const engine::Catalog>) override {}
  void decided(std::string_view kind, int64_t waited_ns) override;
  void met(engine::Trouble trouble, engine::Fate::What fate) override;

  // world_clients.cpp
  void client(const Op& op, Dice dice);
  void ask(std::string what, bool keyed, std::function<engine::Message(size_t)> make);
  void send(size_t number);
  void send_again(Dice dice);
  template <typename T>
  engine::Reply<T> answer(size_t number, std::function<void(const T&)> take);
  engine::Caller caller(size_t number) const;
  ExecutionId pick_execution(Dice& dice, const std::function<bool(const Known&)>& may) const;
  ExecutionId pick_to_pause(Dice& dice) const;
  void run_something(Dice dice);
  void write_rule(Dice dice);
  void operate(OpKind kind, Dice dice);
  void check_answers();

  // world_workers.cpp
  void grant(SessionId session, std::vector<kernel::WorkOrder> orders) override;
  void cancel(SessionId session, const kernel::Of<kernel::RunKey>& of, std::string reason) override;
  Worker* worker_of(SessionId session);
  void work(const Op& op, Dice dice);
  void open(Worker& worker);
  void take_orders(Worker& worker, size_t most);
  void begin(Worker& worker, WorkerRun& run);
  void build(Worker& worker, Dice dice);
  void ask_to_begin(Worker& worker, kernel::RunKey key);
  void end(Worker& worker, WorkerRun& run, Dice dice);
  void tell(Worker& worker, const kernel::Completion& completion);
  void tell_all(Worker& worker);
  void acknowledged(const std::string& name, const kernel::RunKey& key);
  void lose_session(Worker& worker);
  void time_passes(int64_t ms);

  // world_rest.cpp
  void come_to_rest();
  bool rest_round(int round);
  void help(int round);
  void rest(bool but_for_bad_rows);
  bool all_done(bool but_for_bad_rows) const;
  void handle_leftovers();
  void check_rest(bool but_for_bad_rows);
  void check_slots();
  void examine(bool bytes);

  void apply(const Op& op);
  void fail_store(const Op& op, Dice dice);
  void violate(std::string_view promise, std::string what);
  void tell_trace(std::string line);

  SimStore& store_;
  Coverage& coverage_;
  std::function<void(std::string)> trace_;
  std::optional<Violation> violation_;
  Ledger ledger_;

  int64_t wall_ms_ = 1'800'000'000'000;
  int64_t latest_ms_ = wall_ms_;  // that the wall clock has shown
  int64_t mono_ms_ = 1'000;
  std::unique_ptr<Server> server_;
  int epoch_ = 0;           // of servers
  bool surprises_ = false;  // a commit with an unknown outcome since the last comparison
  bool quiet_ = false;
  bool harm_ = false;           // a fault that may put something into quarantine
  bool clock_stepped_ = false;  // the doctor cannot know any more what is too young to have gone
  bool forgets_ = false;        // old rows go after a minute and a half
  int left_at_once_ = 1000;     // of what a sweep brings
  std::set<int64_t> bad_rows_;  // executions that cannot be read
  int dispatches_ = 0;
  int64_t dispatched_at_ms_ = 0;
  int sweeps_ = 0;  // in this instant
  int64_t sweeps_at_ms_ = 0;
  int64_t fires_ = 0;  // of timers, by this server
  // One that has lost the store and does not know it yet.
  std::unique_ptr<Server> usurped_;
  int64_t messages_ = 0;

  int release_ = 0;              // that the pack's folder holds
  std::set<int> lost_releases_;  // of which nothing is left on the disk
  int64_t ttl_ms_ = 0;
  size_t max_batch_ = 512;
  std::vector<Worker> workers_;
  std::set<kernel::RunKey> granted_;
  std::map<int64_t, int> begun_;          // processes of an execution that began
  std::map<int64_t, int> allowed_again_;  // by operators
  std::vector<Request> requests_;
  std::map<std::string, int64_t> key_versions_;  // acknowledged
  std::vector<int64_t> tokens_;
};

}  // namespace millrace::sim
