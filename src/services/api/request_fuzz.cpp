// SPDX-License-Identifier: Apache-2.0
// Bodies and headers of events: whatever is accepted must be stored JSON that parses again.
#include <cstdlib>
#include <string>

#include "base/json.h"
#include "engine/machine/catalog.h"
#include "engine/transitions/commands.h"
#include "services/api/cloudevents.h"
#include "services/api/cursor.h"
#include "services/api/parse.h"
#include "services/api/webhook_event.h"

using namespace millrace;
using namespace millrace::api;

namespace {

void check_stored(const engine::NewEvent& event) {
  auto again = parse_json(event.payload_json);
  if (!again.ok()) abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const engine::TenantCatalog catalog;
  if (size < 2) return 0;
  constexpr std::string_view kTypes[] = {"application/cloudevents+json",
                                         "application/cloudevents-batch+json",
                                         "application/json",
                                         "application/x-www-form-urlencoded",
                                         "text/plain",
                                         ""};
  std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  net::HttpRequest request;
  request.headers.add("content-type", kTypes[data[0] % std::size(kTypes)]);
  auto cut = input.find('\n');
  request.headers.add("ce-specversion", "1.0");
  for (auto name : {"ce-id", "ce-source", "ce-type", "x-github-delivery"}) {
    request.headers.add(name, input.substr(0, cut));
  }
  if (cut != std::string_view::npos) request.body = input.substr(cut + 1);

  if (auto events = read_cloudevents(request, catalog); events.ok()) {
    for (const auto& event : *events) check_stored(event);
  }
  kernel::WebhookRow endpoint;
  endpoint.name = "x";
  for (const char* scheme : {"github", "slack", "token"}) {
    endpoint.scheme = scheme;
    auto event = webhook_event(endpoint, auth::find_signature_scheme(scheme), request);
    if (event.ok()) check_stored(*event);
  }
  if (auto last = open_cursor("events", input); last.ok()) {
    if (make_cursor("events", *last).empty()) abort();
  }
  if (auto wait = parse_wait(input); wait.ok() && *wait > kLongestWaitMs) abort();
  return 0;
}
