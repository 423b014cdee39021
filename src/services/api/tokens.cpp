// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "base/text.h"
#include "engine/transitions/commands.h"
#include "kernel/event_source.h"
#include "services/api/call.h"
#include "services/api/page.h"
#include "services/api/routes.h"
#include "services/api/shared.h"
#include "store/read.h"

namespace millrace::api {
namespace {

using auth::Permission;
using kernel::TokenRow;

constexpr int64_t kLongestTtlS = 100LL * 366 * 86'400;

struct TokenInput {
  std::string identity;
  std::vector<std::string> permissions;
  std::vector<std::string> roles;
  std::optional<int64_t> ttl_s;

  static const Fields& fields() {
    static const Field lines[] = {
        field("identity", &TokenInput::identity, "Who uses it; stands in what it makes.")
            .required()
            .length(1, 128),
        field("permissions", &TokenInput::permissions,
              "Names such as rules:read, patterns such as rules:*, or *.")
            .required()
            .length(1, 50),
        field("roles", &TokenInput::roles, "Inquiries that are put to these may be answered.")
            .length(0, 20),
        field("ttl_s", &TokenInput::ttl_s, "Default: it does not expire.")
            .range(1, kLongestTtlS)
            .unit("s"),
    };
    static const auto table = fields_of<TokenInput>("TokenInput", "A token to be made.", lines);
    return table;
  }
};

struct TokenView {
  TokenId id;
  std::string identity;
  std::vector<std::string> permissions;
  std::vector<std::string> roles;
  Timestamp created;
  Timestamp expires;
  std::optional<std::string> token;

  static const Fields& fields() {
    using V = TokenView;
    static const Field lines[] = {
        field("id", &V::id, ""),
        field("identity", &V::identity, ""),
        field("permissions", &V::permissions, ""),
        field("roles", &V::roles, ""),
        field("created", &V::created, ""),
        field("expires", &V::expires, "None: never."),
        field("token", &V::token, "Shown once, when it is made: only its hash is kept."),
    };
    static const auto table = fields_of<V>("Token", "An API token.", lines);
    return table;
  }
};

struct IdentityView {
  std::string identity;
  TenantId tenant;
  std::vector<std::string> permissions;
  std::vector<std::string> roles;
  ExecutionId execution;

