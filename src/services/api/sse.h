// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "services/api/call.h"
#include "services/api/shared.h"

namespace millrace::api {

// Counts the open event streams; one over the limit, of all or of one identity, is refused.
class StreamSlot {
 public:
  // Errors: Busy, API-0030.
  static Result<StreamSlot> take(Shared& shared, const auth::Principal& who);
  StreamSlot(StreamSlot&& other) noexcept
      : shared_(std::exchange(other.shared_, nullptr)), owner_(std::move(other.owner_)) {}
  StreamSlot& operator=(StreamSlot&& other) noexcept {
    std::swap(shared_, other.shared_);
    std::swap(owner_, other.owner_);
    return *this;
  }
  ~StreamSlot() {
    if (shared_) shared_->streams.leave(owner_);
  }

 private:
  StreamSlot(Shared& shared, Streams::Owner owner) : shared_(&shared), owner_(std::move(owner)) {
    shared.streams.enter(owner_);
  }
  Shared* shared_;
  Streams::Owner owner_;
};

// A response that holds a slot and runs `stream`. The function must not be a coroutine lambda
// with captures: it calls a coroutine with its captures as arguments.
Response event_stream(Call& call, net::BodyStream stream);

// The last event of a stream whose credential does not hold any more, or that cannot go on:
// {"code", "detail"}.
std::string error_event(const Error& error);

inline bool is_denied(const Error& error) {
  return error.kind() == ErrorKind::Unauthorized || error.kind() == ErrorKind::Forbidden;
}

// A comment that keeps proxies and clients from giving up on a silent stream.
inline constexpr std::string_view kKeepAlive = ": still here\n\n";

}  // namespace millrace::api
