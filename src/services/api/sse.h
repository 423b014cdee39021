// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "services/api/shared.h"

namespace millrace::api {

// Counts the open event streams; one over the limit is refused.
class StreamSlot {
 public:
  // Errors: Busy, API-0030.
  static Result<StreamSlot> take(Shared& shared);
  StreamSlot(StreamSlot&& other) noexcept : shared_(std::exchange(other.shared_, nullptr)) {}
  StreamSlot& operator=(StreamSlot&& other) noexcept {
    std::swap(shared_, other.shared_);
    return *this;
  }
  ~StreamSlot() {
    if (shared_) --shared_->open_streams;
  }

 private:
  explicit StreamSlot(Shared& shared) : shared_(&shared) { ++shared.open_streams; }
  Shared* shared_;
};

// A response that holds a slot and runs `stream`. The function must not be a coroutine lambda
// with captures: it calls a coroutine with its captures as arguments.
Response event_stream(Shared& shared, net::BodyStream stream);

// A comment that keeps proxies and clients from giving up on a silent stream.
inline constexpr std::string_view kKeepAlive = ": still here\n\n";

}  // namespace millrace::api
