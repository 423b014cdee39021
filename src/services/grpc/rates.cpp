// SPDX-License-Identifier: Apache-2.0
#include "services/grpc/rates.h"

#include <fmt/format.h>

namespace millrace::rpc {

Result<void> Rates::take(std::string_view client, int64_t now_ms) {
  std::scoped_lock lock(mutex_);
  auto found = by_client_.find(client);
  if (found == by_client_.end()) {
    entries_.push_front({std::string(client), {}});
    by_client_.emplace(entries_.front().client, entries_.begin());
    if (entries_.size() > most_) {
      by_client_.erase(entries_.back().client);
      entries_.pop_back();
    }
  } else {
    entries_.splice(entries_.begin(), entries_, found->second);
  }
  int64_t wait_ms = entries_.front().bucket.take(rate_, now_ms);
  if (wait_ms == 0) return {};
  return Error(ErrorKind::Busy, "RPC-0006",
               fmt::format("more than {} calls in {} ms: come back in {} ms", rate_.limit,
                           rate_.per_ms, wait_ms))
      .with_retry_after(wait_ms);
}

size_t Rates::known() const {
  std::scoped_lock lock(mutex_);
  return entries_.size();
}

}  // namespace millrace::rpc
