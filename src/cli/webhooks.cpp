// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "base/text.h"
#include "cli/report.h"
#include "cli/tables.h"
#include "cli/values.h"

namespace millrace::cli {
namespace {

const std::string kEndpointRoute = "/api/v1/webhook-endpoints";

constexpr Column kEndpointColumns[] = {
    {"NAME", "name"},
    {"SCHEME", "scheme"},
    {"TRIGGER", "trigger"},
    {"PATH", "path"},
    {"CREATED", "created", Look::Time},
};

Result<int> create_endpoint(Context& context) {
  const auto& in = context.in;
  Value body = Value::map({{"name", in.get("NAME")}, {"scheme", in.get("--scheme")}});
  if (in.has("--trigger")) body.set("trigger", in.get("--trigger"));
  for (const auto& file : in.all("--secret-file")) {
    TRY(auto secret, read_line_text(file));
    Value secrets = body["secrets"];
    secrets.push_back(trim(secret));
    body.set("secrets", std::move(secrets));
  }
  TRY(auto endpoint,
      context.session.send({.path = kEndpointRoute, .body = std::move(body), .takes_key = true}));
  if (!context.is_table()) {
    context.print_object(endpoint);
    return kOk;
  }
  context.print(fmt::format("webhook '{}': deliver to {}\n", endpoint.string_or("name", ""),
                            endpoint.string_or("path", "")));
  return kOk;
}

}  // namespace

CommandTable webhook_commands() {
  return {
      {.path = "webhook create",
       .help = "Create a webhook endpoint",
       .arguments = {{"NAME", "Part of its address"}},
       .options = {{.name = "--scheme",
                    .value = "SCHEME",
                    .help = "How deliveries are signed; token: not at all",
                    .choices = {"github", "gitea", "forgejo", "gitlab", "gitlab-signed", "standard",
                                "slack", "stripe", "token"},
                    .required = true},
                   {.name = "--secret-file",
                    .value = "FILE",
                    .help = "Holds the secret; - is stdin; twice while the sender changes over",
                    .repeats = true},
                   {"--trigger", "REF", "The trigger that it fires (core.webhook)"}},
       .remote = create_endpoint},
      list_command({.path = "webhook list",
                    .help = "List webhook endpoints",
                    .route = kEndpointRoute,
                    .columns = kEndpointColumns,
                    .topic = "webhook",
                    .has_pages = false}),
      delete_command("webhook delete", "Delete a webhook endpoint", kEndpointRoute, "NAME"),
  };
}

}  // namespace millrace::cli
