// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"

namespace millrace::api {

// A sensor of a pack in force, as this server sees it.
struct SensorInfo {
  std::string ref;
  std::string pack;
  std::string description;
  std::string runtime;
  std::string entry_point;
  std::vector<std::string> triggers;
  int64_t poll_interval_s = 0;
  bool enabled = true;
  std::vector<std::string> listens;  // refs of triggers with the parameters of rules
  std::string server;                // that runs it; empty: none does
  int node = -1;                     // of that server
  bool is_here = false;              // so that what follows is known
  std::string state;
  int64_t since_ms = 0;
  int64_t next_start_ms = 0;
  int64_t pid = 0;
  int64_t starts = 0;
  int64_t events = 0;
  int64_t refused = 0;
  int64_t held_up = 0;
  int64_t last_event_ms = 0;
  int64_t last_sign_ms = 0;
  std::string last_error;
};

struct SensorLine {
  int64_t number = 0;
  int64_t time_ms = 0;
  std::string stream;  // stdout, stderr, server
  std::string text;
};

// Who runs sensors, for the API. Any thread; none of them waits. Empty functions: no sensors.
struct SensorDesk {
  std::function<std::vector<SensorInfo>(TenantId)> list;  // by ref
  std::function<std::optional<SensorInfo>(TenantId, const std::string& ref)> find;
  std::function<bool(TenantId, const std::string& ref)> restart;  // false: it is not here
  std::function<std::vector<SensorLine>(TenantId, const std::string& ref, size_t most,
                                        int64_t after)>
      log;
};

}  // namespace millrace::api
