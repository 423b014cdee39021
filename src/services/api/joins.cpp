// SPDX-License-Identifier: Apache-2.0
// How a worker on another machine gets its identity: a token that counts once, for a certificate.
#include <fmt/format.h>

#include <algorithm>

#include "auth/peer.h"
#include "engine/transitions/commands.h"
#include "services/api/call.h"
#include "services/api/routes.h"
#include "services/api/shared.h"
#include "store/read.h"

namespace millrace::api {
namespace {

using auth::Permission;
using kernel::TokenRow;

constexpr int64_t kJoinTtlS = 3600;
constexpr std::string_view kAnyName = "worker";  // the identity of a token that names none
constexpr std::string_view kOneName = "worker:";

struct JoinTokenInput {
  std::string name;
  int64_t ttl_s = kJoinTtlS;

  static const Fields& fields() {
    using V = JoinTokenInput;
    static const Field lines[] = {
        field("name", &V::name, "Only a worker of this name; empty: one whose name is new.")
            .length(0, 128),
        field("ttl_s", &V::ttl_s, "How long it counts.").range(1, kJoinTtlS).unit("s"),
    };
    static const auto table = fields_of<V>("JoinTokenInput", "A join token to be made.", lines);
    return table;
  }
};

struct JoinTokenView {
  TokenId id;
  std::string name;
  Timestamp expires;
  std::string token;
  std::string pin;

  static const Fields& fields() {
    using V = JoinTokenView;
    static const Field lines[] = {
        field("id", &V::id, ""),
        field("name", &V::name, "Of the worker; empty: any that is new."),
        field("expires", &V::expires, ""),
        field("token", &V::token, "Shown once: only its hash is kept. Used once."),
        field("pin", &V::pin, "SHA-256 of the public key of the authority that will sign."),
    };
    static const auto table = fields_of<V>("JoinToken", "Lets one worker join.", lines);
    return table;
  }
};

struct JoinInput {
  std::string name;
  std::string request;

  static const Fields& fields() {
    using V = JoinInput;
    static const Field lines[] = {
        field("name", &V::name, "Of the worker: letters, digits, '.', '_', '-'.")
            .required()
            .length(1, 128),
        field("request", &V::request, "A certificate request of its key: PKCS #10, PEM.")
            .required()
            .length(1, 16 << 10),
    };
    static const auto table = fields_of<V>("JoinInput", "Who wants to join.", lines);
    return table;
  }
};

struct JoinView {
  std::string name;
  std::string certificate;
  std::string authorities;
  std::string token;
  Timestamp expires;
  std::string grpc;

