// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "engine/partition.h"

namespace millrace::engine {

// Gives a partition its thread, its clock and its committer: what comes in is offered, turns are
// taken, steps are committed, and in between it sleeps until something comes or comes due. While a
// commit is syncing messages gather; the next turn takes them all.
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
  // `renewed` is called on the driver's thread, or at once when that is ending.
  void renew(SessionId session, std::function<void(Result<void>)> renewed);
  void close(SessionId session);

  // The wall clock may have been set: what is due by it is looked up again.
  void look_at_clock();

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
  // What a worker says of its session.
  struct Word {
    SessionId session;
    std::function<void(Result<void>)> renewed;  // empty: it leaves
  };
  Driver(std::unique_ptr<Partition> partition, Surroundings surroundings, Options options,
         Clock clock, std::function<void(const Error&)> fatal);
  void run();
  // Waits for input, or until something is due. False: it is to end.
  bool wait(std::vector<Message>& inbox, std::vector<store::Written>& written,
            std::vector<Word>& words, Wish& wish);
  void say(Word word);
  void tell(Word word, Now now);
  void on_commit(std::vector<store::Written> written);  // committer's thread
  void wish(Wish wish);
  Now now() const { return {clock_.wall_ms(), clock_.mono_ns()}; }

  std::unique_ptr<Partition> partition_;  // the thread's
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
  bool sleeping_ = false;
  bool clock_set_ = false;
  bool idle_ = false;
  bool closed_ = false;  // nothing is taken any more
  std::atomic<int64_t> waiting_{0};

  std::unique_ptr<store::Committer> committer_;
  std::thread thread_;
};

}  // namespace millrace::engine
