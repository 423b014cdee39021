// SPDX-License-Identifier: Apache-2.0
#include "engine/transitions/request.h"

namespace millrace::engine {

using namespace kernel;

namespace {

class WriteToken final : public Request<TokenRow> {
 public:
  WriteToken(Caller caller, TokenWrite write, Reply<TokenRow> reply)
      : Request(std::move(caller), std::move(reply)), write_(std::move(write)) {}
  std::string_view name() const override { return "write_token"; }
  bool needs_shards() const override { return false; }
  Decided decide(Context& ctx) const override;

 private:
  TokenWrite write_;
};

Decided WriteToken::decide(Context& ctx) const {
  TokenRow row{.id = ctx.new_id<TokenId>(),
               .tenant = caller_.tenant,
               .hash = write_.hash,
               .identity = write_.identity,
               .permissions = write_.permissions,
               .created = ctx.now(),
               .expires = write_.expires};
  ctx.changes.tokens.push_back(row);
  ctx.changes.feed.push_back({.tenant = row.tenant,
                              .type = EntityType::Token,
                              .entity = row.id.value,
                              .detail = row.identity,
                              .at = ctx.now()});
  return answer(ctx, std::move(row));
}

}  // namespace

Message command::write_token(Caller caller, TokenWrite write, Reply<TokenRow> reply) {
  return std::make_unique<WriteToken>(std::move(caller), std::move(write), std::move(reply));
}

}  // namespace millrace::engine