  static const Fields& fields() {
    using V = IdentityView;
    static const Field lines[] = {
        field("identity", &V::identity, ""),
        field("tenant", &V::tenant, ""),
        field("permissions", &V::permissions, ""),
        field("roles", &V::roles, ""),
        field("execution", &V::execution, "Of an execution's own token."),
    };
    static const auto table = fields_of<V>("Identity", "Who the token belongs to.", lines);
    return table;
  }
};

TokenView view_of(const TokenRow& row) {
  TokenView view{row.id, row.identity, {}, {}, {row.created}, {row.expires}, {}};
  for (auto word : split(row.permissions, ',')) {
    word = trim(word);
    if (word.starts_with(auth::kRolePrefix)) {
      view.roles.emplace_back(word.substr(auth::kRolePrefix.size()));
    } else if (!word.empty()) {
      view.permissions.emplace_back(word);
    }
  }
  return view;
}

Result<void> check_roles(const std::vector<std::string>& roles) {
  for (const auto& role : roles) {
    bool plain = !role.empty() && role.size() <= 64 && std::ranges::all_of(role, [](char c) {
      return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' || c == '.';
    });
    if (plain) continue;
    return Error(
        ErrorKind::Invalid, "API-0089",
        fmt::format("role '{}': expected up to 64 letters, digits, '_', '-' and '.'", role));
  }
  return {};
}

// It stands in what the token makes: nobody shall be taken for a run, a hook or a rule.
Result<void> check_identity(const std::string& identity) {
  auto prefix = kernel::reserved_prefix(identity);
  if (prefix.empty()) return {};
  return Error(ErrorKind::Invalid, "API-0082",
               fmt::format("identity '{}': names that begin with '{}' are the server's own",
                           identity, prefix))
      .with_problem("/identity", "expected the name of a person or a program");
}

Response show_identity(Call& call) {
  IdentityView view{call.who.identity, call.who.tenant, {}, call.who.roles, call.who.execution};
  for (int i = 0; i < auth::kPermissions; ++i) {
    auto permission = static_cast<Permission>(i);
    if (call.who.permissions.allow(permission)) {
      view.permissions.emplace_back(auth::to_string(permission));
    }
  }
  return answer_one(view);
}

Response list_tokens(Call& call, sql::Connection& db) {
  TRY(auto query, call.query<PageQuery>());
  TRY(auto rows, store::tokens_of(db, call.who.tenant));
  std::vector<TokenView> views;
  for (const auto& row : rows) views.push_back(view_of(row));
  return page_by_key("tokens", std::move(views), query.limit, query.cursor,
                     [](const TokenView& view) { return sortable(view.id.value); });
}

Task<Response> create_token(Call& call) {
  CO_TRY(auto input, call.body<TokenInput>());
  CO_TRY(check_identity(input.identity));
  std::string words;
  for (const auto& word : input.permissions) words += (words.empty() ? "" : ",") + word;
  CO_TRY(auto wanted, auth::Permissions::parse(words));
  if (!call.who.permissions.cover(wanted)) {
    co_return Error(ErrorKind::Forbidden, "API-0080",
                    fmt::format("'{}' cannot give permissions that it lacks", call.who.identity));
  }
  CO_TRY(check_roles(input.roles));
  for (const auto& role : input.roles) words += fmt::format(",{}{}", auth::kRolePrefix, role);
  auto token = auth::make_token(call.api.options.random);
  engine::TokenWrite write{auth::token_hash(token.reveal()), input.identity, words, 0};
  if (input.ttl_s) write.expires = call.api.now_ms() + *input.ttl_s * 1000;
  auto command = [&](auto reply) {
    call.api.engine.submit(
        engine::command::write_token(call.caller(), std::move(write), std::move(reply)));
  };
  CO_TRY(auto row, co_await ask<TokenRow>(command));
  call.api.tokens.put({row.id, row.tenant, row.hash, row.identity, row.permissions, row.expires});
  auto view = view_of(row);
  view.token = token.reveal();
  co_return answer_one(view, 201);
}

Task<Response> revoke_token(Call& call) {
  CO_TRY(auto id, call.id<TokenId>());
  auto command = [&](auto reply) {
    call.api.engine.submit(engine::command::delete_token(call.caller(), id, std::move(reply)));
  };
  CO_TRY(co_await ask<TokenId>(command));
  call.api.tokens.remove(id);
  call.api.streams.look_again();
  net::HttpResponse response;
  response.status = 204;
  co_return response;
}

}  // namespace

std::vector<Route> token_routes() {
  return {
      {.name = "show_identity",
       .method = "GET",
       .pattern = "/api/v1/identity",
       .access = Access::any_token(),
       .handler = show_identity,
       .summary = "Who the token belongs to, and what it may do.",
       .answer = &IdentityView::fields()},
      {.name = "list_tokens",
       .method = "GET",
       .pattern = "/api/v1/tokens",
       .access = Permission::Admin,
       .handler = list_tokens,
       .summary = "List tokens. The tokens themselves are not kept.",
       .query = &PageQuery::fields(),
       .answer_form = AnswerForm::List,
       .answer = &TokenView::fields()},
      {.name = "create_token",
       .method = "POST",
       .pattern = "/api/v1/tokens",
       .access = Permission::Admin,
       .handler = create_token,
       .summary = "Make a token. It is shown once.",
       .body_form = BodyForm::Json,
       .body = &TokenInput::fields(),
       .answer = &TokenView::fields(),
       .status = 201},
      {.name = "revoke_token",
       .method = "DELETE",
       .pattern = "/api/v1/tokens/{id}",
       .access = Permission::Admin,
       .handler = revoke_token,
       .summary = "Revoke a token, at once.",
       .answer_form = AnswerForm::Empty,
       .status = 204},
  };
}

}  // namespace millrace::api
