// SPDX-License-Identifier: Apache-2.0
#include "engine/transitions/keys.h"

#include <fmt/format.h>

#include "engine/transitions/idempotency.h"

namespace millrace::engine {

using namespace kernel;

namespace {

// Writes of one key take turns; another key may share a turn by chance. -1 is the catalogue's.
int64_t turn_of(const KeyName& key) {
  size_t hash = std::hash<std::string>()(fmt::format("{}/{}", key.scope, key.name));
  return -2 - static_cast<int64_t>(hash & 0x3fffffff);
}

Result<void> check_write(const KeyWrite& write, const KeyRow* live, int64_t stored_version) {
  if (write.remove && !live) return no_key(write.key);
  int64_t version = live ? live->version : 0;
  if (write.if_version && *write.if_version != version) {
    return Error(ErrorKind::Stale, "KEY-0002",
                 fmt::format("key '{}' of {} is at version {}, not {}: read it again, then write",
                             write.key.name, write.key.scope, version, *write.if_version));
  }
  if (!write.remove && write.version != stored_version + 1) {
    return Error(ErrorKind::Conflict, kKeyMoved,
                 fmt::format("key '{}' of {} was written by somebody else at the same time",
                             write.key.name, write.key.scope));
  }
  return {};
}

}  // namespace

WriteKey::WriteKey(Caller caller, KeyWrite write, Reply<KeyRow> reply)
    : caller_(std::move(caller)), write_(std::move(write)), reply_(std::move(reply)) {
  write_.key.tenant = caller_.tenant;
  key = turn_of(write_.key);
}

void WriteKey::want(Wanted& wanted) const {
  want_answer(wanted, caller_);
  wanted.key_values.push_back(write_.key);
}

Result<void> WriteKey::decide(Context& ctx) {
  TRY(check_key_name(write_.key));
  auto found = ctx.rows().key_values().find(write_.key);
  ASSERT(found != ctx.rows().key_values().end());
  const KeyRow* stored = found->second ? &*found->second : nullptr;
  TRY(auto earlier, answered_before(ctx, caller_));
  if (earlier) {
    row_ = stored ? *stored : KeyRow{.key = write_.key, .version = *earlier};
    return {};
  }
  const KeyRow* live = stored && !stored->is_over(ctx.now()) ? stored : nullptr;
  TRY(check_write(write_, live, stored ? stored->version : 0));
  row_ = {.key = write_.key,
          .value_json = write_.value_json,
          .encrypted = write_.encrypted,
          .version = stored ? stored->version + 1 : 1,
          .expires = write_.ttl_ms > 0 ? ctx.now() + write_.ttl_ms : 0,
          .created = live ? live->created : ctx.now(),
          .updated = ctx.now(),
          .deleted = write_.remove};
  remember_answer(ctx, *this, caller_, row_.version);
  changes.keys.push_back(row_);
  // A key has no id: the feed names it.
  changes.feed.push_back({.tenant = row_.key.tenant,
                          .type = EntityType::Key,
                          .op = write_.remove ? ChangeOp::Deleted
                                : live        ? ChangeOp::Updated
                                              : ChangeOp::Created,
                          .detail = fmt::format("{}/{}", row_.key.scope, row_.key.name),
                          .at = ctx.now()});
  return {};
}

}  // namespace millrace::engine
