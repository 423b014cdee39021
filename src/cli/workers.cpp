// SPDX-License-Identifier: Apache-2.0
// Workers and servers: who runs, and how a worker is let in.
#include "cli/report.h"
#include "cli/tables.h"
#include "cli/values.h"

namespace millrace::cli {
namespace {

constexpr Column kWorkerColumns[] = {
    {"NAME", "name"},       {"SLOTS", "slots"},   {"AGENT", "agent", Look::Flag},
    {"SESSION", "session"}, {"LABELS", "labels"}, {"SINCE", "updated", Look::Time},
};

constexpr Column kServerColumns[] = {
    {"NODE", "node"},
    {"NAME", "name"},
    {"ROLES", "roles"},
    {"VERSION", "version"},
    {"STATE", "state"},
    {"SHARDS", "shards"},
    {"URL", "url"},
    {"SINCE", "since", Look::Time},
    {"LAST SEEN", "seen", Look::Time},
};

// In a table only the token and the pin, in the form that a join file has.
Result<int> worker_token(Context& context) {
  const auto& in = context.in;
  Value body = Value::map();
  if (in.has("--name")) body.set("name", in.get("--name"));
  if (in.has("--ttl")) {
    TRY(auto seconds, parse_seconds("--ttl", in.get("--ttl")));
    body.set("ttl_s", seconds);
  }
  TRY(auto made, context.session.send({.path = "/api/v1/workers/tokens", .body = std::move(body)}));
  if (!context.is_table()) {
    context.print_object(made);
    return kOk;
  }
  context.print(std::string(made.string_or("token", "")) + ' ' +
                std::string(made.string_or("pin", "")) + '\n');
  return kOk;
}

}  // namespace

CommandTable worker_commands() {
  return {
      list_command({.path = "worker list",
                    .help = "List workers by name",
                    .route = "/api/v1/workers",
                    .columns = kWorkerColumns}),
      {.path = "worker token",
       .help = "Make a token with which one worker joins, once, and print it with the pin of the "
               "authority that will sign",
       .options = {{"--name", "NAME", "Only a worker of this name"},
                   {"--ttl", "TIME", "How long it counts; default and most: 1h"}},
       .remote = worker_token},
      list_command({.path = "server list",
                    .help = "List the servers of this store",
                    .route = "/api/v1/servers",
                    .columns = kServerColumns,
                    .has_pages = false}),
  };
}

}  // namespace millrace::cli
