// SPDX-License-Identifier: Apache-2.0
// What senders deliver to webhook endpoints.
#include <fmt/format.h>

#include "base/json.h"
#include "base/text.h"
#include "engine/machine/catalog.h"
#include "engine/transitions/commands.h"
#include "kernel/event_source.h"
#include "rules/schedule.h"
#include "rules/webhook.h"
#include "services/api/admission.h"
#include "services/api/call.h"
#include "services/api/event_view.h"
#include "services/api/routes.h"
#include "services/api/shared.h"
#include "services/api/trigger_event.h"
#include "services/api/webhook_event.h"

namespace millrace::api {
namespace {

using auth::Permission;
using kernel::WebhookRow;

constexpr TenantId kOpenTenant = kDefaultTenant;  // whose deliveries need no tenant in their path

// Whoever delivers has shown no credential that counts here: no hint at names that exist.
Error nothing_here(std::string_view name) {
  return Error(ErrorKind::NotFound, "WHK-0101", fmt::format("no webhook endpoint '{}'", name));
}

// StackStorm's senders may give their credential so. A log of URLs would be a list of credentials.
Result<void> check_url(const Call& call) {
  for (const auto& [name, value] : call.http.query) {
    bool is_secret = iequals_ascii(name, "st2-api-key") || iequals_ascii(name, "x-auth-token");
    if (!is_secret) continue;
    return Error(
        ErrorKind::Unauthorized, "WHK-0105",
        fmt::format("a secret in the URL ('{}') is not taken, and is known to every log on "
                    "its way: revoke it, and send another one in a header",
                    name));
  }
  return {};
}

// An API token, in the header of ours or in one of StackStorm's.
Result<std::string_view> sender_token(const Call& call) {
  if (call.http.headers.find("authorization").empty()) {
    for (std::string_view name : {"x-auth-token", "st2-api-key"}) {
      if (auto token = trim(call.http.headers.find(name)); !token.empty()) return token;
    }
  }
  return bearer_token(call);
}

auth::HeaderLookup header_of(Call& call) {
  return [&call](std::string_view name) { return call.http.headers.find(name); };
}

// Who has no signature: a token that may send events.
Result<void> check_token(Call& call) {
  TRY(auto token, sender_token(call));
  TRY(call.who, call.api.tokens.find(token, call.api.now_ms()));
  return require(call, Permission::EventsSend);
}

// Who delivers: a signature over the raw body, or a token. Nothing is stored before this holds.
Result<void> check_sender(Call& call, const WebhookRow& endpoint,
                          const auth::SignatureScheme* scheme) {
  if (!scheme) {
    TRY(check_token(call));
    if (call.who.tenant != endpoint.tenant) return nothing_here(endpoint.name);
    return check_may_send(call, endpoint.trigger);
  }
  TRY(const auto* secrets, call.api.webhook_secrets.of(endpoint));
  TRY(auth::verify_signature(*scheme, header_of(call), call.http.body, *secrets, call.api.now_ms(),
                             signed_url(endpoint, call.http)));
  call.who.tenant = endpoint.tenant;
  call.who.identity = kernel::own_source(kernel::SourceKind::Webhook, endpoint.name);
  return {};
}

// What the head says of a delivery: its endpoint is there, and it carries what its body is checked
// against. A token is a right by itself; what is signed is known when the body is there.
Result<bool> check_head(Call& call, TenantId tenant, std::string_view name) {
  TRY(check_url(call));
  auto catalog = call.api.engine.catalog(tenant);
  const auto* endpoint = catalog->find_endpoint(rules::webhook_name(name));
  if (!endpoint && rules::webhook_name(name) == rules::kAnyTriggersWebhook) {
    TRY(check_token(call));
    return true;
  }
  if (!endpoint) return nothing_here(name);
  const auto* scheme = auth::find_signature_scheme(endpoint->scheme);
  if (scheme && scheme->signs_body()) {
    TRY(auth::check_signed_head(*scheme, header_of(call), call.api.now_ms()));
    return false;
  }
  TRY(check_sender(call, *endpoint, scheme));
  return true;
}

Result<bool> check_webhook_head(Call& call) { return check_head(call, kOpenTenant, call.param()); }

Result<bool> check_tenant_webhook_head(Call& call) {
  TRY(auto tenant, call.id<TenantId>());
  return check_head(call, tenant, call.param(1));
}

// Slack asks once whether the address is ours, before it sends events.
std::optional<std::string> slack_challenge(const WebhookRow& endpoint, const Value& body) {
  if (endpoint.scheme != "slack" || body.string_or("type", "") != "url_verification") return {};
  return std::string(body.string_or("challenge", ""));
}

Task<Response> ingest(Call& call, engine::NewEvent event) {
  Value payload = event.payload;  // freed here, after the answer, where it was allocated
  auto command = [&](auto reply) {
    call.api.engine.submit(
        engine::command::ingest(call.caller(), std::move(event), std::move(reply)));
  };
  CO_TRY(auto accepted, co_await ask<engine::Ingested>(command));
  co_return net::HttpResponse::json(
      202, fmt::format(R"({{"data":{{"event":"{}","duplicate":{}}}}})", accepted.event.value,
                       accepted.duplicate));
}

Result<engine::NewEvent> named_event(const Call& call) {
  TRY(Value body, parsed_body(call));
  if (!body.is_map() || !body["trigger"].is_string()) {
    return Error(ErrorKind::Invalid, "API-0060",
                 R"(expected {"trigger": "pack.name", "payload": {...}})");
  }
  std::string ref(body["trigger"].as_string());
  auto catalog = call.api.engine.catalog(call.who.tenant);
  const auto* trigger = catalog->find_trigger(ref);
  if (!trigger) {
    return Error(ErrorKind::Invalid, "EVT-0001",
                 fmt::format("unknown trigger '{}'{}", ref, catalog->suggest_trigger(ref)));
  }
  TRY(check_may_send(call, ref));
  if (auto instead = rules::fired_by_server(ref); !instead.empty()) {
    return Error(ErrorKind::Invalid, "EVT-0003",
                 fmt::format("'{}' is fired by the server alone: {}", ref, instead));
  }
  engine::NewEvent event{.trigger = ref, .source = "st2", .type = ref};
  event.payload = body["payload"].is_null() ? Value::map() : body["payload"];
  TRY(check_fired(*trigger, &event.payload, Value()));
  event.payload_json = to_json(event.payload);
  return event;
}

Task<Response> fire_trigger(Call& call) {
  CO_TRY(check_token(call));
  engine::NewEvent event;
  auto read = [&]() -> Result<void> {
    TRY(event, named_event(call));
    return {};
  };
  bool is_long = call.http.body.size() > Readers::kLongBody;
  CO_TRY(is_long ? co_await call.api.readers.parse(read) : read());
  co_return co_await ingest(call, std::move(event));
}

Task<Response> deliver(Call& call, TenantId tenant, std::string_view name) {
  CO_TRY(check_url(call));
  auto catalog = call.api.engine.catalog(tenant);
  const auto* endpoint = catalog->find_endpoint(rules::webhook_name(name));
  if (!endpoint && rules::webhook_name(name) == rules::kAnyTriggersWebhook) {
    co_return co_await fire_trigger(call);
  }
  if (!endpoint) co_return nothing_here(name);
  const auto* scheme = auth::find_signature_scheme(endpoint->scheme);
  CO_TRY(check_sender(call, *endpoint, scheme));
  engine::NewEvent event;
  auto read = [&]() -> Result<void> {
    TRY(event, webhook_event(*endpoint, scheme, call.http));
    return {};
  };
  bool is_long = call.http.body.size() > Readers::kLongBody;
  CO_TRY(is_long ? co_await call.api.readers.parse(read) : read());
  if (auto challenge = slack_challenge(*endpoint, event.payload["body"])) {
    co_return net::HttpResponse::text(200, *std::move(challenge));
  }
  co_return co_await ingest(call, std::move(event));
}

Task<Response> deliver_webhook(Call& call) { return deliver(call, kOpenTenant, call.param()); }

Task<Response> deliver_tenant_webhook(Call& call) {
  CO_TRY(auto tenant, call.id<TenantId>());
  co_return co_await deliver(call, tenant, call.param(1));
}

Route delivery_route(std::string_view name, std::string_view pattern, Handler handler,
                     HeadCheck head_check, std::string_view summary, size_t max_body) {
  return {.name = name,
          .method = "POST",
          .pattern = pattern,
          .access = Access::signature(),
          .handler = handler,
          .head_check = head_check,
          .summary = summary,
          .body_form = BodyForm::Raw,
          .answer = &AcceptedView::fields(),
          .status = 202,
          .max_body = max_body,
          .takes_rest = true};
}

}  // namespace

std::vector<Route> delivery_routes(const ApiOptions& options) {
  size_t most = options.webhook_body_limit;
  return {
      delivery_route(
          "deliver_webhook", "/api/v1/webhooks/{name}", deliver_webhook, check_webhook_head,
          "A delivery. Durable before the 202; the same one twice gives the same event.", most),
      delivery_route("deliver_tenant_webhook", "/api/v1/tenants/{tenant}/webhooks/{name}",
                     deliver_tenant_webhook, check_tenant_webhook_head,
                     "A delivery to a tenant, by its id.", most),
      delivery_route("deliver_stackstorm_webhook", "/v1/webhooks/{name}", deliver_webhook,
                     check_webhook_head, "The same, where senders of StackStorm deliver.", most),
  };
}

}  // namespace millrace::api
