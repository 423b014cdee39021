// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>

#include "async/pool.h"
#include "auth/key_ring.h"
#include "auth/token.h"
#include "engine/engine.h"
#include "net/http_server.h"
#include "services/api/options.h"

namespace millrace::api {

struct Shared;
class Call;
class Router;

// The REST interface: decode, call an engine use case, encode. Lives on one loop; `set_phase` may
// be called from any thread. Collaborators outlive it, and it outlives the HTTP server.
//
//   TRY(auto api, api::Api::create(engine, keys, tokens, run_tokens, pool, options));
//   net::HttpServer::listen(loop, {...}, api->handlers())
class Api {
 public:
  // Loads the tokens of the store into `tokens`. Errors: API-0001, or the store's.
  static Result<std::unique_ptr<Api>> create(engine::Engine& engine, const auth::KeyRing& keys,
                                             auth::TokenCache& tokens,
                                             const auth::RunTokens& run_tokens, async::Pool& pool,
                                             ApiOptions options);
  ~Api();

  Task<net::HttpResponse> handle(net::HttpRequest& request);
  // The same for a request that another server has taken: its caller is known, its rights are
  // checked again. Errors: Invalid, API-0104; Internal, API-0105.
  Task<Result<ForwardedAnswer>> handle_forwarded(ForwardedRequest request);
  // What the head alone decides of a request with a body: route, sender, form, size.
  net::Admission admit(net::HttpRequest& request);
  // What the HTTP server itself refuses, as a problem.
  net::HttpResponse refuse(const net::HttpRequest& request, int status, const Error& error);

  // All three, for the server.
  net::HttpHandlers handlers();
  // The same for those who look after a process: /livez, /ready, /health, /metrics, /info alone.
  net::HttpHandlers admin_handlers();

  // /ready is 200 and writes are taken while Ready.
  void set_phase(Phase phase);

 private:
  explicit Api(std::unique_ptr<Shared> shared, std::unique_ptr<Router> router);
  Task<net::HttpResponse> answer(Call& call);
  std::optional<net::HttpResponse> find_route(Call& call) const;
  void finish(const Call& call, net::HttpResponse& response, int64_t duration_ns) const;

  std::unique_ptr<Shared> shared_;
  std::unique_ptr<Router> router_;
};

// The OpenAPI document of this build, as api/openapi.yaml holds it.
std::string openapi_yaml();

}  // namespace millrace::api
