// SPDX-License-Identifier: Apache-2.0
#include "services/api/sse.h"

#include <fmt/format.h>

namespace millrace::api {

Result<StreamSlot> StreamSlot::take(Shared& shared) {
  if (shared.open_streams < shared.options.max_streams) return StreamSlot(shared);
  return Error(ErrorKind::Busy, "API-0030",
               fmt::format("{} event streams are open already, the limit", shared.open_streams))
      .with_retry_after(5000);
}

Response event_stream(Shared& shared, net::BodyStream stream) {
  TRY(auto slot, StreamSlot::take(shared));
  auto held = std::make_shared<StreamSlot>(std::move(slot));  // a std::function must be copyable
  net::HttpResponse response;
  response.content_type = "text/event-stream";
  response.header("Cache-Control", "no-store");
  response.stream = [held, stream = std::move(stream)](net::BodyWriter& out) {
    return stream(out);
  };
  return response;
}

}  // namespace millrace::api
