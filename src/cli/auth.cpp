// SPDX-License-Identifier: Apache-2.0
#include "cli/report.h"
#include "cli/tables.h"
#include "cli/values.h"

namespace millrace::cli {
namespace {

const std::string kTokenRoute = "/api/v1/tokens";

constexpr Column kTokenColumns[] = {
    {"ID", "id"},
    {"IDENTITY", "identity"},
    {"PERMISSIONS", "permissions"},
    {"CREATED", "created", Look::Time},
    {"EXPIRES", "expires", Look::Time},
};

Result<int> whoami(Context& context) {
  TRY(auto identity, context.session.get("/api/v1/identity"));
  context.print_object(identity);
  return kOk;
}

// In a table only the token, so that it can be redirected into a file.
Result<int> create_token(Context& context) {
  const auto& in = context.in;
  Value permissions = Value::list();
  for (const auto& permission : in.all("--permission")) permissions.push_back(permission);
  Value body = Value::map({{"identity", in.get("IDENTITY")}, {"permissions", permissions}});
  Value roles = Value::list();
  for (const auto& role : in.all("--role")) roles.push_back(role);
  if (roles.size() > 0) body.set("roles", std::move(roles));
  if (in.has("--ttl")) {
    TRY(auto seconds, parse_seconds("--ttl", in.get("--ttl")));
    body.set("ttl_s", seconds);
  }
  TRY(auto token, context.session.send({.path = kTokenRoute, .body = std::move(body)}));
  context.print(context.is_table() ? std::string(token.string_or("token", "")) + "\n"
                                   : context.style.object(token));
  return kOk;
}

}  // namespace

CommandTable auth_commands() {
  return {
      {.path = "auth whoami", .help = "Show who the token belongs to", .remote = whoami},
      {.path = "auth token create",
       .help = "Make a token and print it; it is not shown again",
       .arguments = {{"IDENTITY", "Who is to use it"}},
       .options = {{.name = "--permission",
                    .value = "NAME",
                    .help = "rules:read, rules:*, *; may be given several times",
                    .repeats = true,
                    .required = true},
                   {.name = "--role",
                    .value = "NAME",
                    .help = "May answer inquiries that are put to this role; several times",
                    .repeats = true},
                   {"--ttl", "TIME", "It expires after this time: 12h, 30d"}},
       .remote = create_token},
      list_command({.path = "auth token list",
                    .help = "List tokens",
                    .route = kTokenRoute,
                    .columns = kTokenColumns,
                    .topic = "token",
                    .has_pages = false}),
      delete_command("auth token revoke", "Revoke a token at once", kTokenRoute, "ID"),
  };
}

}  // namespace millrace::cli
