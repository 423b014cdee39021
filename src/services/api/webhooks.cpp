// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <span>

#include "base/json.h"
#include "base/text.h"
#include "engine/machine/catalog.h"
#include "engine/transitions/commands.h"
#include "kernel/event_source.h"
#include "rules/schedule.h"
#include "services/api/admission.h"
#include "services/api/call.h"
#include "services/api/event_view.h"
#include "services/api/page.h"
#include "services/api/routes.h"
#include "services/api/shared.h"
#include "services/api/webhook_event.h"

namespace millrace::api {
namespace {

using auth::Permission;
using kernel::WebhookRow;

constexpr std::string_view kTokenScheme = "token";
constexpr std::string_view kDefaultTrigger = "core.webhook";
constexpr TenantId kUnnamed = kDefaultTenant;  // whose deliveries need no tenant in their path

struct EndpointInput {
  std::string name;
  std::string scheme;
  std::string trigger{kDefaultTrigger};
  std::vector<Secret> secrets;

  static const Fields& fields() {
    static const Field lines[] = {
        field("name", &EndpointInput::name, "Ends the path that deliveries go to.").length(0, 64),
        field("scheme", &EndpointInput::scheme,
              "github, gitea, forgejo, gitlab, gitlab-signed, standard, slack, stripe; or token: "
              "the sender has an API token.")
            .required(),
        field("trigger", &EndpointInput::trigger, "The trigger that it fires."),
        field(
            "secrets", &EndpointInput::secrets,
            "One, or two while the sender changes over; keys of at least 16 bytes, and a `whsec_` "
            "one decoded. An update without any keeps them.")
            .secret()
            .length(0, 2),
    };
    static const auto table = fields_of<EndpointInput>("WebhookEndpointInput", "", lines);
    return table;
  }
};

struct EndpointView {
  WebhookId id;
  std::string name;
  std::string scheme;
  std::string trigger;
  std::string path;
  bool has_secret = false;
  int64_t version = 0;
  Timestamp created;
  Timestamp updated;

