// SPDX-License-Identifier: Apache-2.0
#include "engine/cluster/spread.h"

#include <algorithm>
#include <vector>

namespace millrace::engine {

namespace {

struct Share {
  int node = 0;
  size_t has = 0;
  size_t quota = 0;
};

// What is left over of an even division goes to those that have most: nothing moves for it.
std::vector<Share> shares_of(std::span<const int> executors, const Owners& now) {
  std::vector<Share> shares;
  for (int node : executors) {
    shares.push_back({node, static_cast<size_t>(std::ranges::count(now, node)), 0});
  }
  std::ranges::sort(shares, [](const Share& a, const Share& b) {
    return a.has != b.has ? a.has > b.has : a.node < b.node;
  });
  size_t each = now.size() / shares.size();
  size_t left_over = now.size() % shares.size();
  for (size_t i = 0; i < shares.size(); ++i) shares[i].quota = each + (i < left_over ? 1 : 0);
  std::ranges::sort(shares, {}, &Share::node);
  return shares;
}

}  // namespace

Owners spread(std::span<const int> executors, const Owners& now) {
  Owners target;
  target.fill(kernel::kNobody);
  if (executors.empty()) return target;
  auto shares = shares_of(executors, now);
  for (size_t shard = 0; shard < now.size(); ++shard) {
    auto share = std::ranges::find(shares, now[shard], &Share::node);
    if (share == shares.end() || share->quota == 0) continue;
    target[shard] = share->node;
    --share->quota;
  }
  auto share = shares.begin();
  for (int& owner : target) {
    if (owner != kernel::kNobody) continue;
    while (share->quota == 0) ++share;
    owner = share->node;
    --share->quota;
  }
  return target;
}

}  // namespace millrace::engine
