// SPDX-License-Identifier: Apache-2.0
#include "engine/machine/gauges.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/hash.h"

namespace millrace::engine {

using namespace kernel;

namespace {

constexpr std::string_view kGaugePrefix = "limit:";

bool comes_before(const PlaceRow& a, const PlaceRow& b) {
  return std::tie(a.rank, a.execution) < std::tie(b.rank, b.execution);
}

// Behind the last of a list that is not whole there may be others.
void insert(std::vector<PlaceRow>& places, bool& is_whole, const PlaceRow& place) {
  auto at = std::ranges::upper_bound(places, place, comes_before);
  if (at == places.end() && !is_whole) return;
  places.insert(at, place);
}

}  // namespace

void LoadedGauge::put(const PlaceRow& place) {
  for (auto* places : {&holders, &waiting}) {
    std::erase_if(*places, [&](const auto& one) { return one.execution == place.execution; });
  }
  if (place.gone) return;
  if (place.state == PlaceState::Waits) {
    insert(waiting, has_all_waiting, place);
  } else {
    insert(holders, has_all_holders, place);
  }
}

bool LoadedGauge::somebody_before(ExecutionId id) const {
  if (waiting.empty()) return !has_all_waiting;
  return waiting.front().execution != id;
}

std::string need_of_gauge(const GaugeName& name) {
  return fmt::format("{}{}:{}", kGaugePrefix, name.first.value, name.second);
}

std::optional<GaugeName> gauge_of_need(std::string_view need) {
  if (!need.starts_with(kGaugePrefix)) return std::nullopt;
  need.remove_prefix(kGaugePrefix.size());
  size_t colon = need.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  GaugeName name{{}, std::string(need.substr(colon + 1))};
  std::from_chars(need.data(), need.data() + colon, name.first.value);
  return name;
}

uint64_t number_of(const GaugeName& name) {
  std::string text = fmt::format("limit {} {}", name.first.value, name.second);
  return static_cast<uint64_t>(seeded_hash(text)) | uint64_t{1} << 63;
}

}  // namespace millrace::engine
