// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "services/api/call.h"
#include "services/api/options.h"

namespace millrace::api {

// Runs the handler of a call. Where what it asks for is another server's, that one is asked: the
// same request, with the caller as found here. While a shard is on its way from one server to
// another, or its owner is gone and not yet replaced, it is tried again, up to kTakeOver. Nothing
// is sent twice that may have arrived. Errors: the handler's; ENG-0009, after that time.
Task<Response> run_where_it_belongs(Call& call, Task<Response> (*run)(Call&));

// Longer than it takes until a dead server's shards have another owner.
inline constexpr async::Duration kTakeOver{15'000};
// From the server that took it to the owner, and once more, when the owner has just changed.
inline constexpr int kMostHops = 2;

// A request as another server has sent it, as one of our own. Lives as long as `forwarded`.
// Errors: Invalid, API-0104.
Result<net::HttpRequest> request_of(ForwardedRequest& forwarded);
// Of the answer, what the other server needs. Errors: Internal, API-0105: a stream.
Result<ForwardedAnswer> answer_of(net::HttpResponse response);
net::HttpResponse response_of(ForwardedAnswer answer);

}  // namespace millrace::api
