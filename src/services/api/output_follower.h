// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <vector>

#include "async/wakeup.h"
#include "services/api/admission.h"
#include "services/api/shared.h"

namespace millrace::api {

// How far a follower has come. As a text (the id of its events) `ATTEMPT:STDOUT:STDERR`.
struct OutputPosition {
  int attempt = 0;                   // 0: the current one
  std::array<int64_t, 2> next = {};  // the first byte that is still to be sent, per stream

  std::string text() const;
  // Errors: Invalid, API-0032.
  static Result<OutputPosition> parse(std::string_view text);
};

struct FollowRequest {
  Credential credential;
  TenantId tenant;
  ExecutionId id;
  std::array<bool, 2> wanted = {true, false};  // stdout, stderr
  OutputPosition position;
};

// Sends the output of one execution as server-sent events until it is final:
//
//   event: output   {"stream","attempt","from","next","encoding","data"}
//   event: gap      {"stream","from","to"}: bytes that came before the follower, or too fast for
//                   it; once the run has ended the output route has them
//   event: attempt  {"attempt"}: it runs again, offsets begin at 0
//   event: needs_decision  {"attempt","held"}: the run was lost, `held` says why nothing goes on;
//                   once it is resolved the stream goes on too
//   event: end      {"status","size","dropped"}
//   event: error    {"code","detail"}: the token was revoked, has expired, or reading failed
//
// The run may be with another server: then its pieces come from there. Live pieces are hints; what
// has not come when the run ends is sent from the store.
Task<void> follow_output(Shared& shared, FollowRequest request, net::BodyWriter& out);

// {"from", "next", "encoding", "data"}: text as it is, other bytes as base64.
void append_output_members(std::string& json, int64_t from, std::string_view bytes);

}  // namespace millrace::api
