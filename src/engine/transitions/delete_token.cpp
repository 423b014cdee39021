// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "engine/transitions/request.h"

namespace millrace::engine {

using namespace kernel;

namespace {

class DeleteToken final : public Request<TokenId> {
 public:
  DeleteToken(Caller caller, TokenId id, Reply<TokenId> reply)
      : Request(std::move(caller), std::move(reply)), id_(id) {}
  std::string_view name() const override { return "delete_token"; }
  void want(Wanted& wanted) const override { wanted.tokens.push_back({caller_.tenant, id_}); }
  Decided decide(Context& ctx) const override;

 private:
  TokenId id_;
};

Decided DeleteToken::decide(Context& ctx) const {
  if (!ctx.rows().has_token({caller_.tenant, id_})) {
    return Error(ErrorKind::NotFound, "API-0081", fmt::format("no token {}", id_.value));
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
