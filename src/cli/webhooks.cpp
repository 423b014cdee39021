// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "base/text.h"
#include "cli/report.h"
#include "cli/tables.h"
#include "cli/values.h"
#include "net/http.h"

namespace millrace::cli {
namespace {

const std::string kEndpointRoute = "/api/v1/webhook-endpoints";

constexpr Column kEndpointColumns[] = {
    {"NAME", "name"}, {"SCHEME", "scheme"}, {"TRIGGER", "trigger"},
    {"PATH", "path"}, {"RULES", "rules"},   {"CREATED", "created", Look::Time},
};

// A name may have slashes, which are no part's own.
std::string path_of_endpoint(std::string_view name) {
  std::string path = kEndpointRoute;
  for (auto part : split(name, '/')) {
    if (!part.empty()) path += "/" + net::percent_encode(part);
  }
  return path;
}

// What the options say of it.
Result<void> add_options(const Invocation& in, Value& body) {
  if (in.has("--scheme")) body.set("scheme", in.get("--scheme"));
  if (in.has("--trigger")) body.set("trigger", in.get("--trigger"));
  if (in.has("--public-url")) body.set("url", in.get("--public-url"));
  for (const auto& file : in.all("--secret-file")) {
    TRY(auto secret, read_line_text(file));
    Value secrets = body["secrets"];
    secrets.push_back(trim(secret));
    body.set("secrets", std::move(secrets));
  }
  return {};
}

Result<int> print_endpoint(Context& context, const Value& endpoint) {
  if (!context.is_table()) {
    context.print_object(endpoint);
    return kOk;
  }
  auto url = endpoint.string_or("url", "");
  context.print(fmt::format("webhook '{}': deliver to {}\n", endpoint.string_or("name", ""),
                            url.empty() ? endpoint.string_or("path", "") : url));
  return kOk;
}

Result<int> create_endpoint(Context& context) {
  Value body = Value::map({{"name", context.in.get("NAME")}});
  TRY(add_options(context.in, body));
  TRY(auto endpoint,
      context.session.send({.path = kEndpointRoute, .body = std::move(body), .takes_key = true}));
  return print_endpoint(context, endpoint);
}

Result<int> update_endpoint(Context& context) {
  auto path = path_of_endpoint(context.in.get("NAME"));
  TRY(auto now, context.session.get(path));
  Value body = Value::map({{"scheme", now["scheme"]}, {"trigger", now["trigger"]}});
  if (now["url"].is_string()) body.set("url", now["url"]);
  TRY(add_options(context.in, body));
  TRY(auto endpoint,
      context.session.send(
          {.method = "PUT", .path = path, .body = std::move(body), .takes_key = true}));
  return print_endpoint(context, endpoint);
}

Result<int> show_endpoint(Context& context) {
  TRY(auto endpoint, context.session.get(path_of_endpoint(context.in.get("NAME"))));
  context.print_object(endpoint);
  return kOk;
}

Result<int> delete_endpoint(Context& context) {
  const auto& name = context.in.get("NAME");
  TRY(context.session.send({.method = "DELETE", .path = path_of_endpoint(name)}));
  if (context.is_table()) context.print(fmt::format("'{}' is gone\n", name));
  return kOk;
}

std::vector<Option> endpoint_options(bool is_new) {
  return {{.name = "--scheme",
           .value = "SCHEME",
           .help = "How deliveries are signed; token: not at all",
           .choices = {"github", "gitea", "forgejo", "gitlab", "gitlab-signed", "bitbucket",
                       "standard", "slack", "stripe", "pagerduty", "twilio", "shopify", "token"},
           .required = is_new},
          {.name = "--secret-file",
           .value = "FILE",
           .help = "Holds the secret; - is stdin; twice while the sender changes over",
           .repeats = true},
          {"--trigger", "REF", "The trigger that it fires (core.webhook)"},
          {"--public-url", "URL", "Where the sender calls it, behind a proxy: twilio signs it"}};
}

}  // namespace

CommandTable webhook_commands() {
  return {
      {.path = "webhook create",
       .help = "Create a webhook endpoint",
       .arguments = {{"NAME", "Ends its address; may have slashes"}},
       .options = endpoint_options(true),
       .remote = create_endpoint},
      {.path = "webhook update",
       .help = "Change a webhook endpoint: what is not given stays",
       .arguments = {{"NAME", ""}},
       .options = endpoint_options(false),
       .remote = update_endpoint},
      list_command({.path = "webhook list",
                    .help = "List webhook endpoints",
                    .route = kEndpointRoute,
                    .columns = kEndpointColumns,
                    .topic = "webhook",
                    .has_pages = false}),
      {.path = "webhook show",
       .help = "Show a webhook endpoint",
       .arguments = {{"NAME", ""}},
       .remote = show_endpoint},
      {.path = "webhook delete",
       .help = "Delete a webhook endpoint",
       .arguments = {{"NAME", ""}},
       .remote = delete_endpoint},
  };
}

}  // namespace millrace::cli
