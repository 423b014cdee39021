// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "adapters/work_grpc/agent_connection.h"
#include "async/task.h"
#include "base/result.h"
#include "rpc/credentials.h"

namespace millrace::app {

// Who an agent is to its server: a key and a certificate, or on one machine a token, below its data
// folder. A join token buys the first one; each is renewed by the one before. Belongs to the loop,
// but for `way`.
class AgentIdentity {
 public:
  struct Options {
    std::string folder;
    std::string server;     // "https://millrace.example:8680"
    std::string join_file;  // empty: it has joined before
    std::string name;
    std::string ca_file;  // for an HTTPS server whose certificate the system does not know
    std::string grpc;     // HOST:PORT, when it is not what the server says; empty: it is
  };
  // What is there and still good is kept; else it joins. Errors: AGT-0006: there is no join file,
  // or it holds no token; AGT-0007: the authority is not the one that the join file names; those of
  // the server.
  static Task<Result<AgentIdentity>> open(Options options, int64_t now_ms);

  // From any thread.
  Result<work_grpc::AgentConnection::Way> way() const;
  // Asks for the next one when two thirds of this one's life are over. When to look again, Unix ms.
  Task<Result<int64_t>> renew(int64_t now_ms);

 private:
  // What a server gives, however it was asked.
  struct Given {
    std::string certificate;
    std::string authorities;
    std::string token;
    int64_t expires_ms = 0;
    std::string grpc;
  };
  explicit AgentIdentity(Options options);
  bool is_good(int64_t now_ms) const;
  Task<Result<void>> join(int64_t now_ms);
  Result<void> keep(const Given& given, const std::string& key, int64_t now_ms) const;

  Options options_;
  rpc::TlsFiles files_;
  std::string facts_;  // the file that holds what is no PEM
};

}  // namespace millrace::app
