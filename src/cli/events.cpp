// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <chrono>
#include <random>

#include "base/json.h"
#include "cli/report.h"
#include "cli/tables.h"
#include "cli/values.h"

namespace millrace::cli {
namespace {

const std::string kEventRoute = "/api/v1/events";

constexpr Column kEventColumns[] = {
    {"ID", "id"},
    {"TRIGGER", "trigger"},
    {"SOURCE", "source"},
    {"TYPE", "type"},
    {"CREATED", "created", Look::Time},
};

Result<int> print_accepted(const Context& context, const Value& accepted) {
  if (!context.is_table()) {
    context.print_object(accepted);
    return kOk;
  }
  context.print(fmt::format("event {}{}\n", accepted.string_or("event", ""),
                            accepted.bool_or("duplicate", false) ? " (a duplicate)" : ""));
  return kOk;
}

Result<Value> payload_of(const Invocation& in) {
  if (!in.has("--payload")) return Value::map();
  const auto& text = in.get("--payload");
  if (text.starts_with('@')) return read_document(text.substr(1));
  auto payload = parse_json(text);
  if (!payload.ok()) return std::move(payload).error().with_context("--payload");
  return payload;
}

std::string random_id() {
  std::random_device device;
  return fmt::format("{:08x}{:08x}", device(), device());
}

// A CloudEvent whose type is the trigger.
Result<int> send(Context& context) {
  const auto& in = context.in;
  TRY(auto payload, payload_of(in));
  Value event = Value::map({{"specversion", "1.0"},
                            {"id", in.has("--id") ? in.get("--id") : random_id()},
                            {"source", in.has("--source") ? in.get("--source") : "millrace-cli"},
                            {"type", in.get("TRIGGER")},
                            {"datacontenttype", "application/json"},
                            {"data", std::move(payload)}});
  TRY(auto accepted, context.session.send({.path = kEventRoute,
                                           .body = std::move(event),
                                           .content_type = "application/cloudevents+json"}));
  return print_accepted(context, accepted);
}

Result<int> replay(Context& context) {
  TRY(auto accepted,
      context.session.send(
          {.path = path_of(kEventRoute, context.in.get("ID"), "/replay"), .takes_key = true}));
  return print_accepted(context, accepted);
}

}  // namespace

CommandTable event_commands() {
  return {
      {.path = "event send",
       .help = "Send an event",
       .arguments = {{"TRIGGER", "A trigger's ref, or any CloudEvent type"}},
       .options = {{"--payload", "JSON", "Its data; @FILE from a file"},
                   {"--id", "ID", "The same source and id again is a duplicate"},
                   {"--source", "TEXT", "Default: millrace-cli"}},
       .remote = send},
      list_command({.path = "event list",
                    .help = "List events, newest first",
                    .route = kEventRoute,
                    .columns = kEventColumns,
                    .filters = {{"--trigger", "REF", "Only of this trigger"}, sort_option()},
                    .topic = "event"}),
      show_command("event show", "Show an event with its payload", kEventRoute, "ID"),
      {.path = "event replay",
       .help = "Send a past event again, against today's rules",
       .arguments = {{"ID", "Of the event"}},
       .remote = replay},
  };
}

}  // namespace millrace::cli