  static const Fields& fields() {
    using V = EndpointView;
    static const Field lines[] = {
        field("id", &V::id, ""),
        field("name", &V::name, ""),
        field("scheme", &V::scheme, "How deliveries are signed."),
        field("trigger", &V::trigger, "The trigger that it fires."),
        field("path", &V::path, "Where deliveries go."),
        field("has_secret", &V::has_secret, ""),
        field("version", &V::version, ""),
        field("created", &V::created, ""),
        field("updated", &V::updated, ""),
    };
    static const auto table = fields_of<V>("WebhookEndpoint", "Where a sender delivers.", lines);
    return table;
  }
};

std::string path_of(const WebhookRow& row) {
  if (row.tenant == kUnnamed) return "/api/v1/webhooks/" + row.name;
  return fmt::format("/api/v1/tenants/{}/webhooks/{}", row.tenant.value, row.name);
}

EndpointView view_of(const WebhookRow& row) {
  EndpointView view;
  view.id = row.id;
  view.name = row.name;
  view.scheme = row.scheme;
  view.trigger = row.trigger;
  view.path = path_of(row);
  view.has_secret = !row.sealed_secrets.empty();
  view.version = row.version;
  view.created = {row.created};
  view.updated = {row.updated};
  return view;
}

Error no_endpoint(const engine::TenantCatalog& catalog, std::string_view name) {
  std::vector<std::string_view> names;
  for (const auto& [known, row] : catalog.webhooks()) names.push_back(known);
  return Error(ErrorKind::NotFound, "WHK-0101",
               fmt::format("no webhook endpoint '{}'{}", name, did_you_mean(name, names)));
}

Response list_endpoints(Call& call) {
  TRY(auto query, call.query<PageQuery>());
  auto catalog = call.api.engine.catalog(call.who.tenant);
  std::vector<EndpointView> views;
  for (const auto& [name, row] : catalog->webhooks()) {
    if (row.tenant == call.who.tenant) views.push_back(view_of(row));
  }
  return page_by_key("webhook-endpoints", std::move(views), query.limit, query.cursor,
                     [](const EndpointView& view) { return view.name; });
}

Response show_endpoint(Call& call) {
  auto catalog = call.api.engine.catalog(call.who.tenant);
  const auto* row = catalog->find_webhook(call.param());
  if (!row || row->tenant != call.who.tenant) return no_endpoint(*catalog, call.param());
  return answer_one(view_of(*row));
}

// `secrets`: with which it will be, given now or before.
Result<void> check_endpoint(const EndpointInput& input, std::span<const Secret> secrets) {
  std::vector<Problem> problems;
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyz0123456789_-";
  if (input.name.empty() || input.name.find_first_not_of(kAllowed) != std::string::npos) {
    problems.push_back({"/name", "expected a name of a-z, 0-9, '_' and '-'"});
  }
  bool signs = input.scheme != kTokenScheme;
  const auto* scheme = auth::find_signature_scheme(input.scheme);
  if (signs && !scheme) {
    std::vector<std::string_view> names{kTokenScheme};
    for (const auto& known : auth::signature_schemes()) names.push_back(known.name);
    problems.push_back(
        {"/scheme", fmt::format("expected one of {}, found '{}'{}", fmt::join(names, ", "),
                                input.scheme, did_you_mean(input.scheme, names))});
  }
  if (rules::is_timer(input.trigger)) {  // rules trust that it is time
    problems.push_back({"/trigger", fmt::format("'{}' is fired by the server alone: a rule on it "
                                                "sets its timer",
                                                input.trigger)});
  }
  if (signs && secrets.empty()) {
    problems.push_back({"/secrets", "missing: this scheme signs with a secret"});
  }
  if (!signs && !input.secrets.empty()) {
    problems.push_back(
        {"/secrets", "the scheme token has no secret: the sender's API token counts"});
  }
  for (size_t i = 0; scheme && i < secrets.size(); ++i) {
    auto weakness = auth::weakness_of(*scheme, secrets[i]);
    if (!weakness.empty()) problems.push_back({fmt::format("/secrets/{}", i), std::move(weakness)});
  }
  if (problems.empty()) return {};
  return Error(ErrorKind::Invalid, "API-0062",
               fmt::format("webhook endpoint '{}': {}", input.name, problems.front().message))
      .with_problems(std::move(problems));
}

Task<Response> write_endpoint(Call& call, EndpointInput input, const WebhookRow* old, int status) {
  bool keeps = old && input.secrets.empty() && !old->sealed_secrets.empty();
  std::span<const Secret> secrets = input.secrets;
  if (keeps) {
    CO_TRY(const auto* kept, call.api.webhook_secrets.of(*old));
    secrets = *kept;
  }
  CO_TRY(check_endpoint(input, secrets));
  engine::WebhookWrite write{input.name, input.scheme, input.trigger, {}, !old};
  if (keeps && input.scheme != kTokenScheme) {
    write.sealed_secrets = old->sealed_secrets;
  } else if (!input.secrets.empty()) {
    write.sealed_secrets = WebhookSecrets::seal(call.api.keys, call.api.options.random,
                                                call.who.tenant, input.name, input.secrets);
  }
  auto command = [&](auto reply) {
    call.api.engine.submit(
        engine::command::write_webhook(call.caller(), std::move(write), std::move(reply)));
  };
  CO_TRY(auto row, co_await ask<WebhookRow>(command));
  co_return answer_one(view_of(row), status);
}

Task<Response> create_endpoint(Call& call) {
  CO_TRY(auto input, call.body<EndpointInput>());
  co_return co_await write_endpoint(call, std::move(input), nullptr, 201);
}

Task<Response> update_endpoint(Call& call) {
  CO_TRY(auto input, call.body<EndpointInput>());
  auto catalog = call.api.engine.catalog(call.who.tenant);
  const auto* old = catalog->find_webhook(call.param());
  if (!old || old->tenant != call.who.tenant) co_return no_endpoint(*catalog, call.param());
  input.name = call.param();
  co_return co_await write_endpoint(call, std::move(input), old, 200);
}

Task<Response> delete_endpoint(Call& call) {
  auto command = [&](auto reply) {
    call.api.engine.submit(engine::command::delete_webhook(call.caller(), std::string(call.param()),
                                                           std::move(reply)));
  };
  CO_TRY(co_await ask<WebhookRow>(command));
  net::HttpResponse response;
  response.status = 204;
  co_return response;
}

// Whoever delivers has shown no credential that counts here: no hint at names that exist.
Error nothing_here(std::string_view name) {
  return Error(ErrorKind::NotFound, "WHK-0101", fmt::format("no webhook endpoint '{}'", name));
}

auth::HeaderLookup header_of(Call& call) {
  return [&call](std::string_view name) { return call.http.headers.find(name); };
}

// Who delivers: a signature over the raw body, or a token. Nothing is stored before this holds.
Result<void> check_sender(Call& call, const WebhookRow& endpoint,
                          const auth::SignatureScheme* scheme) {
  if (!scheme) {
    TRY(call.who, principal_of(call));
    if (call.who.tenant != endpoint.tenant) return nothing_here(endpoint.name);
    TRY(check_may_send(call, endpoint.trigger));
    return require(call, Permission::EventsSend);
  }
  TRY(const auto* secrets, call.api.webhook_secrets.of(endpoint));
  TRY(auth::verify_signature(*scheme, header_of(call), call.http.body, *secrets,
                             call.api.now_ms()));
  call.who.tenant = endpoint.tenant;
  call.who.identity = kernel::own_source(kernel::SourceKind::Webhook, endpoint.name);
  return {};
}

// What the head says of a delivery: its endpoint is there, and it carries what its body is checked
// against. A token is a right by itself; what is signed is known when the body is there.
Result<bool> check_head(Call& call, TenantId tenant, std::string_view name) {
  auto catalog = call.api.engine.catalog(tenant);
  const auto* endpoint = catalog->find_webhook(name);
  if (!endpoint) return nothing_here(name);
  const auto* scheme = auth::find_signature_scheme(endpoint->scheme);
  if (scheme && scheme->signs_body()) {
    TRY(auth::check_signed_head(*scheme, header_of(call), call.api.now_ms()));
    return false;
  }
  TRY(check_sender(call, *endpoint, scheme));
  return true;
}

Result<bool> check_webhook_head(Call& call) { return check_head(call, kUnnamed, call.param()); }

Result<bool> check_tenant_webhook_head(Call& call) {
  TRY(auto tenant, call.id<TenantId>());
  return check_head(call, tenant, call.param(1));
}

// Slack asks once whether the address is ours, before it sends events.
std::optional<std::string> slack_challenge(const WebhookRow& endpoint, const Value& body) {
  if (endpoint.scheme != "slack" || body.string_or("type", "") != "url_verification") return {};
  return std::string(body.string_or("challenge", ""));
}

Task<Response> deliver(Call& call, TenantId tenant, std::string_view name) {
  auto catalog = call.api.engine.catalog(tenant);
  const auto* endpoint = catalog->find_webhook(name);
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

Task<Response> deliver_webhook(Call& call) { return deliver(call, kUnnamed, call.param()); }

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
          .max_body = max_body};
}

}  // namespace

