// SPDX-License-Identifier: Apache-2.0
#include "kernel/servers.h"

#include <algorithm>
#include <ranges>
#include <string_view>

namespace millrace::kernel {

bool ServerRow::has_role(std::string_view role) const {
  return std::ranges::any_of(std::views::split(std::string_view(roles), ','), [&](auto&& word) {
    return std::string_view(word.begin(), word.end()) == role;
  });
}

const ServerRow* Cluster::server(int node) const {
  auto found = std::ranges::find(servers, node, &ServerRow::node);
  return found == servers.end() ? nullptr : &*found;
}

ShardSet Cluster::shards_of(int node) const {
  ShardSet set;
  for (int shard = 0; shard < kShards; ++shard) {
    if (shards[static_cast<size_t>(shard)].owner == node) set.add(shard);
  }
  return set;
}

}  // namespace millrace::kernel
