// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "engine/partition.h"

namespace millrace::engine {

// Gives a partition its thread, its clock and its committer: what comes in is offered, turns are
// taken, steps are committed, and in between it sleeps until something comes or comes due. While a
// commit is syncing messages gather; the next turn takes them all.
//
// Its thread commits what it has decided: a message is handed over once on its way in, and its
// answer once on its way out. Only when many messages gather meanwhile, or a worker says something
// of its session, does the committer's thread take a turn beside it. One of them has the partition
// at a time.
//
// Thread-safe.
class Driver {
 public:
  struct Options {
    size_t max_waiting = 8192;  // requests; more are answered Busy
    store::Committer::Options committer;
  };
  struct Clock {
    std::function<int64_t()> wall_ms;
    std::function<int64_t()> mono_ns;
  };

  // `fatal` is called, on any thread, when the process has to end.
  static Result<std::unique_ptr<Driver>> start(sql::Store& store,
                                               std::unique_ptr<Partition> partition,
                                               Surroundings surroundings, Options options,
                                               Clock clock,
                                               std::function<void(const Error&)> fatal);
  ~Driver();

  // A request over the bound is refused with Busy, and while the disk is full with Unavailable;
  // `fail` is then called before this returns. What the machine itself sends is never refused.
  void submit(Message message);
  // `renewed` is called on one of the driver's threads, or at once when they are ending.
  void renew(SessionId session, std::function<void(Result<void>)> renewed);
  void close(SessionId session);
  void drain(SessionId session);

  // Called where the partition is had, then it takes a turn. Null: the driver ends.
  using Call = std::function<void(Partition*, Now)>;
  void call(Call call);

  // The wall clock may have been set: what is due by it is looked up again.
  void look_at_clock();

  // Somebody has written a message for one of its shards.
  void look_for_messages();
  // See Partition::end_sessions.
  void end_sessions();
  // Several servers: from then on (monotonic) nothing is decided, until it is told a later time.
  void may_decide_until(int64_t mono_ms);
  // Decides nothing from now on, and waits until nothing is being written. False: not in time.
  bool hold(std::chrono::milliseconds within);
  // After `hold`: goes on with another partition, which takes over from the one before, for these
  // shards. Null: as before.
  void go_on(std::unique_ptr<Partition> next, int64_t owner_epoch);

  // No slot is given any more; what runs goes on, what is admitted waits in the queue.
  void drain();
  // Waits until nothing is in hand. False: not in time.
  bool settle(std::chrono::milliseconds within);
  // Sees to the end what nobody else would bring back, as far as it can be done in time, and ends
  // the threads. What is left is in the store or with the workers; who waits for an answer is told.
  void stop(std::chrono::milliseconds within);

  int64_t waiting() const { return waiting_.load(std::memory_order_relaxed); }
  bool read_only() const { return committer_->read_only(); }
  const store::Committer::Stats& commit_stats() const { return committer_->stats(); }

 private:
  enum class Wish : uint8_t { Run, Drain, WindUp, End };
  // What a worker says of its session, or another server of slots.
  struct Word {
    enum class What : uint8_t { Renews, Drains, Leaves, Calls };
    What what;
    SessionId session;
    std::function<void(Result<void>)> renewed = {};
    Call call = {};
  };
  Driver(std::unique_ptr<Partition> partition, Surroundings surroundings, Options options,
         Clock clock, std::function<void(const Error&)> fatal);
  // What has come since the last turn. Empty between two turns.
  struct Input {
    std::vector<Message> inbox;
    std::vector<store::Written> written;
    std::vector<Word> words;
    Wish wish = Wish::Run;
  };
  using Steps = std::vector<std::unique_ptr<store::Step>>;

  void run();
  // Waits for input, or until something is due, and takes the partition. False: it is to end.
  bool wait(Input& input);
  void take_input(Input& input);
  // Of who has the partition. What is to be written; none: fatal was called.
  std::optional<Steps> take_turn(Input& input);
  // Takes a turn while the driver's thread writes. The committer's thread.
  void assist();
  void say(Word word);
  void tell(Word word, Now now);
  void not_told(const Word& word);
  void on_commit(std::vector<store::Written> written);  // the thread that has written
  void wish(Wish wish);
  void change_partition();
  // Nothing is decided now.
  bool rests() const { return holding_ || now().mono_ms() >= decides_until_ms_; }
  Now now() const { return {clock_.wall_ms(), clock_.mono_ns()}; }

  std::unique_ptr<Partition> partition_;  // of the thread that has set `turning_`
  Surroundings surroundings_;
  Options options_;
  Clock clock_;
  std::function<void(const Error&)> fatal_;

  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable quiet_;
  std::vector<Message> inbox_;
  std::vector<store::Written> written_;
  std::vector<Word> words_;
  Wish wish_ = Wish::Run;
  Wish wished_ = Wish::Run;  // as of the last turn
  bool turning_ = false;     // a thread has the partition
  bool writing_ = false;     // the driver's thread commits
  bool sleeping_ = false;    // it waits
  bool clock_set_ = false;
  bool has_messages_ = false;
  bool ends_sessions_ = false;
  bool idle_ = false;
  bool closed_ = false;  // nothing is taken any more
  std::atomic<bool> holding_{false};
  bool held_ = false;  // and nothing is being written
  std::unique_ptr<Partition> next_;
  std::atomic<int64_t> decides_until_ms_{INT64_MAX};
  std::atomic<int64_t> waiting_{0};

  std::unique_ptr<store::Committer> committer_;
  std::thread thread_;
};

}  // namespace millrace::engine
