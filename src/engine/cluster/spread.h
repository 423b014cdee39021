// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <span>

#include "kernel/servers.h"

namespace millrace::engine {

// A node per shard, or kNobody.
using Owners = std::array<int, kernel::kShards>;

// Who should own which shard: even (counts differ by at most one), with as few moves as that can
// have, the same on every server that knows the same. `executors`: nodes, in rising order; none:
// nobody owns anything. Pure.
Owners spread(std::span<const int> executors, const Owners& now);

}  // namespace millrace::engine
