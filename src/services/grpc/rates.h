// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/hash.h"
#include "base/result.h"
#include "policy/gcra.h"

namespace millrace::rpc {

// How often each client may call. Knows the last 100,000 of them. Thread-safe.
class Rates {
 public:
  explicit Rates(policy::Rate rate, size_t most = 100'000) : rate_(rate), most_(most) {}
  // Errors: Busy, RPC-0006, with when to come back.
  Result<void> take(std::string_view client, int64_t now_ms);
  size_t known() const;

 private:
  struct Entry {
    std::string client;
    policy::Gcra bucket;
  };
  const policy::Rate rate_;
  const size_t most_;
  mutable std::mutex mutex_;
  std::list<Entry> entries_;  // the last one that called first
  std::unordered_map<std::string_view, std::list<Entry>::iterator, StringHash, std::equal_to<>>
      by_client_;  // the keys are the entries' own
};

}  // namespace millrace::rpc
