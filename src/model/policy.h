// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/value.h"

namespace millrace {

// What becomes of a run that a limit leaves no room for.
enum class WhenFull : uint8_t {
  Queue,         // it waits for room
  CancelNew,     // it ends as canceled
  CancelOldest,  // those that began first make room, and it waits for that
  Refuse,        // it is not taken at all
};

// So many of an action, or of a pack, at once. With parameters named: so many for each of their
// values.
struct ConcurrencyLimit {
  int64_t limit = 1;
  std::vector<std::string> by;  // names of parameters
  WhenFull then = WhenFull::Queue;
  bool operator==(const ConcurrencyLimit&) const = default;
};

// So many starts in a time, at most `burst` of them at once.
struct RateLimit {
  int64_t limit = 1;
  int64_t per_ms = 1000;
  int64_t burst = 1;
  std::vector<std::string> by;
  WhenFull then = WhenFull::Queue;  // or Refuse
  bool operator==(const RateLimit&) const = default;
};

// So many starts in each hour or day of UTC; more are refused.
struct QuotaLimit {
  int64_t limit = 1;
  int64_t per_ms = 86'400'000;
  std::vector<std::string> by;
  bool operator==(const QuotaLimit&) const = default;
};

// Attempts more, after an end of these.
struct RetryRule {
  bool on_failed = true;
  bool on_timeout = false;
  int64_t count = 1;
  int64_t delay_ms = 0;  // before the first
  double backoff = 1;    // each waits so many times as long as the one before
  int64_t most_delay_ms = 3'600'000;
  double jitter = 0;     // a share of the delay, by which it is longer or shorter
  bool of_steps = true;  // those of workflows too; StackStorm's are not
  bool operator==(const RetryRule&) const = default;
};

// How much and how often an action runs, or all actions of a pack.
struct PolicySpec {
  std::string ref;  // pack.name
  std::string description;
  std::string action;  // ref; or
  std::string pack;    // ref
  bool enabled = true;
  std::optional<ConcurrencyLimit> concurrency;
  std::optional<RateLimit> rate;
  std::optional<QuotaLimit> quota;
  std::optional<RetryRule> retry;
  bool operator==(const PolicySpec&) const = default;
};

}  // namespace millrace
