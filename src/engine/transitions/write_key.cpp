// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "engine/transitions/request.h"
#include "engine/transitions/told_events.h"

namespace millrace::engine {

using namespace kernel;

namespace {

// A new value of a key, or its end. Answers what is durable: with the key as it stands now when an
// earlier request with the same Idempotency-Key made it.
class WriteKey final : public Request<KeyRow> {
 public:
  WriteKey(Caller caller, KeyWrite write, Reply<KeyRow> reply)
      : Request(std::move(caller), std::move(reply)), write_(std::move(write)) {
    write_.key.tenant = caller_.tenant;
  }
  std::string_view name() const override { return "write_key"; }
  // Writes of one key take turns; another key may share a turn by chance. 0 is the catalogue's.
  Turn turn() const override {
    const auto& key = write_.key;
    std::string text = fmt::format("{}/{}/{}", key.tenant.value, key.scope, key.name);
    return Turn::exclusive(seeded_hash(text) | 1);
  }
  void want(Wanted& wanted) const override {
    want_answer(wanted, caller_);
    want_run(wanted, caller_);
    wanted.key_values.push_back(write_.key);
  }
  bool needs_shards() const override { return false; }
  Decided decide(Context& ctx) const override;

 private:
  KeyWrite write_;
};

Result<void> check_write(const KeyWrite& write, const KeyRow* live, int64_t stored_version) {
  if (write.remove && !live) return no_key(write.key);
  int64_t version = live ? live->version : 0;
  if (write.if_version && *write.if_version != version) {
    return Error(ErrorKind::Stale, "KEY-0002",
                 fmt::format("key '{}' of {} is at version {}, not {}: read it again, then write",
                             write.key.name, write.key.scope, version, *write.if_version));
  }
  if (!write.remove && write.version != 0 && write.version != stored_version + 1) {
    return Error(ErrorKind::Conflict, kKeyMoved,
                 fmt::format("key '{}' of {} was written by somebody else at the same time",
                             write.key.name, write.key.scope));
  }
  return {};
}

Decided WriteKey::decide(Context& ctx) const {
  if (!write_.is_config) {
    TRY(check_key_name(write_.key));
  }
  auto found = ctx.rows().key_values().find(write_.key);
  ASSERT(found != ctx.rows().key_values().end());
  const KeyRow* stored = found->second ? &*found->second : nullptr;
  TRY(auto earlier, answered_before(ctx, caller_));
  if (earlier) {
    return answer(ctx, stored ? *stored : KeyRow{.key = write_.key, .version = *earlier});
  }
  const KeyRow* live = stored && !stored->is_over(ctx.now()) ? stored : nullptr;
  TRY(check_write(write_, live, stored ? stored->version : 0));
  KeyRow row{.key = write_.key,
             .value_json = write_.value_json,
             .encrypted = write_.encrypted,
             .version = stored ? stored->version + 1 : 1,
             .expires = write_.ttl_ms > 0 ? ctx.now() + write_.ttl_ms : 0,
             .created = live ? live->created : ctx.now(),
             .updated = ctx.now(),
             .deleted = write_.remove};
  remember_answer(ctx, caller_, row.version);
  if (!write_.is_config) tell_key(ctx, caller_, live, write_.remove ? nullptr : &row);
  ctx.changes.keys.push_back(row);
  // A key has no id: the feed names it.
  ctx.changes.feed.push_back({.tenant = row.key.tenant,
                              .type = EntityType::Key,
                              .op = write_.remove ? ChangeOp::Deleted
                                    : live        ? ChangeOp::Updated
                                                  : ChangeOp::Created,
                              .detail = fmt::format("{}/{}", row.key.scope, row.key.name),
                              .at = ctx.now()});
  return answer(ctx, std::move(row));
}

}  // namespace

Message command::write_key(Caller caller, KeyWrite write, Reply<KeyRow> reply) {
  return std::make_unique<WriteKey>(std::move(caller), std::move(write), std::move(reply));
}

}  // namespace millrace::engine
