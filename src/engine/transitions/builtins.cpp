// SPDX-License-Identifier: Apache-2.0
#include "engine/transitions/builtins.h"

#include <fmt/format.h>

#include <cmath>

#include "base/json.h"
#include "base/json_schema.h"
#include "engine/transitions/enforce.h"
#include "engine/transitions/told_events.h"
#include "kernel/event_source.h"
#include "rules/schedule.h"

namespace millrace::engine {
namespace {

using Kind = BuiltinOutcome::Kind;

constexpr double kLongestSleepS = 366.0 * 86'400;
constexpr double kLongestQuestionMin = 100.0 * 366 * 1440;

Result<BuiltinOutcome> noop(Context&, const kernel::ExecutionRow&, const Value&) {
  return BuiltinOutcome{};
}

Result<BuiltinOutcome> echo(Context&, const kernel::ExecutionRow&, const Value& parameters) {
  const Value& message = parameters["message"];
  BuiltinOutcome outcome;
  outcome.stdout_text = message.is_string() ? std::string(message.as_string()) : to_json(message);
  outcome.output = message;
  return outcome;
}

Result<BuiltinOutcome> fail(Context&, const kernel::ExecutionRow&, const Value& parameters) {
  BuiltinOutcome outcome;
  outcome.kind = Kind::Failed;
  outcome.error = parameters.string_or("message", "core.fail");
  return outcome;
}

Result<BuiltinOutcome> sleep(Context& ctx, const kernel::ExecutionRow&, const Value& parameters) {
  const Value& seconds = parameters["seconds"];
  double s = seconds.is_number() ? seconds.as_float() : 0;
  if (!(s >= 0 && s <= kLongestSleepS)) {
    return Error(ErrorKind::Invalid, "EXE-0006",
                 fmt::format("core.sleep: expected seconds from 0 to {}, found {}", kLongestSleepS,
                             to_json(seconds)));
  }
  BuiltinOutcome outcome;
  outcome.kind = Kind::Sleeping;
  outcome.wake_at = ctx.now() + static_cast<int64_t>(std::llround(s * 1000));
  return outcome;
}

Result<BuiltinOutcome> inject_trigger(Context& ctx, const kernel::ExecutionRow& row,
                                      const Value& parameters) {
  std::string trigger(parameters.string_or("trigger", ""));
  if (auto instead = rules::fired_by_server(trigger); !instead.empty()) {
    return Error(ErrorKind::Invalid, "EVT-0003",
                 fmt::format("core.inject_trigger: '{}' is fired by the server alone: {}", trigger,
                             instead));
  }
  if (!ctx.catalog(row.tenant).find_trigger(trigger)) {
    return Error(ErrorKind::Invalid, "EXE-0007",
                 fmt::format("core.inject_trigger: unknown trigger '{}'{}", trigger,
                             ctx.catalog(row.tenant).suggest_trigger(trigger)));
  }
  kernel::EventRow event;
  event.id = ctx.new_root<EventId>(row.tenant);
  event.tenant = row.tenant;
  event.trigger = std::move(trigger);
  event.source = kernel::own_source(kernel::SourceKind::Execution, row.id.str());
  event.source_id = row.id.str();
  event.trace = row.trace;
  event.chain = chain_of(row);
  event.created = ctx.now();
  const Value& payload = parameters["payload"];
  event.payload_json = to_json(payload.is_null() ? Value::map() : payload);
  BuiltinOutcome outcome;
  outcome.output = Value::map({{"event", event.id.str()}});
  store_event_for_later(ctx, std::move(event));
  return outcome;
}

// Rules and whoever follows the stream hear of it.
Result<BuiltinOutcome> announce(Context& ctx, const kernel::ExecutionRow& row,
                                const Value& parameters) {
  kernel::EventRow event;
  event.id = ctx.new_root<EventId>(row.tenant);
  event.tenant = row.tenant;
  event.trigger = "core.announcement";
  event.source = kernel::own_source(kernel::SourceKind::Execution, row.id.str());
  event.source_id = row.id.str();
  event.trace = row.trace;
  event.chain = chain_of(row);
  event.created = ctx.now();
  event.payload_json = to_json(Value::map({{"route", parameters.string_or("route", "general")},
                                           {"message", Value(parameters["message"])},
                                           {"execution", row.id.str()}}));
  BuiltinOutcome outcome;
  outcome.output = Value::map({{"event", event.id.str()}});
  store_event_for_later(ctx, std::move(event));
  return outcome;
}

Result<void> check_schema(const Value& schema) {
  if (schema.is_null()) return {};
  auto problems = check_json_schema(schema);
  if (problems.empty()) return {};
  return Error(ErrorKind::Invalid, "EXE-0013",
               fmt::format("core.ask: schema{}: {}", problems[0].path, problems[0].message));
}

// A question to people: it waits, and holds no slot.
Result<BuiltinOutcome> ask(Context& ctx, const kernel::ExecutionRow& row, const Value& parameters) {
  BuiltinOutcome outcome;
  outcome.kind = Kind::Asking;
  kernel::InquiryRow inquiry;
  inquiry.id = InquiryId{row.id.value};
  inquiry.tenant = row.tenant;
  for (auto [name, text] : {std::pair("prompt", &inquiry.prompt), {"route", &inquiry.route}}) {
    *text = parameters.string_or(name, "");
    if (!text->contains('\0')) continue;
    return Error(ErrorKind::Invalid, "EXE-0013",
                 fmt::format("core.ask: {}: expected text, found a NUL character", name));
  }
  auto list = [&](std::string_view name) {
    const Value& names = parameters[name];
    return names.is_list() && names.size() > 0 ? to_json(names) : std::string();
  };
  inquiry.users_json = list("users");
  inquiry.roles_json = list("roles");
  const Value& schema = parameters["schema"];
  TRY(check_schema(schema));
  if (schema.is_map()) inquiry.schema_json = to_json(schema);
  if (const Value& minutes = parameters["ttl"]; minutes.is_number() && minutes.as_float() > 0) {
    if (minutes.as_float() > kLongestQuestionMin) {
      return Error(ErrorKind::Invalid, "EXE-0006",
                   fmt::format("core.ask: expected a ttl up to {} minutes (100 years), found {}",
                               kLongestQuestionMin, to_json(minutes)));
    }
    inquiry.expires = outcome.wake_at =
        ctx.now() + static_cast<int64_t>(std::llround(minutes.as_float() * 60'000));
  }
  inquiry.created = inquiry.updated = ctx.now();
  // Each attempt asks once, and its question is closed or answered once.
  inquiry.version = row.attempt * int64_t{2} - 1;
  ctx.changes.feed.push_back({.tenant = inquiry.tenant,
                              .type = kernel::EntityType::Inquiry,
                              .op = kernel::ChangeOp::Created,
                              .entity = inquiry.id.value,
                              .detail = "pending",
                              .at = ctx.now()});
  tell_asked(ctx, row, inquiry);
  ctx.changes.inquiries.push_back(std::move(inquiry));
  return outcome;
}

struct Builtin {
  std::string_view ref;
  Result<BuiltinOutcome> (*run)(Context&, const kernel::ExecutionRow&, const Value&);
};

constexpr Builtin kBuiltins[] = {
    {"core.noop", noop},   {"core.echo", echo},
    {"core.fail", fail},   {"core.sleep", sleep},
    {"core.pause", sleep},  // StackStorm's name for a sleep that holds no slot
    {"core.ask", ask},     {"core.inject_trigger", inject_trigger},
};

}  // namespace

Result<BuiltinOutcome> run_builtin(Context& ctx, const kernel::ExecutionRow& row,
                                   const Value& parameters) {
  auto run_named = [&](std::string_view ref) -> std::optional<Result<BuiltinOutcome>> {
    for (const auto& builtin : kBuiltins) {
      if (builtin.ref == ref) return builtin.run(ctx, row, parameters);
    }
    return std::nullopt;
  };
  if (auto outcome = run_named(row.action)) return std::move(*outcome);
  // An action of another pack with one of StackStorm's runner types.
  auto found = ctx.catalog(row.tenant).find_action(row.action, row.release);
  std::string_view type = found ? std::string_view(found->action->runner_type) : "";
  if (type == "noop") return noop(ctx, row, parameters);
  if (type == "inquirer") return ask(ctx, row, parameters);
  if (type == "announcement") return announce(ctx, row, parameters);
  return Error(ErrorKind::Unsupported, "EXE-0008",
               fmt::format("action '{}': this server has no built-in of that name", row.action));
}

}  // namespace millrace::engine
