// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "net/media_type.h"
#include "services/api/call.h"
#include "services/api/shared.h"

// What stands before every handler.
namespace millrace::api {

// The client's X-Request-Id when it is 1 to 128 of [A-Za-z0-9._-], else a new one.
std::string request_id_of(Shared& shared, const net::HttpRequest& request);
// The client's W3C traceparent when it is a valid one of version 00, else a new one, sampled.
std::string trace_of(Shared& shared, const net::HttpRequest& request);

// No header that is read here stands on two lines: what is checked is what was meant. Those
// of HTTP itself net has looked at (`net::stands_once`). Errors: Invalid, API-0018.
Result<void> check_headers(const Call& call);
bool reads_header_once(std::string_view name);

// Writes are refused while starting and draining: Unavailable, API-0010.
Result<void> check_phase(const Call& call);

// Fills `call.who`. A run's token comes back as its claim, for authenticate_run. Routes that are
// open or check a signature pass. Errors: Unauthorized.
Result<std::optional<auth::RunClaim>> authenticate(Call& call);
// Accepts a run's token only while that run is the current one; its permissions are those that
// its action asks for.
Task<Result<void>> authenticate_run(Call& call, auth::RunClaim run);
// All of the above that can be said without the body, for one that has a body. True: its sender has
// shown a right; of a run's token that is not asked yet.
Result<bool> check_head(Call& call);
// What stands behind `Authorization: Bearer`. Errors: Unauthorized, API-0008.
Result<std::string_view> bearer_token(const Call& call);

// What a stream was opened with, or a long wait begun: a token may be revoked or expire meanwhile,
// a run may end.
class Credential {
 public:
  explicit Credential(const Call& call);
  // Errors: Unauthorized, Forbidden: the stream ends. A run's token is looked at once a second.
  Task<Result<void>> check(Shared& shared);
  // How long it can still hold, at most `limit`.
  async::Duration lasts(const Shared& shared, async::Duration limit) const;

 private:
  Secret token_;
  auth::Permission permission_;
  auth::Principal who_;
  bool is_forwarded_;
  std::chrono::steady_clock::time_point next_look_;
};

// Errors: Forbidden, API-0011.
Result<void> check_permission(const Call& call);
// One more than the route's own, for what a query asks.
Result<void> require(const Call& call, auth::Permission permission);
// The bounds of a sensor's token. Errors: Forbidden, API-0130.
Result<void> check_may_send(const Call& call, std::string_view trigger);
// Whether it reaches a key: of the system those that begin with its pack's ref and a dot, and those
// of its pack's own scopes.
bool may_reach_key(const auth::Principal& who, std::string_view scope, std::string_view name);
Result<void> check_may_reach(const Call& call, std::string_view scope, std::string_view name);
// Errors: Unsupported, API-0012; Invalid, API-0013.
Result<void> check_body_form(const Call& call);
// A route that takes no query parameters gets none; a webhook's sender may add what it likes.
// Errors: Invalid, API-0017.
Result<void> check_query(const Call& call);

// Holds the request's Idempotency-Key while the request runs.
class RunningKey {
 public:
  // Errors: Conflict, API-0014, when a request with this key is under way; Invalid, API-0015.
  static Result<RunningKey> take(Call& call);
  RunningKey() = default;
  RunningKey(RunningKey&& other) noexcept;
  RunningKey& operator=(RunningKey&& other) noexcept;
  ~RunningKey() { release(); }

 private:
  void release();
  Shared* shared_ = nullptr;
  RequestKey key_;
};

using net::charset_of;
using net::is_json;
using net::media_type;

// The one way in for bodies that are text: in UTF-8, without a byte order mark. One that says that
// it is in another charset is read in that, into `decoded`; one that says nothing is as it came,
// and whoever reads it on checks that it is UTF-8. Errors: Unsupported, API-0061, a body that is
// compressed; BAS-0012, a charset that is not known; Invalid, BAS-0013, bytes that are no text in
// it.
Result<std::string_view> body_text(const net::HttpRequest& request, std::string& decoded);
Result<void> check_not_encoded(const net::HttpRequest& request);

}  // namespace millrace::api
