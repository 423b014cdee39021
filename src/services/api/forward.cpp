// SPDX-License-Identifier: Apache-2.0
#include "services/api/forward.h"

#include <fmt/format.h>

#include <algorithm>

#include "async/deadline.h"
#include "base/json.h"
#include "base/text.h"
#include "engine/elsewhere.h"
#include "kernel/servers.h"
#include "services/api/parse.h"
#include "services/api/shared.h"

namespace millrace::api {
namespace {

using Clock = std::chrono::steady_clock;

constexpr async::Duration kFirstPause{50};
constexpr async::Duration kLongestPause{1000};
// How long the other server may take, beyond what the client wants to wait for an end.
constexpr async::Duration kAnswerLimit{40'000};

// Of HTTP's own, and what the other server is told otherwise.
bool is_of_the_connection(std::string_view name) {
  constexpr std::string_view kNames[] = {
      "connection", "content-length",    "expect",  "keep-alive",   "te",
      "trailer",    "transfer-encoding", "upgrade", "x-request-id", "traceparent"};
  return std::ranges::any_of(kNames, [&](auto one) { return iequals_ascii(one, name); });
}

// Most reads are answered where they come in; what is decided has an owner.
bool may_be_elsewhere(const Call& call) {
  bool is_read = call.http.method == "GET" || call.http.method == "HEAD";
  return call.api.options.forward && (!is_read || call.route->has_owner);
}

ForwardedRequest forwarded_of(const Call& call, std::string body) {
  ForwardedRequest request{.method = std::string(call.http.method),
                           .target = std::string(call.http.target),
                           .headers = {},
                           .body = std::move(body),
                           .who = call.who,
                           .peer = std::string(call.http.peer),
                           .hops = call.hops + 1,
                           .request_id = call.request_id,
                           .trace = call.trace,
                           .left = kAnswerLimit};
  // A token is the business of the server that took it, but where the handler looks at it itself.
  bool with_token = call.route->access.kind() == Access::Kind::Signature;
  for (const auto& [name, value] : call.http.headers.lines()) {
    if (is_of_the_connection(name)) continue;
    if (!with_token && iequals_ascii(name, "authorization")) continue;
    request.headers.emplace_back(name, value);
  }
  if (const auto* wait = call.http.query_value("wait")) {
    // may fail: the handler has read it already
    if (auto ms = parse_wait(*wait); ms.ok()) request.left += async::Duration(*ms);
  }
  return request;
}

// The other server has done nothing: it is not the owner any more, or it stops.
bool was_not_taken(const net::HttpResponse& response) {
  if (response.status != 503) return false;
  auto problem = parse_json(response.body);
  if (!problem.ok()) return false;
  auto code = problem->string_or("code", "");
  return code == engine::kElsewhere || code == "API-0010";
}

// The handler may have taken the body.
void begin_again(Call& call, const std::string& body) {
  call.http.body = body;
  call.parsed.reset();
}

}  // namespace

Task<Response> run_where_it_belongs(Call& call, Task<Response> (*run)(Call&)) {
  if (!may_be_elsewhere(call)) co_return co_await run(call);
  const std::string body = call.http.body;
  auto until = Clock::now() + kTakeOver;
  for (auto pause = kFirstPause;; pause = std::min(pause * 2, kLongestPause)) {
    auto response = co_await run(call);
    if (response.ok()) co_return response;
    auto node = engine::elsewhere(response.error());
    if (!node || call.hops >= kMostHops) co_return response;
    if (*node != kernel::kNobody) {
      auto request = forwarded_of(call, body);
      auto answer = co_await call.api.options.forward(std::move(request), *node);
      bool is_final = answer.ok() ? !was_not_taken(*answer)
                                  : answer.error().code() != call.api.options.not_reached;
      if (is_final && answer.ok()) co_return answer;
      // It may have arrived: whoever asks again with an Idempotency-Key learns what came of it.
      if (is_final) co_return outcome_unknown();
    }
    if (Clock::now() + pause > until) co_return response;
    co_await async::sleep_for(pause);
    begin_again(call, body);
  }
}

Result<net::HttpRequest> request_of(ForwardedRequest& forwarded) {
  net::HttpRequest request;
  request.method = forwarded.method;
  request.target = forwarded.target;
  request.peer = forwarded.peer;
  std::string_view target = forwarded.target;
  auto question = std::min(target.find('?'), target.size());
  bool is_read =
      net::percent_decode(target.substr(0, question), false, request.path) &&
      (question == target.size() || net::parse_query(target.substr(question + 1), request.query));
  if (!is_read) {
    return Error(ErrorKind::Invalid, "API-0104",
                 fmt::format("a forwarded request has the target '{}'", target.substr(0, 100)));
  }
  for (const auto& [name, value] : forwarded.headers) request.headers.add(name, value);
  request.body = std::move(forwarded.body);
  return request;
}

Result<ForwardedAnswer> answer_of(net::HttpResponse response) {
  if (response.stream) {
    return Error(ErrorKind::Internal, "API-0105", "a stream cannot be answered through a server");
  }
  ForwardedAnswer answer{
      .status = response.status,
      .content_type = std::string(response.content_type),
      .headers = {},
      .body = response.fixed.empty() ? std::move(response.body) : std::string(response.fixed)};
  std::string_view lines = response.header_lines();
  while (!lines.empty()) {
    auto line = lines.substr(0, lines.find("\r\n"));
    lines.remove_prefix(std::min(line.size() + 2, lines.size()));
    auto colon = line.find(": ");
    if (colon == std::string_view::npos) continue;
    auto name = line.substr(0, colon);
    // Each server gives them.
    if (iequals_ascii(name, "x-request-id") || iequals_ascii(name, "cache-control")) continue;
    answer.headers.emplace_back(name, line.substr(colon + 2));
  }
  return answer;
}

net::HttpResponse response_of(ForwardedAnswer answer) {
  net::HttpResponse response;
  response.status = answer.status;
  response.body = std::move(answer.body);
  if (!answer.content_type.empty()) response.header("Content-Type", answer.content_type);
  for (const auto& [name, value] : answer.headers) response.header(name, value);
  return response;
}

}  // namespace millrace::api
