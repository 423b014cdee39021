// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

#include "adapters/work_grpc/agent_connection.h"

namespace millrace::work_grpc {

// A worker's next identity, as the server gives it.
struct RenewedIdentity {
  std::string certificate;  // PEM
  std::string authorities;  // PEM: whom to trust from now on
  std::string token;        // instead of both, in the clear on one machine
  int64_t expires_ms = 0;   // Unix ms
};

// Asks for it, as the one that `way` proves. `request`: PKCS #10, PEM, of a new key. `got` is
// called once, on a thread of gRPC, within 30 s.
void renew_identity(const AgentConnection::Way& way, const std::string& request,
                    std::function<void(Result<RenewedIdentity>)> got);

}  // namespace millrace::work_grpc
