// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace millrace {

// A 63-bit id of one kind of entity. 0 is "none". In JSON an id is a decimal string.
template <typename Tag>
struct Id {
  int64_t value = 0;

  constexpr Id() = default;
  constexpr explicit Id(int64_t v) : value(v) {}
  constexpr explicit operator bool() const { return value != 0; }
  constexpr auto operator<=>(const Id&) const = default;
  std::string str() const { return std::to_string(value); }
};

using TenantId = Id<struct TenantTag>;

// An id together with its tenant: what names a row (K10).
template <typename IdType>
struct Of {
  TenantId tenant;
  IdType id;
  constexpr auto operator<=>(const Of&) const = default;
  constexpr explicit operator bool() const { return static_cast<bool>(id); }
};
using EventId = Id<struct EventTag>;
using RuleId = Id<struct RuleTag>;
using EnforcementId = Id<struct EnforcementTag>;
using ExecutionId = Id<struct ExecutionTag>;
using InquiryId = Id<struct InquiryTag>;
using MessageId = Id<struct MessageTag>;
using TimerId = Id<struct TimerTag>;
using OutboxId = Id<struct OutboxTag>;
using WorkerId = Id<struct WorkerTag>;
using SessionId = Id<struct SessionTag>;
using WebhookId = Id<struct WebhookTag>;
using IdentityId = Id<struct IdentityTag>;
using TokenId = Id<struct TokenTag>;

// The one tenant of a single-machine install until tenants are managed.
inline constexpr TenantId kDefaultTenant{1};

// Decimal digits only, 1 to 2^63-1; `what` names the field in the error.
Result<int64_t> parse_id(std::string_view text, std::string_view what);

// Makes 63-bit ids: 41 bits milliseconds since 2024-01-01T00:00:00Z, 10 bits node, 12 bits
// sequence (the layout of Twitter's Snowflake). Ids of one source strictly rise, also when the
// clock goes back. Not thread-safe: one source per thread that decides.
class IdSource {
 public:
  explicit IdSource(uint16_t node, int64_t last = 0);

  // `now_ms` is Unix time in milliseconds.
  int64_t next(int64_t now_ms);
  template <typename IdType>
  IdType next(int64_t now_ms) {
    return IdType{next(now_ms)};
  }
  int64_t last() const { return last_; }

 private:
  int64_t node_bits_;
  int64_t last_;
};

// Unix milliseconds at which an id was made (its upper 41 bits).
int64_t id_time_ms(int64_t id);
// The smallest id of a millisecond: for range scans by time.
int64_t first_id_at(int64_t unix_ms);

}  // namespace millrace

template <typename Tag>
struct std::hash<millrace::Id<Tag>> {
  size_t operator()(const millrace::Id<Tag>& id) const noexcept {
    return std::hash<int64_t>{}(id.value);
  }
};

template <typename IdType>
struct std::hash<millrace::Of<IdType>> {
  // Ids are unique over all tenants.
  size_t operator()(const millrace::Of<IdType>& of) const noexcept {
    return std::hash<IdType>()(of.id);
  }
};
