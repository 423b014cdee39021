// SPDX-License-Identifier: Apache-2.0
#include "conductor/status.h"

#include <array>

namespace millrace::conductor {
namespace {

constexpr std::array<std::string_view, kStatusCount> kNames = {
    "null",      "requested", "scheduled", "delayed",   "running", "pending",
    "pausing",   "paused",    "resuming",  "succeeded", "failed",  "timeout",
    "abandoned", "retrying",  "canceling", "canceled",
};

}  // namespace

std::string_view to_string(Status status) { return kNames[static_cast<size_t>(status)]; }

std::optional<Status> parse_status(std::string_view text) {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == text) return static_cast<Status>(i);
  }
  return std::nullopt;
}

}  // namespace millrace::conductor
