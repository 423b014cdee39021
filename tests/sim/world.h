// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/borrower.h"
#include "engine/follower.h"
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

// Servers over one store, their workers, their clients and both clocks, in one thread: runs a plan
// operation by operation, then everything is mended and has to come to rest. One server has all
// shards; several have a part each, and hand them over.
class World final : private kernel::WorkReceiver {
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
    bool keyed = false;          // may be sent again
    ExecutionId about;           // its owner decides; none: anybody does
    std::map<size_t, int> open;  // sendings without an answer, by place
    int sent = 0;
    bool answered = false;
    bool lost = false;  // its answer died with a server
    int64_t made = 0;   // the entity of the answer
  };
  // A process that serves the store, and what happens in it.
  class Server final : public engine::Observer {
   public:
    Server(World& world, int64_t life) : life(life), world_(world) {}
    void ended(const kernel::ExecutionRow& row) override { world_.ended(row); }
    void watch(int64_t, Of<ExecutionId>, engine::Reply<kernel::ExecutionRow>) override {}
    void committed() override {}
    void catalog_changed(std::shared_ptr<const engine::Catalog>) override {}
    void sent(const kernel::MessageRow& message) override { world_.hints_.push_back(message); }
    bool catalog_is_old() override { return feed != nullptr; }
    void decided(std::string_view kind, int64_t waited_ns) override;
    void met(engine::Trouble trouble, engine::Fate::What fate) override;

    const int64_t life;  // no two servers have the same
    std::unique_ptr<store::Writer> writer;
    std::unique_ptr<engine::Outlet> outlet;
    std::unique_ptr<engine::Borrower> borrower;     // of one that lends
    std::vector<std::vector<kernel::Permit>> lent;  // to it, on their way
    std::unique_ptr<engine::Partition> partition;
    std::unique_ptr<engine::FeedReader> feed;  // one of several reads what the others have done
    struct Decided {
      std::unique_ptr<store::Step> step;
      int64_t wall_ms;
    };
    std::deque<Decided> decided_steps;    // with the committer
    std::vector<store::Written> written;  // outcomes on their way back
    bool drains = false;

   private:
    World& world_;
    int dispatches_ = 0;
    int64_t dispatched_at_ms_ = 0;
    int sweeps_ = 0;  // in this instant
    int64_t sweeps_at_ms_ = 0;
    int64_t fires_ = 0;  // of timers
  };
  // Where a server is, or was, with the shards that it has.
  struct Place {
    size_t number = 0;
    kernel::ShardSet shards;  // none: no server is needed
    std::unique_ptr<Server> server;
    std::unique_ptr<Server> usurped;  // has lost its shards and does not know it yet
    int64_t lives = 0;                // of servers here

    bool is_needed() const { return !shards.empty(); }
  };

  // world.cpp: the servers' life
  void start(Place& at);
  bool load_first_packs(Place& at);
  void crash(Place& at);
  void cut_off(Place& at);
  void write_as_usurped(Place& at);
  engine::Retention retention() const;
  void wind_up(Place& at);
  void stop_in_time(Place& at);
  void turn(Place& at);
  void commit(Place& at, size_t most, bool dies_before_it_tells);
  void settle(Place& at);
  bool cycle(Place& at);  // false: nothing happened
  bool cycle_all();
  void hasty_cycle(Place& at);
  engine::Now now() const { return {wall_ms_, mono_ms_ * 1'000'000}; }
  void offer(Place& at, engine::Message message);
  engine::PackSet pack_set(bool all_there);
  bool something_is_due();
  bool all_up() const;
  bool is_idle() const;
  int64_t pause_ms() const;  // of whoever is due next
  void ended(const kernel::ExecutionRow& row);

  // world_places.cpp: who has which shards
  void make_places(Dice dice);
  Place& some_place(Dice& dice);
  Place& owner_of(ExecutionId id);
  void hand_over(Dice dice);
  bool give_part(Place& from, Place& to, Dice dice);
  void give_all(Place& from, Place& to, Dice dice);
  void bring_hints(Dice dice);
  std::unique_ptr<engine::FeedReader> feed_of(Place& at, std::unique_ptr<sql::Connection> reader,
                                              int64_t after);
  std::vector<std::shared_ptr<const Pack>> packs_in_force();
  bool read_news(Place& at);  // false: there is nothing new
  void start_all();

  // world_loans.cpp
  Place* place_of_life(int64_t life);
  std::unique_ptr<engine::Borrower> borrower_of(Server& server);
  std::vector<engine::ServerView> views_of(int64_t life) const;
  void bring_ask(int64_t life, const kernel::PermitAsk& ask, const engine::Borrower::Got& got);
  bool pass_word();
  void shuffle_words(Dice dice);
  void end_loans();

  // world_clients.cpp
  void client(const Op& op, Dice dice);
  void ask(std::string what, bool keyed, std::function<engine::Message(size_t)> make,
           ExecutionId about = {});
  void send(size_t number);
  void send_to(Place& at, size_t number);
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
  Server* home_of(const Worker& worker) { return places_[worker.home].server.get(); }
  void grant(SessionId session, std::vector<kernel::WorkOrder> orders) override;
  void cancel(SessionId session, const kernel::Of<kernel::RunKey>& of, std::string reason) override;
  Worker* worker_of(SessionId session);
  void work(const Op& op, Dice dice);
  void open(Worker& worker);
  void move(Worker& worker, Dice& dice);
  void go_to(Worker& worker, const Place& to);
  void spread_workers();
  std::vector<int64_t> lives() const;
  void take_orders(Worker& worker, size_t most);
  void begin(Worker& worker, WorkerRun& run);
  void build(Worker& worker, Dice dice);
  void ask_to_begin(Worker& worker, kernel::RunKey key);
  void end(Worker& worker, WorkerRun& run, Dice dice);
  void tell(Worker& worker, const kernel::Completion& completion);
  void tell_all(Worker& worker);
  void acknowledged(const std::string& name, const kernel::RunKey& key);
  bool is_handed_on(ExecutionId id) const;
  void lose_session(Worker& worker);
  void time_passes(int64_t ms);

  // world_rest.cpp
  void load_all_releases(Place& at);
  void come_to_rest();
  bool rest_round(int round);
  void help(int round);
  void rest(bool but_for_bad_rows);
  bool all_done(bool but_for_bad_rows) const;
  void handle_leftovers(Place& at);
  void check_rest(bool but_for_bad_rows);
  void check_slots();
  void check_slots_of(Place& at);
  void examine(bool bytes);

  void apply(const Op& op);
  void fail_store(const Op& op, Dice dice);
  void violate(std::string_view promise, std::string what);
  void tell_trace(std::string line);

  SimStore& store_;
  const bool several_;  // servers
  const bool limited_;  // policies
  Coverage& coverage_;
  std::function<void(std::string)> trace_;
  std::optional<Violation> violation_;
  Ledger ledger_;

  int64_t wall_ms_ = 1'800'000'000'000;
  int64_t latest_ms_ = wall_ms_;  // that the wall clock has shown
  int64_t mono_ms_ = 1'000;
  std::vector<Place> places_;
  std::vector<kernel::MessageRow> hints_;  // from one server to another
  struct Word {
    std::function<void()> arrives;
    std::function<void()> is_lost;
  };
  std::deque<Word> words_;                             // the same, about slots
  std::map<int64_t, std::vector<int64_t>> handed_on_;  // stored ends of executions' runs
  bool lends_ = false;
  size_t sending_to_ = 0;
  int64_t lives_ = 0;       // of servers
  bool surprises_ = false;  // a commit with an unknown outcome since the last comparison
  bool quiet_ = false;
  bool harm_ = false;           // a fault that may put something into quarantine
  bool clock_stepped_ = false;  // the doctor cannot know any more what is too young to have gone
  bool forgets_ = false;        // old rows go after a minute and a half
  int left_at_once_ = 1000;     // of what a sweep brings
  std::set<int64_t> bad_rows_;  // executions that cannot be read
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