std::vector<Route> webhook_routes(const ApiOptions& options) {
  const auto* endpoint = &EndpointView::fields();
  size_t most = options.webhook_body_limit;
  return {
      {.name = "list_webhook_endpoints",
       .method = "GET",
       .pattern = "/api/v1/webhook-endpoints",
       .access = Permission::WebhooksRead,
       .handler = list_endpoints,
       .summary = "List webhook endpoints by name.",
       .query = &PageQuery::fields(),
       .answer_form = AnswerForm::List,
       .answer = endpoint},
      {.name = "create_webhook_endpoint",
       .method = "POST",
       .pattern = "/api/v1/webhook-endpoints",
       .access = Permission::WebhooksWrite,
       .handler = create_endpoint,
       .summary = "Create a webhook endpoint.",
       .body_form = BodyForm::Json,
       .body = &EndpointInput::fields(),
       .answer = endpoint,
       .status = 201,
       .takes_key = true},
      {.name = "show_webhook_endpoint",
       .method = "GET",
       .pattern = "/api/v1/webhook-endpoints/{name}",
       .access = Permission::WebhooksRead,
       .handler = show_endpoint,
       .summary = "Show a webhook endpoint; its secrets are never shown.",
       .answer = endpoint},
      {.name = "update_webhook_endpoint",
       .method = "PUT",
       .pattern = "/api/v1/webhook-endpoints/{name}",
       .access = Permission::WebhooksWrite,
       .handler = update_endpoint,
       .summary = "Replace a webhook endpoint.",
       .body_form = BodyForm::Json,
       .body = &EndpointInput::fields(),
       .answer = endpoint,
       .takes_key = true},
      {.name = "delete_webhook_endpoint",
       .method = "DELETE",
       .pattern = "/api/v1/webhook-endpoints/{name}",
       .access = Permission::WebhooksWrite,
       .handler = delete_endpoint,
       .summary = "Delete a webhook endpoint.",
       .answer_form = AnswerForm::Empty,
       .status = 204,
       .takes_key = true},
      delivery_route(
          "deliver_webhook", "/api/v1/webhooks/{name}", deliver_webhook, check_webhook_head,
          "A delivery. Durable before the 202; the same one twice gives the same event.", most),
      delivery_route("deliver_tenant_webhook", "/api/v1/tenants/{tenant}/webhooks/{name}",
                     deliver_tenant_webhook, check_tenant_webhook_head,
                     "A delivery to a tenant, by its id.", most),
  };
}

}  // namespace millrace::api
