// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kernel/rows.h"

namespace millrace::engine {

using GaugeName = std::pair<TenantId, std::string>;

// A gauge with those who have come first, as a decision sees it.
struct LoadedGauge {
  static constexpr int kFirst = 32;  // of each kind

  kernel::GaugeRow row;  // version 0: there is none
  std::vector<kernel::PlaceRow> holders;
  std::vector<kernel::PlaceRow> waiting;
  bool has_all_holders = true;
  bool has_all_waiting = true;

  // As it is when this is written.
  void put(const kernel::PlaceRow& place);
  // Who may come in next; nullptr: nobody, or somebody who is not loaded.
  const kernel::PlaceRow* first() const { return waiting.empty() ? nullptr : &waiting.front(); }
  // Somebody else waits who comes before it.
  bool somebody_before(ExecutionId id) const;
};

using LoadedGauges = std::map<GaugeName, LoadedGauge>;

// A gauge as Need::key has it, and back.
std::string need_of_gauge(const GaugeName& name);
std::optional<GaugeName> gauge_of_need(std::string_view need);
// Among the turns (Turn::number).
uint64_t number_of(const GaugeName& name);

}  // namespace millrace::engine
