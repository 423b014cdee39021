// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/machine/catalog.h"
#include "kernel/rows.h"

namespace millrace::api {

// The timers of a tenant: rules with the same trigger and parameters share one.
struct TimerUse {
  std::string schedule;            // RuleEntry::schedule
  const RuleSpec* spec = nullptr;  // of one of its rules
  std::vector<std::string> rules;
  bool is_enabled = false;  // one of them is
};
std::vector<TimerUse> timers_of(const engine::TenantCatalog& catalog, TenantId tenant);

// What it is called in paths and tables: ten hex digits, the same on every server.
std::string timer_name(std::string_view schedule);

// When it fires, in words: `every 5 minutes`, `0 3 * * * Europe/Berlin`.
std::string timer_words(const RuleSpec& spec);

inline constexpr size_t kNextFires = 5;
// Its next firings, RFC 3339; none of what is no timer. `due`: of its row, if there is one.
std::vector<std::string> next_fires_of(const RuleSpec& spec, int64_t now_ms,
                                       std::optional<int64_t> due = {});

}  // namespace millrace::api
