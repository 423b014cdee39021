// SPDX-License-Identifier: Apache-2.0
#include "services/api/api.h"

#include <fmt/format.h>

#include <algorithm>

#include "async/loop.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "base/yaml.h"
#include "services/api/admission.h"
#include "services/api/docs_page.h"
#include "services/api/forward.h"
#include "services/api/openapi.h"
#include "services/api/problem.h"
#include "services/api/routes.h"
#include "services/api/shared.h"
#include "store/read.h"

namespace millrace::api {
namespace {

constexpr std::string_view kApiVersion = "1.0.0";

Error no_route(const net::HttpRequest& request) {
  return Error(
      ErrorKind::NotFound, "API-0006",
      fmt::format("no route {} {}: /api/v1/openapi.json lists all", request.method, request.path));
}

bool is_for_admins(std::string_view path) {
  constexpr std::string_view kPaths[] = {"/livez", "/ready", "/health", "/metrics", "/info"};
  return std::ranges::find(kPaths, path) != std::end(kPaths);
}

Error wrong_method(const net::HttpRequest& request, std::string_view allowed) {
  return Error(ErrorKind::Invalid, "API-0007",
               fmt::format("{} does not take {}, only {}", request.path, request.method, allowed));
}

constexpr size_t kBodyThatIsNotTaken = 64 << 10;  // so that the handler can say what is wrong

// What HttpServer's own refusal looked at may be half a request.
std::string_view path_of(const net::HttpRequest& request) {
  return request.path.empty() ? std::string_view("?") : std::string_view(request.path);
}

void log_answer(const Call& call, int status, int64_t duration_ns) {
  // 503 is what overload and a stop look like: no fault, and maybe thousands of them.
  bool failed = status >= 500 && status != 503;
  auto level = failed ? LogLevel::Warn : status >= 400 ? LogLevel::Info : LogLevel::Debug;
  if (!log_enabled(level)) return;
  bool by_stranger = level == LogLevel::Info && call.who.identity.empty();
  if (by_stranger && !call.api.refusal_log.takes_line(call.api.now_ms())) return;
  write_log(level, "http.answered",
            {{"method", call.http.method},
             {"path", call.http.path},
             {"status", status},
             {"ms", static_cast<double>(duration_ns) / 1e6},
             {"request", call.request_id},
             {"trace", call.trace},
             {"tenant", call.who.tenant},
             {"identity", call.who.identity}});
}

// Whose answers no cache may keep: tokens, keys, who somebody is.
bool answers_with_secrets(const Route& route) {
  using auth::Permission;
  if (route.access.kind() == Access::Kind::AnyToken) return true;
  if (route.access.kind() != Access::Kind::Permission) return false;
  auto permission = route.access.permission();
  return permission == Permission::Admin || permission == Permission::KeysRead ||
         permission == Permission::KeysWrite || permission == Permission::KeysDecrypt;
}

Task<Response> run_handler(Call& call) {
  const auto& handler = call.route->handler;
  bool would_hold_the_loop = call.http.body.size() > Readers::kLongBody &&
                             call.route->body_form == BodyForm::Json &&
                             !std::holds_alternative<ReadHandler>(handler);
  if (would_hold_the_loop) {
    CO_TRY(co_await call.api.readers.parse([&call]() -> Result<void> {
      call.parsed = parsed_body(call);
      return {};
    }));
  }
  if (const auto* in_memory = std::get_if<MemoryHandler>(&handler)) co_return (*in_memory)(call);
  if (const auto* task = std::get_if<TaskHandler>(&handler)) co_return co_await (*task)(call);
  auto read = std::get<ReadHandler>(handler);
  net::HttpResponse response;
  CO_TRY(co_await call.api.readers.run([&](sql::Connection& db) -> Result<void> {
    TRY(response, read(call, db));
    return {};
  }));
  co_return response;
}

// From a matched route to its answer: who asks, may they, is the request well formed, run it.
Task<Response> run_route(Call& call) {
  CO_TRY(check_headers(call));
  CO_TRY(check_phase(call));
  CO_TRY(auto run, authenticate(call));
  if (run) CO_TRY(co_await authenticate_run(call, *run));
  CO_TRY(check_permission(call));
  CO_TRY(check_query(call));
  CO_TRY(check_body_form(call));
  CO_TRY(auto key, RunningKey::take(call));
  co_return co_await run_where_it_belongs(call, run_handler);
}

}  // namespace

Api::Api(std::unique_ptr<Shared> shared, std::unique_ptr<Router> router)
    : shared_(std::move(shared)), router_(std::move(router)) {}
Api::~Api() = default;

Result<std::unique_ptr<Api>> Api::create(engine::Engine& engine, const auth::KeyRing& keys,
                                         auth::TokenCache& tokens,
                                         const auth::RunTokens& run_tokens, async::Pool& pool,
                                         ApiOptions options) {
  TRY(auto router, Router::create(all_routes(options)));
  TRY(auto reader, engine.reader());
  TRY(auto rows, store::tokens_of_all_tenants(*reader));
  for (const auto& row : rows) {
    tokens.put({row.id, row.tenant, row.hash, row.identity, row.permissions, row.expires});
  }
  auto shared =
      std::make_unique<Shared>(engine, keys, tokens, run_tokens, pool, std::move(options));
  shared->openapi_json = to_json(openapi_document(router.routes(), kApiVersion));
  shared->docs_html = docs_page(router.routes());
  return std::unique_ptr<Api>(
      new Api(std::move(shared), std::make_unique<Router>(std::move(router))));
}

void Api::set_phase(Phase phase) { shared_->phase.store(phase, std::memory_order_relaxed); }

// Finds the route. What the answer is when there is none.
std::optional<net::HttpResponse> Api::find_route(Call& call) const {
  const auto& request = call.http;
  auto match = router_->find(request.method == "HEAD" ? "GET" : request.method, request.path);
  call.route = match.route;
  call.path = match.params;
  async::at_work(match.route ? match.route->name : "http.no_route");
  if (match.route) return std::nullopt;
  if (call.request_id.empty()) call.request_id = request_id_of(*shared_, request);
  if (match.allowed.empty()) return problem(no_route(request), call.request_id, shared_->now_ms());
  auto response =
      problem(wrong_method(request, match.allowed), call.request_id, shared_->now_ms(), 405);
  response.header("Allow", match.allowed);
  return response;
}

// What every answer has and leaves behind.
void Api::finish(const Call& call, net::HttpResponse& response, int64_t duration_ns) const {
  response.header("X-Request-Id", call.request_id);
  if (call.route && answers_with_secrets(*call.route)) {
    response.header("Cache-Control", "no-store");
  }
  if (call.http.method == "HEAD") response.stream = nullptr;
  log_answer(call, response.status, duration_ns);
  if (!shared_->options.observe) return;
  shared_->options.observe({call.route ? call.route->name : std::string_view(), call.http.method,
                            response.status, duration_ns});
}

Task<net::HttpResponse> Api::handle(net::HttpRequest& request) {
  Call call(*shared_, request);
  call.request_id = request_id_of(*shared_, request);
  call.trace = trace_of(*shared_, request);
  co_return co_await answer(call);
}

Task<Result<ForwardedAnswer>> Api::handle_forwarded(ForwardedRequest forwarded) {
  CO_TRY(auto request, request_of(forwarded));
  Call call(*shared_, request);
  call.request_id = forwarded.request_id;
  call.trace = forwarded.trace;
  call.who = forwarded.who;
  call.hops = std::max(forwarded.hops, 1);
  co_return answer_of(co_await answer(call));
}

Task<net::HttpResponse> Api::answer(Call& call) {
  auto begin = std::chrono::steady_clock::now();
  net::HttpResponse response;
  if (auto none = find_route(call)) {
    response = std::move(*none);
  } else {
    auto result = co_await run_route(call);
    async::at_work(call.route->name);
    response = result.ok() ? std::move(result).value()
                           : problem(result.error(), call.request_id, shared_->now_ms());
  }
  auto duration = std::chrono::steady_clock::now() - begin;
  finish(call, response, std::chrono::duration_cast<std::chrono::nanoseconds>(duration).count());
  co_return response;
}

// Of what is taken nothing is kept: `handle` looks again, since a token may be revoked while the
// body comes.
net::Admission Api::admit(net::HttpRequest& request) {
  Call call(*shared_, request);
  auto refusal = find_route(call);
  if (!refusal) {
    auto known = check_head(call);
    if (known.ok()) {
      size_t most =
          call.route->body_form == BodyForm::None ? kBodyThatIsNotTaken : call.route->max_body;
      return {.refusal = {}, .body_limit = most, .known = *known};
    }
    call.request_id = request_id_of(*shared_, request);
    refusal = problem(known.error(), call.request_id, shared_->now_ms());
  }
  finish(call, *refusal, 0);
  return {.refusal = std::move(refusal)};
}

net::HttpHandlers Api::handlers() {
  return {.handle = [this](net::HttpRequest& request) { return handle(request); },
          .admit = [this](net::HttpRequest& request) { return admit(request); },
          .refuse = [this](const net::HttpRequest& request, int status,
                           const Error& error) { return refuse(request, status, error); }};
}

net::HttpHandlers Api::admin_handlers() {
  auto handlers = this->handlers();
  auto refused = [this](const net::HttpRequest& request) -> std::optional<net::HttpResponse> {
    if (is_for_admins(request.path)) return std::nullopt;
    return problem(no_route(request), request_id_of(*shared_, request), shared_->now_ms());
  };
  auto answer = [](net::HttpResponse response) -> Task<net::HttpResponse> {
    co_return std::move(response);
  };
  handlers.handle = [this, refused, answer](net::HttpRequest& request) {
    auto refusal = refused(request);
    return refusal ? answer(*std::move(refusal)) : handle(request);
  };
  handlers.admit = [this, refused](net::HttpRequest& request) {
    auto refusal = refused(request);
    return refusal ? net::Admission{.refusal = std::move(refusal)} : admit(request);
  };
  return handlers;
}

net::HttpResponse Api::refuse(const net::HttpRequest& request, int status, const Error& error) {
  auto request_id = request_id_of(*shared_, request);
  auto response = problem(error, request_id, shared_->now_ms(), status);
  response.header("X-Request-Id", request_id);
  if (shared_->refusal_log.takes_line(shared_->now_ms())) {
    log_info("http.refused", {{"method", request.method},
                              {"path", path_of(request)},
                              {"status", status},
                              {"peer", request.peer},
                              {"request", request_id},
                              {"reason", error.message()}});
  }
  if (shared_->options.observe) shared_->options.observe({"", request.method, status, 0});
  return response;
}

std::string openapi_yaml() {
  return "# Generated from the route table: UPDATE_GOLDEN=1 services_api_test rewrites it.\n" +
         to_yaml(openapi_document(all_routes({}), kApiVersion));
}

}  // namespace millrace::api
