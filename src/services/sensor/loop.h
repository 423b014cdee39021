// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <poll.h>

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <vector>

#include "services/sensor/life.h"

namespace millrace::sensor {

// What others have for the loop's thread. Outlives the loop where an answer comes late.
struct Sensors::Inbox {
  struct Answer {
    SensorKey key;
    int64_t start = 0;
    std::optional<Result<Prepared>> prepared;  // none: of an event
    int64_t number = 0;
    std::optional<Error> refused;
  };
  struct Mail {
    bool look = false;
    std::optional<int64_t> stop_grace_ms;
    std::vector<SensorKey> restarts;
    std::vector<Answer> answers;
  };
  Inbox();
  void put(const std::function<void(Mail&)>& change);
  Mail take();

  std::mutex mutex;
  Mail mail;
  Fd wake;  // an eventfd
};

// The thread of Sensors. What blocks (the store, an environment) is asked while the lock is free.
class Sensors::Loop {
 public:
  Loop(Limits limits, Outside outside, std::shared_ptr<Inbox> inbox)
      : limits_(limits), outside_(std::move(outside)), inbox_(std::move(inbox)) {}
  void run();

  // Somebody has asked for a look that was not taken yet: whoever asks again wakes nobody.
  std::atomic<bool> is_asked = false;

  mutable std::mutex mutex;  // of what follows
  std::map<SensorKey, Life> lives;
  int64_t starts = 0;
  int64_t events = 0;

 private:
  // What is asked of the outside once the lock is free.
  struct Todo {
    std::vector<std::pair<SensorKey, int64_t>> prepare;
    std::vector<SensorKey> ended;
    struct Event {
      SensorKey key;
      int64_t start;
      int64_t number;
      Dispatch event;
    };
    std::vector<Event> events;
    std::vector<ProcessChange> processes;
  };

  void handle(Inbox::Mail mail, std::optional<std::vector<Wanted>> wanted);
  void take_wanted(std::vector<Wanted> wanted);
  void update(Life& life, Wanted wanted);
  void tell_triggers(Life& life);
  void take(Inbox::Answer answer);
  void take_prepared(Life& life, Result<Prepared> prepared);
  void take_outcome(Life& life, int64_t number, const std::optional<Error>& refused);
  void step(Life& life);
  void ask_to_end(Life& life, std::string_view why);
  void begin(Life& life, Prepared prepared);
  void fail(Life& life, std::string why);
  void wait_for_start(Life& life);
  void read_sensor(Life& life);
  void read_stream(Life& life, Fd& from, Stream stream);
  bool read_lines(Life& life);
  void take_lines(Life& life, bool is_last);
  void take_line(Life& life, std::string_view line, bool is_last);
  void hand_on(Life& life, Dispatch event, bool is_last);
  void ended(Life& life, std::string_view how);
  void write_input(Life& life);
  void send(Life& life, std::string_view line);
  void set_state(Life& life, State state);
  void do_all(Todo todo);
  void wait();
  bool may_read_lines(const Life& life) const;
  int64_t next_due() const;

  const Limits limits_;
  const Outside outside_;
  std::shared_ptr<Inbox> inbox_;
  Todo todo_;
  int64_t now_ = 0;  // monotonic, of this turn
  int64_t look_at_ = 0;
  int64_t looked_ = 0;
  bool is_told_ = false;  // that there may be something to see
  int64_t last_number_ = 0;
  int64_t last_start_ = 0;
  std::optional<int64_t> stop_grace_ms_;
};

}  // namespace millrace::sensor
