// SPDX-License-Identifier: Apache-2.0
// How one server of a store gets a slot of another one's worker. The worker's slots are its home's,
// the server that has its session; what waits is decided by the owner of its shard, who asks.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/work.h"

namespace millrace::kernel {

// One slot, lent for one run of what it was asked for.
struct Permit {
  int64_t home = 0;    // epoch of the server that lends it
  int64_t number = 0;  // of its home's
  WorkerId worker;
  std::string needs;

  bool operator==(const Permit&) const = default;
};

// What waits for a slot and has none.
struct Lack {
  std::string needs;        // as model/labels.h joins them
  bool is_offered = false;  // by a worker of the server's own, which is busy

  bool operator==(const Lack&) const = default;
};

// Answered when one of them can be had, at the latest after so long, then with none.
struct PermitAsk {
  int64_t asker = 0;  // epoch; its next one takes the place of this one
  std::vector<Lack> lacks;
  int64_t wait_ms = 0;
};

// How the change feed tells a home that a run has been given one of its slots: the detail of an
// entry of its worker. The order itself is made from the execution's row.
struct PermitUse {
  RunKey run;
  int64_t home = 0;
  int64_t number = 0;

  bool operator==(const PermitUse&) const = default;
};
std::string to_text(const PermitUse& use);
std::optional<PermitUse> parse_permit_use(std::string_view text);

}  // namespace millrace::kernel
