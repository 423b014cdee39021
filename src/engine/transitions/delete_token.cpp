// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "auth/token.h"
#include "base/mix.h"
#include "engine/transitions/request.h"

namespace millrace::engine {

using namespace kernel;

namespace {

class DeleteToken final : public Request<TokenId> {
 public:
  DeleteToken(Caller caller, TokenId id, Reply<TokenId> reply)
      : Request(std::move(caller), std::move(reply)), id_(id) {}
  std::string_view name() const override { return "delete_token"; }
  // One after the other: two that are revoked at once could be the last two.
  Turn turn() const override {
    return Turn::exclusive(mix64(static_cast<uint64_t>(caller_.tenant.value)) | 1);
  }
  void want(Wanted& wanted) const override { wanted.tokens_of.push_back(caller_.tenant); }
  bool needs_shards() const override { return false; }
  Decided decide(Context& ctx) const override;

 private:
  TokenId id_;
};

// Who has all permissions can make every other token. `lasting`: only those that do not expire.
bool is_admin(const TokenRow& token, int64_t now_ms, bool lasting) {
  bool lives = token.expires == 0 || (!lasting && token.expires > now_ms);
  return lives && auth::granted_by(token.permissions).cover(auth::Permissions::all());
}

// Of those who could let others in somebody must stay, and for good: an expiry is a revocation that
// is known before.
bool is_last_admin(Context& ctx, const std::vector<const TokenRow*>& tokens,
                   const TokenRow& token) {
  for (bool lasting : {true, false}) {
    if (!is_admin(token, ctx.now(), lasting)) continue;
    bool other = std::ranges::any_of(tokens, [&](const TokenRow* each) {
      return each->id != token.id && is_admin(*each, ctx.now(), lasting);
    });
    if (!other) return true;
  }
  return false;
}

Decided DeleteToken::decide(Context& ctx) const {
  auto tokens = ctx.rows().tokens(caller_.tenant);
  auto found = std::ranges::find(tokens, id_, [](const TokenRow* each) { return each->id; });
  if (found == tokens.end()) {
    return Error(ErrorKind::NotFound, "API-0081", fmt::format("no token {}", id_.value));
  }
  if (is_last_admin(ctx, tokens, **found)) {
    return Error(ErrorKind::Conflict, "API-0083",
                 fmt::format("token {} of '{}' is the last one with all permissions that does not "
                             "expire: without it nobody could let anybody in; make another first "
                             "(permissions: [\"*\"], no ttl_s), then revoke this one",
                             id_.value, (*found)->identity));
  }
  ctx.changes.tokens_done.push_back({caller_.tenant, id_});
  ctx.changes.feed.push_back({.tenant = caller_.tenant,
                              .type = EntityType::Token,
                              .op = ChangeOp::Deleted,
                              .entity = id_.value,
                              .at = ctx.now()});
  return answer(ctx, id_);
}

}  // namespace

Message command::delete_token(Caller caller, TokenId id, Reply<TokenId> reply) {
  return std::make_unique<DeleteToken>(std::move(caller), id, std::move(reply));
}

}  // namespace millrace::engine
