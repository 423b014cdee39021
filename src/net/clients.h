// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <map>

#include "net/address.h"

namespace millrace::net {

// Who is connected, by address: nobody takes all places. Holds only who is there. Loop thread only.
// A tree, not a hash table: the keys are chosen by strangers.
class Clients {
 public:
  struct Counts {
    size_t connections = 0;
    size_t requests = 0;  // whose answer is not sent yet
  };
  using Entry = std::map<Address, Counts>::value_type;

  // The entry stays in place until all that was counted in it is taken back.
  Entry& at(const Address& address) { return *counts_.try_emplace(address.client()).first; }
  Counts of(const Address& address) const {
    auto found = counts_.find(address.client());
    return found == counts_.end() ? Counts() : found->second;
  }
  void leave(Entry& entry, size_t Counts::* count) {
    --(entry.second.*count);
    if (entry.second.connections + entry.second.requests == 0) counts_.erase(entry.first);
  }
  size_t size() const { return counts_.size(); }

 private:
  std::map<Address, Counts> counts_;
};

}  // namespace millrace::net
