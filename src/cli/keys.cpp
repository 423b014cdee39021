// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "base/json.h"
#include "base/text.h"
#include "cli/report.h"
#include "cli/tables.h"
#include "cli/values.h"
#include "net/http.h"

namespace millrace::cli {
namespace {

const std::string kKeyRoute = "/api/v1/keys";

constexpr Column kKeyColumns[] = {
    {"SCOPE", "scope"},
    {"NAME", "name"},
    {"VALUE", "value"},
    {"VERSION", "version"},
    {"EXPIRES", "expires", Look::Time},
    {"UPDATED", "updated", Look::Time},
};

Option scope_option() {
  return {"--scope", "SCOPE", "system (default), user:NAME, pack:REF, action:REF, sensor:REF"};
}

std::string path_of_key(const Invocation& in) {
  std::string scope = in.has("--scope") ? in.get("--scope") : "system";
  return path_of(kKeyRoute, scope, "/" + net::percent_encode(in.get("NAME")));
}

// In a table only the value, so that it can be redirected.
Result<int> get(Context& context) {
  auto query = context.in.has("--decrypt") ? "?decrypt=true" : "";
  TRY(auto key, context.session.get(path_of_key(context.in) + query));
  const Value& value = key["value"];
  if (!context.is_table()) {
    context.print_object(key);
  } else {
    context.print((value.is_string() ? std::string(value.as_string()) : to_json(value)) + "\n");
  }
  return kOk;
}

Result<Value> read_value(const Invocation& in) {
  bool given = in.has("VALUE");
  if (given == in.has("--file")) return usage_error("expected either VALUE or --file FILE");
  if (!given) {
    TRY(auto text, read_line_text(in.get("--file")));
    return Value(text);
  }
  if (in.has("--encrypt")) {
    return usage_error(
        "--encrypt takes the value from --file FILE (- is stdin): a command line "
        "can be seen by others");
  }
  return Value(in.get("VALUE"));
}

Result<int> set(Context& context) {
  const auto& in = context.in;
  TRY(auto value, read_value(in));
  if (in.has("--encrypt") && in.has("--plain")) {
    return usage_error("expected either --encrypt or --plain");
  }
  Value body = Value::map({{"value", std::move(value)}});
  if (in.has("--encrypt") || in.has("--plain")) body.set("encrypted", in.has("--encrypt"));
  if (in.has("--ttl")) {
    TRY(auto seconds, parse_seconds("--ttl", in.get("--ttl")));
    body.set("ttl_s", seconds);
  }
  TRY(auto key,
      context.session.send(
          {.method = "PUT", .path = path_of_key(in), .body = std::move(body), .takes_key = true}));
  if (!context.is_table()) {
    context.print_object(key);
    return kOk;
  }
  context.print(fmt::format("key '{}' of {}: version {}\n", key.string_or("name", ""),
                            key.string_or("scope", ""), key.int_or("version", 0)));
  return kOk;
}

Result<int> remove(Context& context) {
  TRY(context.session.send(
      {.method = "DELETE", .path = path_of_key(context.in), .takes_key = true}));
  if (context.is_table()) context.print(fmt::format("'{}' is gone\n", context.in.get("NAME")));
  return kOk;
}

}  // namespace

CommandTable key_commands() {
  return {
      list_command({.path = "key list",
                    .help = "List keys; encrypted values are hidden",
                    .route = kKeyRoute,
                    .columns = kKeyColumns,
                    .filters = {{"--scope", "SCOPE", "Only keys of this scope"}},
                    .topic = "key"}),
      {.path = "key get",
       .help = "Print the value of a key",
       .arguments = {{"NAME", ""}},
       .options = {scope_option(), {"--decrypt", "", "An encrypted value in clear"}},
       .remote = get},
      {.path = "key set",
       .help = "Set a key: {{ st2kv.system.NAME }} reads it",
       .arguments = {{"NAME", ""}, {.name = "VALUE", .help = "A text", .optional = true}},
       .options = {{"--file", "FILE", "Holds the text, without its last line end; - is stdin"},
                   scope_option(),
                   {"--encrypt", "", "Stored sealed; the text comes from a file or stdin"},
                   {"--plain", "", "Stored in clear; without it one that is sealed stays so"},
                   {"--ttl", "TIME", "It is gone after this time: 1h, 30d"}},
       .remote = set},
      {.path = "key delete",
       .help = "Delete a key",
       .arguments = {{"NAME", ""}},
       .options = {scope_option()},
       .remote = remove},
  };
}

}  // namespace millrace::cli
