// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/crypto.h"
#include "kernel/blobs.h"

namespace millrace::api {

enum class Phase : uint8_t { Starting, Ready, Draining };

// One answered request, for metrics.
struct Observation {
  std::string_view route;  // the route's name, "" when none matched
  std::string_view method;
  int status = 0;
  int64_t duration_ns = 0;  // until the answer was ready; a stream's begin
};

// What the composition root gives besides the collaborators.
struct ApiOptions {
  std::string version;             // of the program
  kernel::Blobs* blobs = nullptr;  // process output above 64 KiB; outlives the API
  int64_t max_connections = 0;     // told in /info
  size_t webhook_body_limit = 10 << 20;
  size_t event_body_limit = 1 << 20;
  int max_streams = 256;            // open event streams; one more is answered 429
  int max_streams_each = 64;        // of these, of one identity
  int64_t keep_alive_ms = 15'000;   // a silent stream sends a comment this often
  int64_t stream_pause_ms = 20;     // a stream reads the change feed at most this often
  std::function<int64_t()> now_ms;  // Unix ms
  auth::Random random;
  std::function<std::string()> metrics;  // the text of /metrics
  // What keeps the server from being all well, a line each; told in /health. May be empty.
  std::function<std::vector<std::string>()> troubles;
  std::function<void(const Observation&)> observe;  // may be empty
};

}  // namespace millrace::api
