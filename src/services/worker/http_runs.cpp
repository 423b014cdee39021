// SPDX-License-Identifier: Apache-2.0
#include "services/worker/http_runs.h"

#include <fmt/format.h>

#include <algorithm>

#include "async/cancel.h"
#include "async/deadline.h"
#include "async/loop.h"
#include "base/json.h"
#include "base/text.h"
#include "base/time.h"
#include "net/http.h"
#include "services/worker/boundary.h"
#include "services/worker/http_result.h"
#include "services/worker/launch_plan.h"
#include "services/worker/mask.h"
#include "services/worker/posix.h"

namespace millrace::worker {
namespace {

constexpr int kMostRedirects = 10;

net::HttpClientOptions options(int redirects) {
  net::HttpClientOptions options;
  options.max_redirects = redirects;
  return options;
}

Error cannot_send(const kernel::WorkOrder& order, std::string_view why) {
  return Error(ErrorKind::Unsupported, "WRK-0008",
               fmt::format("action '{}': {}", order.action, why));
}

// Of a query, a header or a cookie; as_argument is for command lines, where true is 1.
std::string field_text(const Value& value) {
  return value.is_bool() ? to_json(value) : as_argument(value);
}

// A list is one field for each item, null none: as StackStorm's requests.
void add_field(std::string& url, std::string_view name, const Value& value) {
  if (value.is_null()) return;
  if (value.is_list()) {
    for (const auto& item : value.as_list()) add_field(url, name, item);
    return;
  }
  url += url.find('?') == std::string::npos ? '?' : '&';
  url += net::percent_encode(name) + '=' + net::percent_encode(field_text(value));
}

std::string with_query(std::string_view url, const Value& params) {
  size_t fragment = std::min(url.find('#'), url.size());
  std::string out(url.substr(0, fragment));
  if (!params.is_map()) return out;
  for (const auto& entry : params.as_map()) add_field(out, entry.name(), entry.value);
  return out;
}

bool has_header(const net::HeaderList& headers, std::string_view name) {
  return std::any_of(headers.begin(), headers.end(),
                     [&](const auto& header) { return iequals_ascii(header.first, name); });
}

net::HeaderList request_headers(const Value& parameters) {
  net::HeaderList headers;
  if (const Value& given = parameters["headers"]; given.is_map()) {
    for (const auto& entry : given.as_map()) {
      headers.emplace_back(entry.name(), field_text(entry.value));
    }
  }
  if (const Value& cookies = parameters["cookies"]; cookies.is_map() && cookies.size() > 0) {
    std::string line;
    for (const auto& entry : cookies.as_map()) {
      line +=
          fmt::format("{}{}={}", line.empty() ? "" : "; ", entry.name(), field_text(entry.value));
    }
    headers.emplace_back("Cookie", std::move(line));
  }
  std::string_view user = parameters.string_or("username", "");
  if (!user.empty()) {
    headers.emplace_back(
        "Authorization",
        "Basic " + base64_encode(fmt::format("{}:{}", user, parameters.string_or("password", ""))));
  }
  return headers;
}

}  // namespace

Result<HttpPlan> plan_http(const kernel::WorkOrder& order) {
  const Value& p = order.parameters;
  HttpPlan plan;
  for (std::string_view name : {"verify", "verify_ssl_cert"}) {
    if (p.bool_or(name, true)) continue;
    return cannot_send(order, fmt::format("'{}: false' is not supported; let this machine trust "
                                          "the server's certificate authority",
                                          name));
  }
  if (!p.string_or("http_proxy", "").empty() || !p.string_or("https_proxy", "").empty()) {
    return cannot_send(order, "proxies are not supported");
  }
  plan.request.method = p.string_or("method", p["body"].is_null() ? "GET" : "POST");
  plan.request.url = with_query(p.string_or("url", ""), p["params"]);
  plan.request.headers = request_headers(p);
  if (const Value& body = p["body"]; body.is_string()) {
    plan.request.body = body.as_string();
  } else if (!body.is_null()) {
    plan.request.body = to_json(body);
    if (!has_header(plan.request.headers, "Content-Type")) {
      plan.request.headers.emplace_back("Content-Type", "application/json");
    }
  }
  plan.follows_redirects = p.bool_or("allow_redirects", false);

  const Value& timeout = p["timeout"];
  constexpr double kLongestS = 1e9;
  double seconds = timeout.is_number() ? std::clamp(timeout.as_float(), 0.0, kLongestS) : kLongestS;
  plan.limit_ms = static_cast<int64_t>(seconds * 1000);
  plan.limit_message = fmt::format("no answer within {} s", seconds);
  if (order.timeout_ms > 0 && order.timeout_ms < plan.limit_ms) {
    plan.limit_ms = order.timeout_ms;
    plan.limit_message = fmt::format("ended after its timeout of {} ms", order.timeout_ms);
    plan.limit_is_timeout = true;
  }
  return plan;
}

HttpRuns::HttpRuns(async::Loop& loop, std::function<void(kernel::Completion)> done)
    : loop_(loop),
      done_(std::move(done)),
      client_(options(0)),
      redirecting_client_(options(kMostRedirects)),
      scope_(loop.executor()) {}

void HttpRuns::start(kernel::WorkOrder order) {
  auto shared = std::make_shared<kernel::WorkOrder>(std::move(order));
  loop_.post([this, shared] { begin(std::move(*shared)); });
}

void HttpRuns::cancel(const kernel::RunKey& key) {
  loop_.post([this, key] {
    auto at = exchanges_.find(key);
    if (at == exchanges_.end()) return;
    at->second->canceled = true;
    at->second->scope.cancel();
  });
}

void HttpRuns::begin(kernel::WorkOrder order) {
  if (stopping_) return;
  Result<HttpPlan> plan = HttpPlan();
  if (auto thrown = thrown_by([&] { plan = plan_http(order); })) {
    plan = cannot_send(order, fmt::format("an exception: {}", *thrown));
  }
  if (plan.ok()) {
    spawn("http_run", scope_, run(std::move(order), std::move(*plan)));
    return;
  }
  kernel::Completion c;
  c.tenant = order.tenant;
  c.key = order.key;
  c.end = kernel::RunEnd::SpawnFailed;
  c.message = plan.error().message();
  c.started_ms = c.ended_ms = unix_ms();
  done_(std::move(c));
}

Task<void> HttpRuns::run(kernel::WorkOrder order, HttpPlan plan) {
  kernel::Completion c;
  c.tenant = order.tenant;
  c.key = order.key;
  c.started_ms = unix_ms();
  int64_t began_ms = monotonic_ms();
  net::HttpClient& client = plan.follows_redirects ? redirecting_client_ : client_;
  Exchange exchange(loop_.executor());
  exchanges_[order.key] = &exchange;
  spawn("http_exchange", exchange.scope, fetch(client, plan, exchange));
  co_await exchange.scope.join();
  exchanges_.erase(order.key);
  if (stopping_) co_return;

  c.ended_ms = unix_ms();
  c.exit_code = 1;
  co_await conclude(c, order, plan, exchange, monotonic_ms() - began_ms);
  if (!stopping_) done_(std::move(c));
}

// What came of the exchange.
Task<void> HttpRuns::conclude(kernel::Completion& c, const kernel::WorkOrder& order,
                              const HttpPlan& plan, const Exchange& exchange, int64_t elapsed_ms) {
  if (exchange.canceled || !exchange.result) {
    c.end = kernel::RunEnd::Canceled;
    c.message = "ended on request";
  } else if (exchange.result->ok()) {
    const net::ClientResponse& response = **exchange.result;
    bool success = response.status >= 200 && response.status < 300;
    c.exit_code = success ? 0 : 1;
    if (!success) c.message = fmt::format("HTTP status {}", response.status);
    auto output = co_await read_answer(response, order.secrets, elapsed_ms);
    if (output.ok()) {
      c.output = *std::move(output);
    } else {
      c.exit_code = 1;
      c.message = fmt::format("the answer cannot be read: {}", output.error().message());
    }
  } else {
    const Error& error = exchange.result->error();
    bool over = error.kind() == ErrorKind::Timeout && elapsed_ms >= plan.limit_ms;
    c.message = over ? plan.limit_message : masked(SecretSet(order.secrets), error.message());
    if (over && plan.limit_is_timeout) c.end = kernel::RunEnd::TimedOut;
  }
}

// Large answers are read on a thread of their own: the loop has other connections.
Task<Result<Value>> HttpRuns::read_answer(const net::ClientResponse& response,
                                          const std::vector<std::string>& secrets,
                                          int64_t elapsed_ms) {
  constexpr size_t kLarge = 64 << 10;
  auto read = [&]() -> Result<Value> {
    Value result;
    auto thrown = thrown_by([&] { result = http_result(response, secrets, elapsed_ms); });
    if (!thrown) return result;
    return Error(ErrorKind::Internal, "WRK-0010", fmt::format("an exception: {}", *thrown));
  };
  bool is_packed = !response.find_header("Content-Encoding").empty();
  if (response.body.size() <= kLarge && !is_packed) co_return read();
  if (!reader_) reader_.emplace(async::Pool::Options{.name = "http_answer"});
  co_return co_await reader_->run(read);
}

Task<void> HttpRuns::fetch(net::HttpClient& client, HttpPlan& plan, Exchange& exchange) {
  try {
    exchange.result = co_await async::with_deadline(async::Duration(plan.limit_ms),
                                                    client.send(std::move(plan.request)));
  } catch (const std::exception& error) {
    if (async::is_cancel(error)) throw;
    exchange.result = Error(ErrorKind::Internal, "WRK-0010",
                            fmt::format("an exception in the request: {}", error.what()));
  }
}

Task<void> HttpRuns::stop() {
  stopping_ = true;
  for (auto& [key, exchange] : exchanges_) exchange->scope.cancel();
  co_await scope_.join();
  // What start and cancel posted before runs until here.
  co_await async::sleep_for(async::Duration(0));
}

}  // namespace millrace::worker
