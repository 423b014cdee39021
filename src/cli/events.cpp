// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <random>

#include "base/json.h"
#include "base/time.h"
#include "cli/report.h"
#include "cli/stdout.h"
#include "cli/tables.h"
#include "cli/values.h"
#include "cli/verdict.h"
#include "net/http.h"

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

std::string random_id() {
  std::random_device device;
  return fmt::format("{:08x}{:08x}", device(), device());
}

// What a trigger fires, by its name: no other type of CloudEvents is taken.
Result<int> send_of_trigger(Context& context, const std::string& trigger, Value payload) {
  const auto& in = context.in;
  Value body = Value::map({{"payload", std::move(payload)},
                           {"source", in.has("--source") ? in.get("--source") : "millrace-cli"},
                           {"id", in.has("--id") ? in.get("--id") : random_id()}});
  if (in.has("--trigger-parameters")) {
    TRY(auto given, json_or_file("--trigger-parameters", in.get("--trigger-parameters")));
    body.set("trigger_parameters", std::move(given));
  }
  auto path = path_of("/api/v1/triggers", trigger, "/events");
  TRY(auto accepted, context.session.send({.path = path, .body = std::move(body)}));
  return print_accepted(context, accepted);
}

// A CloudEvent whose type is the trigger.
Result<int> send(Context& context) {
  const auto& in = context.in;
  if (in.has("TRIGGER") == in.has("--trigger")) {
    return usage_error("event send: expected either TYPE or --trigger REF");
  }
  Value payload = Value::map();
  if (in.has("--payload")) {
    TRY(payload, json_or_file("--payload", in.get("--payload")));
  }
  if (in.has("--trigger")) return send_of_trigger(context, in.get("--trigger"), std::move(payload));
  if (in.has("--trigger-parameters")) {
    return usage_error("event send: --trigger-parameters go with --trigger REF");
  }
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

void print_event_verdicts(const Context& context, const Value& verdicts) {
  if (!context.is_table()) {
    context.print_object(verdicts);
    return;
  }
  int64_t rules = verdicts.int_or("rules", 0);
  int64_t judged = verdicts.int_or("judged", 0);
  context.print(fmt::format(
      "event {} of {}: {} of {} rules on this trigger {}{}\n", verdicts.string_or("event", ""),
      verdicts.string_or("trigger", ""), verdicts.int_or("matched", 0), rules,
      context.in.has("--dry-run") ? "would match" : "matched",
      judged < rules ? fmt::format(" (the first {} were looked at)", judged) : ""));
  for (const auto& one : verdicts["verdicts"].as_list()) {
    context.print(brief_verdict_text(one, context.style.colour));
  }
}

Result<int> why(Context& context) {
  const auto& in = context.in;
  std::string query = in.has("--limit") ? "?limit=" + net::percent_encode(in.get("--limit")) : "";
  TRY(auto verdicts, context.session.get(path_of(kEventRoute, in.get("ID"), "/why" + query)));
  print_event_verdicts(context, verdicts);
  return kOk;
}

Result<int> replay_one(Context& context) {
  const auto& in = context.in;
  Value body = Value::map({{"dry_run", in.has("--dry-run")}});
  if (in.has("--payload")) {
    TRY(auto payload, json_or_file("--payload", in.get("--payload")));
    body.set("payload", std::move(payload));
  }
  TRY(auto done, context.session.send({.path = path_of(kEventRoute, in.get("ID"), "/replay"),
                                       .body = std::move(body),
                                       .takes_key = true}));
  if (!in.has("--dry-run")) return print_accepted(context, done);
  print_event_verdicts(context, done["verdicts"]);
  return kOk;
}

// RFC 3339, or how long ago: 90m, 2h, 7d.
Result<std::string> time_of(std::string_view name, const std::string& text) {
  if (parse_rfc3339(text).ok()) return text;
  auto ago = parse_duration(name, text);
  if (!ago.ok()) {
    return usage_error(
        fmt::format("{}: expected a time such as 2026-01-31T12:00:00Z, or how long "
                    "ago such as 2h, found '{}'",
                    name, text));
  }
  return to_rfc3339(unix_ms() - *ago);
}

Result<Value> filters_of(const Invocation& in) {
  Value body = Value::map({{"dry_run", in.has("--dry-run")}});
  if (in.has("--trigger")) body.set("trigger", in.get("--trigger"));
  for (const char* name : {"--since", "--until"}) {
    if (!in.has(name)) continue;
    TRY(auto time, time_of(name, in.get(name)));
    body.set(std::string_view(name).substr(2), time);
  }
  return body;
}

void print_replayed(const Context& context, const Value& one) {
  auto of = one.string_or("replay_of", "");
  if (context.style.format == Format::JsonLines) return context.print(to_json(one) + "\n");
  if (auto error = one.string_or("error", ""); !error.empty()) {
    context.print(fmt::format("event {}: {}\n", of, error));
  } else if (one.find("verdicts") && one["verdicts"].is_map()) {
    std::string names;
    for (const auto& verdict : one["verdicts"]["verdicts"].as_list()) {
      if (!verdict.bool_or("matched", false)) continue;
      names += fmt::format("{}{}", names.empty() ? "" : ", ", verdict.string_or("rule", ""));
    }
    context.print(fmt::format("event {}: {}\n", of, names.empty() ? "no rule" : names));
  } else {
    context.print(fmt::format("event {}: again as {}\n", of, one.string_or("event", "")));
  }
}

// In pieces, so that whoever waits sees how far it is.
Result<int> replay_many(Context& context) {
  const auto& in = context.in;
  constexpr int64_t kPiece = 100;
  constexpr int64_t kMost = 10'000;
  int64_t left = 100;
  if (in.has("--limit")) {
    TRY(left, parse_count("--limit", in.get("--limit"), 1));
  }
  if (left > kMost) return usage_error(fmt::format("--limit: expected at most {}", kMost));
  TRY(auto body, filters_of(in));
  int64_t events = 0, failed = 0, left_out = 0;
  bool more = true;
  while (left > 0 && more) {
    body.set("limit", std::min(left, kPiece));
    TRY(auto done,
        context.session.send({.path = kEventRoute + "/replay", .body = body, .takes_key = true}));
    for (const auto& one : done["replayed"].as_list()) print_replayed(context, one);
    events += done.int_or("events", 0);
    failed += done.int_or("failed", 0);
    left_out += done.int_or("left_out", 0);
    more = done.bool_or("more", false);
    left -= kPiece;
    if (more) body.set("after", done.string_or("last", ""));
    if (more && left > 0) tell(fmt::format("{} events\n", events));
  }
  if (left_out > 0) {
    tell(
        fmt::format("{} events that the server alone makes are left out: --trigger REF replays "
                    "those of one trigger\n",
                    left_out));
  }
  tell(fmt::format("{} events{}{}{}\n", events, in.has("--dry-run") ? " looked at" : " replayed",
                   failed > 0 ? fmt::format(", {} of them not", failed) : "",
                   more ? "; there are more: --limit" : ""));
  return failed > 0 ? kFailed : kOk;
}

Result<int> replay(Context& context) {
  const auto& in = context.in;
  bool has_filter = in.has("--trigger") || in.has("--since") || in.has("--until");
  if (in.has("ID") == has_filter) {
    return usage_error("event replay: expected either ID or --trigger, --since, --until");
  }
  if (in.has("ID")) return replay_one(context);
  if (in.has("--payload")) return usage_error("event replay: --payload goes with ID");
  return replay_many(context);
}

}  // namespace