  static const Fields& fields() {
    using V = JoinView;
    static const Field lines[] = {
        field("name", &V::name, ""),
        field("certificate", &V::certificate, "PEM; of millrace://worker/NAME."),
        field("authorities", &V::authorities, "Whom the worker trusts: PEM."),
        field("token", &V::token,
              "Instead of the certificate, where gRPC is in the clear on one machine."),
        field("expires", &V::expires, "Of certificate and token; renewed over gRPC."),
        field("grpc", &V::grpc, "HOST:PORT of its session."),
    };
    static const auto table = fields_of<V>("Joined", "A worker's identity.", lines);
    return table;
  }
};

Error no_workers_here() {
  return Error(ErrorKind::Unavailable, "API-0100",
               "this server takes no workers from outside: it has no gRPC (grpc.port)");
}

Result<void> check_name(std::string_view name) {
  if (auth::is_peer_name(name)) return {};
  return Error(ErrorKind::Invalid, "API-0101",
               fmt::format("worker '{}': expected letters, digits, '.', '_' and '-'", name))
      .with_problem("/name", "not a worker's name");
}

Task<Response> create_join_token(Call& call) {
  CO_TRY(auto input, call.body<JoinTokenInput>());
  if (!input.name.empty()) CO_TRY(check_name(input.name));
  if (!call.api.options.join.admit) co_return no_workers_here();
  auto token = auth::make_token(call.api.options.random);
  std::string identity(kAnyName);
  if (!input.name.empty()) identity = std::string(kOneName) + input.name;
  engine::TokenWrite write{auth::token_hash(token.reveal()), identity,
                           std::string(auth::to_string(Permission::WorkersJoin)),
                           call.api.now_ms() + input.ttl_s * 1000};
  auto command = [&](auto reply) {
    call.api.engine.submit(
        engine::command::write_token(call.caller(), std::move(write), std::move(reply)));
  };
  CO_TRY(auto row, co_await ask<TokenRow>(command));
  call.api.tokens.put({row.id, row.tenant, row.hash, row.identity, row.permissions, row.expires});
  co_return answer_one(
      JoinTokenView{row.id, input.name, {row.expires}, token.reveal(), call.api.options.join.pin},
      201);
}

// Of a token that is for joining and nothing else: with any other one nobody shall lose it here.
Result<void> check_join_token(const auth::Principal& who) {
  auth::Permissions only;
  only.add(Permission::WorkersJoin);
  if (who.permissions == only && who.token.value != 0) return {};
  return Error(ErrorKind::Forbidden, "API-0102",
               "expected a join token: make one with `millrace worker token`");
}

// A token without a name lets nobody take the place of a worker that is known.
Task<Result<void>> check_free(Call& call, std::string name) {
  bool known = false;
  CO_TRY(co_await call.api.readers.run([&](sql::Connection& db) -> Result<void> {
    TRY(auto rows, store::all_workers(db));
    known = std::ranges::any_of(rows, [&](const auto& row) { return row.name == name; });
    return {};
  }));
  if (!known) co_return Result<void>();
  co_return Error(
      ErrorKind::Conflict, "API-0103",
      fmt::format("a worker '{}' is known already: to let it in again, make a token for "
                  "it by name: millrace worker token --name {}",
                  name, name));
}

Task<Response> join_as_worker(Call& call) {
  CO_TRY(auto input, call.body<JoinInput>());
  CO_TRY(check_name(input.name));
  CO_TRY(check_join_token(call.who));
  if (!call.api.options.join.admit) co_return no_workers_here();
  if (call.who.identity == kAnyName) {
    CO_TRY(co_await check_free(call, input.name));
  } else if (call.who.identity != std::string(kOneName) + input.name) {
    co_return Error(ErrorKind::Forbidden, "API-0102",
                    fmt::format("the join token is for '{}', not for '{}'",
                                call.who.identity.substr(kOneName.size()), input.name));
  }
  // Made before the token is used up: a request that is wrong costs nothing.
  CO_TRY(auto joined, call.api.options.join.admit(input.name, input.request, call.http.peer));
  auto command = [&](auto reply) {
    call.api.engine.submit(
        engine::command::delete_token(call.caller(), call.who.token, std::move(reply)));
  };
  auto used = co_await ask<TokenId>(command);
  call.api.tokens.remove(call.who.token);
  if (!used.ok() && used.error().kind() == ErrorKind::NotFound) {
    co_return Error(ErrorKind::Unauthorized, "AUT-0002", "the token is unknown or was revoked");
  }
  CO_TRY(std::move(used));
  co_return answer_one(JoinView{input.name,
                                joined.certificate,
                                joined.authorities,
                                joined.token.reveal(),
                                {joined.expires},
                                joined.grpc});
}

}  // namespace

std::vector<Route> join_routes() {
  return {
      {.name = "create_join_token",
       .method = "POST",
       .pattern = "/api/v1/workers/tokens",
       .access = Permission::Admin,
       .handler = create_join_token,
       .summary = "Make a token with which one worker may join, once.",
       .body_form = BodyForm::Json,
       .body = &JoinTokenInput::fields(),
       .answer = &JoinTokenView::fields(),
       .status = 201},
      {.name = "join_as_worker",
       .method = "POST",
       .pattern = "/api/v1/workers/join",
       .access = Permission::WorkersJoin,
       .handler = join_as_worker,
       .summary = "Become a worker: a join token and a certificate request for a certificate.",
       .body_form = BodyForm::Json,
       .body = &JoinInput::fields(),
       .answer = &JoinView::fields(),
       .max_body = 32 << 10},
  };
}

}  // namespace millrace::api
