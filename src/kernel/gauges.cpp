// SPDX-License-Identifier: Apache-2.0
#include "kernel/gauges.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"

namespace millrace::kernel {

std::string gauge_name(std::string_view policy, char what, std::string_view digest) {
  return digest.empty() ? fmt::format("{}/{}", policy, what)
                        : fmt::format("{}/{}/{}", policy, what, digest);
}

std::pair<std::string, std::string> gauges_of(std::string_view policy) {
  constexpr char kBehindSlash = '/' + 1;
  return {fmt::format("{}/", policy), fmt::format("{}{}", policy, kBehindSlash)};
}

bool Counted::holds(std::string_view gauge) const {
  return how == How::Holds && std::ranges::find(gauges, gauge) != gauges.end();
}

Counted counted_of(std::string_view limits) {
  if (limits.empty()) return {};
  Counted counted{.how = limits.starts_with("h:") ? Counted::How::Holds : Counted::How::Waits,
                  .gauges = {},
                  .is_paid = limits.starts_with(kPaid)};
  if (limits == kPaid) counted.how = Counted::How::Nowhere;
  limits.remove_prefix(2);
  if (limits.empty()) return counted;
  for (auto name : split(limits, '\n')) counted.gauges.emplace_back(name);
  return counted;
}

std::string waits_at(std::string_view gauge, bool is_paid) {
  return fmt::format("{}{}", is_paid ? kPaid : "w:", gauge);
}

std::string holds_at(const std::vector<std::string>& gauges) {
  return fmt::format("h:{}", fmt::join(gauges, "\n"));
}

}  // namespace millrace::kernel
