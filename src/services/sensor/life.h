// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "policy/gcra.h"
#include "services/sensor/backoff.h"
#include "services/sensor/sensors.h"

namespace millrace::sensor {

inline constexpr int64_t kNever = INT64_MAX;

// What is known of one sensor, from its first wish to its end. Of the loop's thread; `status` and
// `log` are read by others, under the lock that the loop holds while it writes them.
struct Sensors::Life {
  // An event that is not answered yet.
  struct Waiting {
    int64_t start = 0;  // of the process that has sent it
    Dispatch event;
    int64_t pause_ms = 0;  // before it is asked again
  };

  SensorKey key;
  std::optional<Wanted> wanted;       // none: it is to end
  std::string revision;               // of the process that is there
  std::map<std::string, Value> told;  // triggers that it knows of
  Status status;
  LogRing log;
  Backoff backoff;

  std::optional<Process> process;
  int64_t start = 0;       // number of this process, or of the preparation for it
  int64_t started_ms = 0;  // monotonic, as all that follow
  int64_t start_at = 0;    // when it is due; kNever while it runs
  int64_t kill_at = kNever;
  bool was_asked = false;  // its end is no fault of its own
  std::string reason;      // that it has said

  LineBuffer lines;
  std::string input;  // that its stdin did not take yet
  policy::Gcra rate;
  std::optional<Dispatch> held;  // an event above its rate: handed on at lines_at
  int64_t lines_at = 0;          // more lines are read then
  int64_t output_at = 0;         // more output is read then
  int64_t output_second = 0;
  int64_t output_bytes = 0;
  std::map<int64_t, Waiting> waiting;             // by a number of ours
  std::deque<std::pair<int64_t, int64_t>> again;  // when, and which of them
  int64_t held_told_at = 0;                       // that it has to wait; then again

  bool is_running() const { return process.has_value(); }
};

}  // namespace millrace::sensor
