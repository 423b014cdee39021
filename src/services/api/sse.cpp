// SPDX-License-Identifier: Apache-2.0
#include "services/api/sse.h"

#include <fmt/format.h>

#include "base/json.h"
#include "net/sse.h"

namespace millrace::api {

Result<StreamSlot> StreamSlot::take(Shared& shared, const auth::Principal& who) {
  Streams::Owner owner(who.tenant, who.identity);
  int own = shared.streams.open_of(owner);
  bool has_too_many = own >= shared.options.max_streams_each;
  if (!has_too_many && shared.streams.open() < shared.options.max_streams) {
    return StreamSlot(shared, std::move(owner));
  }
  auto whose = has_too_many ? fmt::format(" of '{}'", who.identity) : std::string();
  return Error(ErrorKind::Busy, "API-0030",
               fmt::format("{} event streams{} are open already, the limit",
                           has_too_many ? own : shared.streams.open(), whose))
      .with_retry_after(5000);
}

Response event_stream(Call& call, net::BodyStream stream) {
  TRY(auto slot, StreamSlot::take(call.api, call.who));
  auto held = std::make_shared<StreamSlot>(std::move(slot));  // a std::function must be copyable
  net::HttpResponse response;
  response.content_type = "text/event-stream";
  response.header("Cache-Control", "no-store");
  response.stream = [held, stream = std::move(stream)](net::BodyWriter& out) {
    return stream(out);
  };
  return response;
}

std::string error_event(const Error& error) {
  std::string data = R"({"code":)";
  append_json_string(data, error.code());
  data += R"(,"detail":)";
  append_json_string(data, error.message());
  std::string event;
  net::append_sse_event(event, {}, "error", data + '}');
  return event;
}

}  // namespace millrace::api
