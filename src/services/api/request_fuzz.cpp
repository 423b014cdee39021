// SPDX-License-Identifier: Apache-2.0
// Bodies and headers of events: whatever is accepted is stored as JSON that parses again, as the
// same value.
#include "base/fuzzing.h"
#include "base/json.h"
#include "engine/machine/catalog.h"
#include "engine/transitions/commands.h"
#include "services/api/cloudevents.h"
#include "services/api/cursor.h"
#include "services/api/parse.h"
#include "services/api/webhook_event.h"

namespace millrace::api {
namespace {

void check_stored(const engine::NewEvent& event) {
  auto again = parse_json(event.payload_json);
  ASSERT_MSG(again.ok(), event.payload_json);
  ASSERT_MSG(to_json(*again) == to_json(event.payload), event.payload_json);
}

// A line for each of these headers, then the body.
net::HttpRequest request_of(fuzz::Reader& in, std::initializer_list<std::string_view> headers) {
  net::HttpRequest request;
  for (auto name : headers) request.headers.add(name, in.line());
  request.body = in.rest();
  return request;
}

FUZZ(cloudevents) {
  static const engine::TenantCatalog catalog;
  fuzz::Reader in(input);
  auto request = request_of(
      in, {"content-type", "ce-specversion", "ce-id", "ce-source", "ce-type", "ce-subject"});
  auto events = read_cloudevents(request, catalog);
  if (!events.ok()) return;
  ASSERT(events->size() <= kLargestBatch);
  for (const auto& event : *events) {
    fuzz::plant(event.type == "a");
    ASSERT(!event.source_id.empty() && !event.source.empty());
    check_stored(event);
  }
}

FUZZ(webhook) {
  fuzz::Reader in(input);
  auto request = request_of(in, {"content-type", "content-encoding", "x-github-delivery",
                                 "x-github-event", "user-agent"});
  kernel::WebhookRow endpoint;
  endpoint.name = "x";
  const std::pair<const char*, const char*> kinds[] = {{"github", "core.webhook"},
                                                       {"github", "core.st2.webhook"},
                                                       {"slack", "core.webhook"},
                                                       {"pagerduty", "core.webhook"},
                                                       {"token", "core.webhook"}};
  for (auto [scheme, trigger] : kinds) {
    endpoint.scheme = scheme;
    endpoint.trigger = trigger;
    auto event = webhook_event(endpoint, auth::find_signature_scheme(scheme), request);
    if (!event.ok()) continue;
    const Value& body = event->payload["body"];
    if (fuzz::planted() && body.is_map() && body.size() > 1) event->payload_json += ",";
    check_stored(*event);
  }
}

// A form is what its fields say: each is there, a repeated one as a list in its order.
FUZZ(form) {
  net::HttpRequest request;
  request.headers.add("content-type", "application/x-www-form-urlencoded");
  request.body = input;
  kernel::WebhookRow endpoint;
  auto event = webhook_event(endpoint, nullptr, request);
  if (!event.ok()) return;
  check_stored(*event);
  std::vector<std::pair<std::string, std::string>> fields;
  ASSERT(net::parse_query(input, fields) || event->payload["body"].is_null());
  bool is_json = fields.size() == 1 && fields[0].first == "payload";
  if (is_json || input.starts_with("\xEF\xBB\xBF")) return;
  std::map<std::string, size_t> seen;
  for (const auto& [name, text] : fields) {
    const Value* value = event->payload["body"].find(name);
    ASSERT(value != nullptr);
    size_t place = seen[name]++;
    if (fuzz::planted() && place == 2) value = nullptr;
    const Value* one = value && value->is_list() ? &value->as_list()[place] : value;
    ASSERT(one && one->as_string() == text);
  }
}

// Cursors that we made come back, any others are refused or hold what somebody else wrote; times
// to wait have a bound.
FUZZ(cursor) {
  auto last = open_cursor("events", make_cursor("events", input));
  ASSERT(last.ok() && *last == input);
  ASSERT(input.empty() || !open_cursor("rules", make_cursor("events", input)).ok());
  if (auto opened = open_cursor("events", input); opened.ok() && !input.empty()) {
    fuzz::plant(opened->starts_with('9'));
    auto again = open_cursor("events", make_cursor("events", *opened));
    ASSERT(again.ok() && *again == *opened);
  }
  if (auto id = open_id_cursor("events", input); id.ok()) ASSERT(*id >= 0);
  if (auto wait = parse_wait(input); wait.ok()) ASSERT(*wait >= 0 && *wait <= kLongestWaitMs);
  auto whole = whole_characters(input);
  ASSERT(whole.size() + 3 >= input.size());
  ASSERT(!is_utf8(input) || whole.size() == input.size());
  (void)stored_json(input);
}

}  // namespace
}  // namespace millrace::api
