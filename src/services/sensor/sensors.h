// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/value.h"
#include "policy/gcra.h"
#include "services/sensor/log_ring.h"
#include "services/sensor/protocol.h"
#include "services/sensor/warden.h"

namespace millrace::sensor {

struct SensorKey {
  TenantId tenant;
  std::string ref;  // pack.name
  auto operator<=>(const SensorKey&) const = default;
};

// A sensor that is to run here.
struct Wanted {
  SensorKey key;
  // Of all that it is started with (release, configuration): another one starts it anew.
  std::string revision;
  // What rules wait for on its trigger types, by ref: it is told of changes.
  std::map<std::string, Value> triggers;
};

// What a start takes that costs time or may fail: an environment, the lease, a token.
struct Prepared {
  Launch launch;
  Value start;                       // its first line, without `type` and `triggers`
  std::vector<std::string> secrets;  // hidden in its log
  bool says_ready = true;            // of an SDK; a program need not know the protocol
};

enum class State : uint8_t {
  Preparing,  // its environment is built
  Starting,   // the process is there, setup is not over
  Running,
  Stopping,
  BackingOff,  // until next_start_ms
};
std::string_view to_string(State state);

struct Status {
  SensorKey key;
  State state = State::Preparing;
  int64_t since_ms = 0;
  int64_t next_start_ms = 0;  // of BackingOff
  int64_t pid = 0;            // of its warden
  int64_t starts = 0;
  int64_t events = 0;   // that were stored
  int64_t refused = 0;  // not of its triggers, or not stored
  int64_t held_up = 0;  // times that it had to wait: more events than its rate
  int64_t last_event_ms = 0;
  int64_t last_sign_ms = 0;  // of life: a line, an event
  std::string last_error;    // how the last process ended, or why there was none
};

// A process was started, or has ended.
struct ProcessChange {
  SensorKey key;
  int64_t pid = 0;     // of its warden; 0: it has ended
  std::string reason;  // how; may hold what the sensor has printed last
};

// Of this server; for metrics.
struct Counts {
  int64_t running = 0;  // at this moment
  int64_t down = 0;     // at this moment: they do not stay up
  int64_t starts = 0;   // since the server's start
  int64_t events = 0;   // stored since then
};

// Keeps the sensors of this server running: starts, restarts with a growing pause, bounds what
// they print and send, and stops them. One thread of its own does all of it; whatever a sensor
// does costs that sensor. All calls are thread-safe; none of them waits but `stop`.
class Sensors {
 public:
  struct Limits {
    policy::Rate events{.limit = 200, .per_ms = 1000, .burst = 1000};
    int64_t output_per_s = 1 << 20;  // bytes of stdout and stderr that are read
    int64_t grace_ms = 10'000;       // between SIGTERM and SIGKILL
    int64_t look_ms = 0;             // what is to run is asked so often; 0: when `look` was called
  };
  struct Outside {
    std::function<int64_t()> now_ms;  // Unix
    std::function<int64_t()> mono_ms;
    std::function<double()> chance;  // [0, 1)
    // What is to run here, asked after `look`; nothing: as before, and asked again. May read the
    // store.
    std::function<std::optional<std::vector<Wanted>>()> wanted;
    // Answers once, on any thread, perhaps before it returns. An error with a time to wait is no
    // fault of the sensor's.
    std::function<void(const SensorKey&, std::function<void(Result<Prepared>)>)> prepare;
    // Its process is gone, or never was: the lease and the token may go.
    std::function<void(const SensorKey&)> ended;
    // Answers once, on any thread, when the event is durable. `start` and the event's number name
    // it. Unavailable and Busy: asked again.
    std::function<void(const SensorKey&, int64_t start, const Dispatch&,
                       std::function<void(Result<void>)>)>
        dispatch;
    // May be empty. Does not wait.
    std::function<void(const ProcessChange&)> process;
  };

  Sensors(Limits limits, Outside outside);
  ~Sensors();  // stopped by then
  Sensors(const Sensors&) = delete;
  Sensors& operator=(const Sensors&) = delete;

  // Errors: Unavailable, ASY-0004: there is no thread for it.
  Result<void> start();
  // What is to run may have changed.
  void look();
  // Stops it, and starts it at once. False: it is not here.
  bool restart(const SensorKey& key);
  // All are asked to stop, and have `grace_ms`.
  void begin_stop(int64_t grace_ms);
  // Returns when all have ended, or were killed.
  void stop();

  std::vector<Status> statuses() const;
  Counts counts() const;
  std::optional<Status> status(const SensorKey& key) const;
  std::optional<std::vector<LogLine>> log(const SensorKey& key, size_t most, int64_t after) const;

 private:
  struct Life;
  struct Inbox;
  class Loop;
  std::shared_ptr<Inbox> inbox_;
  std::unique_ptr<Loop> loop_;
  std::thread thread_;
};

}  // namespace millrace::sensor