CommandTable event_commands() {
  const Option dry_run{"--dry-run", "", "Only tell which of today's rules match"};
  return {
      {.path = "event send",
       .help = "Send an event",
       .arguments = {{.name = "TRIGGER",
                      .help = "A trigger's ref, or any CloudEvent type",
                      .optional = true}},
       .options = {{"--trigger", "REF", "In its place, a trigger that must be there"},
                   {"--payload", "JSON", "Its data; a file, or @FILE"},
                   {"--trigger-parameters", "JSON", "Of the trigger that fires; with --trigger"},
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
      {.path = "event why",
       .help = "Which rules a past event matched, and why it did not match the others",
       .arguments = {{"ID", "Of the event"}},
       .options = {{"--limit", "N", "Rules at most, the nearest first (default: 50)"}},
       .remote = why},
      {.path = "event replay",
       .help = "Send past events again, against today's rules",
       .arguments = {{.name = "ID", .help = "Of the event", .optional = true}},
       .options =
           {dry_run,
            {"--payload", "FILE", "Another payload for it: JSON, a file, - is stdin"},
            {"--trigger", "REF", "All of this trigger, the oldest first"},
            {"--since", "TIME",
             "All of this time or later but what the server alone makes; 2h is two hours ago"},
            {"--until", "TIME", "All of before this time"},
            {"--limit", "N", "With these: events at most (default: 100)"}},
       .remote = replay},
  };
}

}  // namespace millrace::cli
