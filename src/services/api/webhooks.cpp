// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <span>

#include "base/json.h"
#include "base/text.h"
#include "engine/machine/catalog.h"
#include "engine/transitions/commands.h"
#include "kernel/event_source.h"
#include "net/url.h"
#include "rules/schedule.h"
#include "rules/webhook.h"
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
  std::string trigger;
  std::string url;
  std::vector<Secret> secrets;

  static const Fields& fields() {
    static const Field lines[] = {
        field("name", &EndpointInput::name,
              "Ends the path that deliveries go to; may have slashes in it.")
            .length(0, 200),
        field("scheme", &EndpointInput::scheme,
              "github, gitea, forgejo, gitlab, gitlab-signed, bitbucket, standard, slack, stripe, "
              "pagerduty, twilio, shopify; or token: the sender has an API token.")
            .required(),
        field("trigger", &EndpointInput::trigger,
              "The trigger that it fires: core.webhook when none is given, core.st2.webhook where "
              "a rule on that has its url."),
        field("url", &EndpointInput::url,
              "Where the sender calls it, behind a proxy: twilio signs it.")
            .length(0, 2000),
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
  std::optional<std::string> url;
  bool has_secret = false;
  bool of_rules = false;
  std::vector<std::string> rules;
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
        field("url", &V::url, "Where the sender calls it, if that was told."),
        field("has_secret", &V::has_secret, ""),
        field("of_rules", &V::of_rules, "It comes with its rules, and goes with the last of them."),
        field("rules", &V::rules, "The rules on core.st2.webhook that have its url."),
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

EndpointView view_of(const WebhookRow& row, const engine::TenantCatalog& catalog) {
  EndpointView view;
  view.id = row.id;
  view.name = row.name;
  view.scheme = row.scheme;
  view.trigger = row.trigger;
  view.path = path_of(row);
  if (!row.url.empty()) view.url = row.url;
  view.of_rules = !catalog.find_webhook(row.name);
  auto named = catalog.rule_webhooks().find(row.name);
  bool fires_them = row.trigger == rules::kStackstormWebhook;
  if (fires_them && named != catalog.rule_webhooks().end()) {
    view.rules.assign(named->second.rules.begin(), named->second.rules.end());
  }
  view.has_secret = !row.sealed_secrets.empty();
  view.version = row.version;
  view.created = {row.created};
  view.updated = {row.updated};
  return view;
}

Error no_endpoint(const engine::TenantCatalog& catalog, std::string_view name) {
  std::vector<std::string_view> names;
  for (const auto& [known, row] : catalog.webhooks()) names.push_back(known);
  for (const auto& [known, endpoint] : catalog.rule_webhooks()) names.push_back(known);
  return Error(ErrorKind::NotFound, "WHK-0101",
               fmt::format("no webhook endpoint '{}'{}", name, did_you_mean(name, names)));
}

Error of_rules(const engine::TenantCatalog& catalog, std::string_view name) {
  return Error(ErrorKind::Conflict, "WHK-0104",
               fmt::format("webhook endpoint '{}' comes with the rule '{}': it goes when its last "
                           "rule is deleted; create one of this name to sign its deliveries",
                           name, *catalog.rule_webhooks().find(name)->second.rules.begin()));
}

Response list_endpoints(Call& call) {
  TRY(auto query, call.query<PageQuery>());
  auto catalog = call.api.engine.catalog(call.who.tenant);
  std::vector<EndpointView> views;
  for (const auto& [name, row] : catalog->webhooks()) {
    if (row.tenant == call.who.tenant) views.push_back(view_of(row, *catalog));
  }
  for (const auto& [name, endpoint] : catalog->rule_webhooks()) {
    if (!catalog->find_webhook(name)) views.push_back(view_of(endpoint.row, *catalog));
  }
  return page_by_key("webhook-endpoints", std::move(views), query.limit, query.cursor,
                     [](const EndpointView& view) { return view.name; });
}

Response show_endpoint(Call& call) {
  auto catalog = call.api.engine.catalog(call.who.tenant);
  const auto* row = catalog->find_endpoint(rules::webhook_name(call.param()));
  if (!row || row->tenant != call.who.tenant) return no_endpoint(*catalog, call.param());
  return answer_one(view_of(*row, *catalog));
}

// `secrets`: with which it will be, given now or before.
Result<void> check_endpoint(const EndpointInput& input, std::span<const Secret> secrets,
                            const std::string& path) {
  std::vector<Problem> problems;
  if (auto fault = rules::webhook_name_fault(input.name); !fault.empty()) {
    problems.push_back({"/name", std::move(fault)});
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
  if (scheme && scheme->signs_url() && input.url.empty()) {
    problems.push_back({"/url",
                        "missing: the sender signs the address that it calls, such as "
                        "https://hooks.example.com" +
                            path});
  }
  if (!input.url.empty()) {
    auto url = net::parse_url(input.url);
    if (!url.ok()) problems.push_back({"/url", url.error().message()});
    if (input.url.find_first_of("?#") != std::string::npos) {
      problems.push_back({"/url",
                          "expected an address without '?' and '#': what a delivery has "
                          "behind it is added"});
    }
  }
  if (rules::told_by_server(input.trigger)) {  // its rules trust what it says
    problems.push_back(
        {"/trigger", fmt::format("'{}' is fired by the server alone: {}", input.trigger,
                                 rules::fired_by_server(input.trigger))});
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

// What an endpoint of this name fires when nothing else is said.
std::string_view default_trigger(const engine::TenantCatalog& catalog, std::string_view name) {
  return catalog.rule_webhooks().contains(name) ? rules::kStackstormWebhook : kDefaultTrigger;
}

Task<Response> write_endpoint(Call& call, EndpointInput input, const WebhookRow* old, int status) {
  auto catalog = call.api.engine.catalog(call.who.tenant);
  input.name = rules::webhook_name(input.name);
  if (input.trigger.empty()) input.trigger = default_trigger(*catalog, input.name);
  bool keeps = old && input.secrets.empty() && !old->sealed_secrets.empty();
  std::span<const Secret> secrets = input.secrets;
  if (keeps) {
    CO_TRY(const auto* kept, call.api.webhook_secrets.of(*old));
    secrets = *kept;
  }
  auto path = path_of({.tenant = call.who.tenant, .name = input.name});
  CO_TRY(check_endpoint(input, secrets, path));
  engine::WebhookWrite write{input.name, input.scheme, input.trigger, {}, input.url, !old};
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
  catalog = call.api.engine.catalog(call.who.tenant);
  co_return answer_one(view_of(row, *catalog), status);
}

Task<Response> create_endpoint(Call& call) {
  CO_TRY(auto input, call.body<EndpointInput>());
  co_return co_await write_endpoint(call, std::move(input), nullptr, 201);
}

Task<Response> update_endpoint(Call& call) {
  CO_TRY(auto input, call.body<EndpointInput>());
  auto catalog = call.api.engine.catalog(call.who.tenant);
  auto name = rules::webhook_name(call.param());
  const auto* old = catalog->find_webhook(name);
  bool is_of_rules = !old && catalog->rule_webhooks().contains(name);
  if (is_of_rules) co_return of_rules(*catalog, name);
  if (!old || old->tenant != call.who.tenant) co_return no_endpoint(*catalog, name);
  input.name = name;
  co_return co_await write_endpoint(call, std::move(input), old, 200);
}

Task<Response> delete_endpoint(Call& call) {
  auto command = [&](auto reply) {
    call.api.engine.submit(engine::command::delete_webhook(
        call.caller(), std::string(rules::webhook_name(call.param())), std::move(reply)));
  };
  CO_TRY(co_await ask<WebhookRow>(command));
  net::HttpResponse response;
  response.status = 204;
  co_return response;
}

}  // namespace

std::vector<Route> webhook_routes() {
  const auto* endpoint = &EndpointView::fields();
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
       .answer = endpoint,
       .takes_rest = true},
      {.name = "update_webhook_endpoint",
       .method = "PUT",
       .pattern = "/api/v1/webhook-endpoints/{name}",
       .access = Permission::WebhooksWrite,
       .handler = update_endpoint,
       .summary = "Replace a webhook endpoint.",
       .body_form = BodyForm::Json,
       .body = &EndpointInput::fields(),
       .answer = endpoint,
       .takes_key = true,
       .takes_rest = true},
      {.name = "delete_webhook_endpoint",
       .method = "DELETE",
       .pattern = "/api/v1/webhook-endpoints/{name}",
       .access = Permission::WebhooksWrite,
       .handler = delete_endpoint,
       .summary = "Delete a webhook endpoint.",
       .answer_form = AnswerForm::Empty,
       .status = 204,
       .takes_key = true,
       .takes_rest = true},
  };
}

}  // namespace millrace::api
