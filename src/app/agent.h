// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "app/config.h"
#include "base/result.h"

namespace millrace::app {

struct AgentOptions {
  std::string data;  // absolute
  std::string name;
  std::string server;     // its HTTP address
  std::string join_file;  // what `millrace worker token` printed; empty: it has joined before
  std::string ca_file;    // for an HTTPS server whose certificate the system does not know
  std::string grpc;       // HOST:PORT, when it is not what the server says; empty: it is
  int64_t drain_timeout_ms = 3'600'000;
};

// `millrace agent`: a worker whose server is elsewhere, until SIGTERM or SIGINT. Then it is given
// nothing more, and leaves when what runs has ended, at the latest after `drain_timeout_ms`; after
// a second signal within ten seconds. What is left then is ended and counts as lost.
Result<void> run_agent(const Config& config, const AgentOptions& options);

}  // namespace millrace::app
