// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "auth/certificate.h"
#include "auth/peer.h"
#include "base/result.h"
#include "rpc/credentials.h"

namespace millrace::app {

// Who this server is to others: key and certificate below its data folder, made and renewed by
// itself, for whoever has the key ring is the authority. Blocking.
class IdentityFiles {
 public:
  // `folder` is made, mode 0700. What is there and still good is kept.
  static Result<IdentityFiles> open(const std::string& folder, auth::Peer peer,
                                    const auth::Authorities& authorities, int64_t now_ms);

  const rpc::TlsFiles& files() const { return files_; }
  // A new certificate when two thirds of the old one's life are over, or it is not by the ring's
  // active key. Gives when to look again, Unix ms.
  Result<int64_t> renew(const auth::Authorities& authorities, int64_t now_ms) const;

 private:
  IdentityFiles(rpc::TlsFiles files, auth::Peer peer)
      : files_(std::move(files)), peer_(std::move(peer)) {}
  bool is_good(const auth::Authorities& authorities, int64_t now_ms, int64_t& due_ms) const;

  rpc::TlsFiles files_;
  auth::Peer peer_;
};

}  // namespace millrace::app
