// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kernel/rows.h"

namespace millrace::kernel {

// What a limit counts, and for which values of its parameters: "ops.one/c" or "ops.one/c/DIGEST".
// It is of the policy's ref, not of its content: a pack that is loaded anew goes on counting.
inline constexpr char kConcurrencyGauge = 'c';
inline constexpr char kRateGauge = 'r';
inline constexpr char kQuotaGauge = 'q';
std::string gauge_name(std::string_view policy, char what, std::string_view digest);
// The names of a policy's gauges lie from the first of these up to the second.
std::pair<std::string, std::string> gauges_of(std::string_view policy);

// Where an execution is counted, as ExecutionRow::limits has it.
struct Counted {
  enum class How : uint8_t {
    Nowhere,
    Waits,  // for room at one gauge
    Holds,  // has been let in; its places at gauges of concurrency
  };
  How how = How::Nowhere;
  std::vector<std::string> gauges;
  // It had been let in before its workflow was paused: rates and quotas have counted its start.
  bool is_paid = false;

  bool holds(std::string_view gauge) const;
};
Counted counted_of(std::string_view limits);
inline constexpr std::string_view kPaid = "p:";  // and it is counted nowhere
std::string waits_at(std::string_view gauge, bool is_paid = false);
std::string holds_at(const std::vector<std::string>& gauges);

}  // namespace millrace::kernel
