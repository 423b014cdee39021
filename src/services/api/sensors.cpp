// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "base/text.h"
#include "engine/elsewhere.h"
#include "engine/machine/pack_config.h"
#include "engine/transitions/commands.h"
#include "services/api/call.h"
#include "services/api/page.h"
#include "services/api/routes.h"
#include "services/api/shared.h"
#include "store/read.h"

namespace millrace::api {
namespace {

using auth::Permission;

struct SensorView {
  std::string ref;
  std::string pack;
  std::string description;
  std::string state;
  std::string server;
  std::string runtime;
  std::string entry_point;
  std::vector<std::string> triggers;
  std::vector<std::string> listens;
  std::optional<int64_t> poll_interval;
  bool enabled = true;
  Timestamp since;
  Timestamp next_start;
  std::optional<int64_t> pid;
  int64_t starts = 0;
  int64_t events = 0;
  int64_t refused = 0;
  int64_t held_up = 0;
  Timestamp last_event;
  Timestamp last_sign;
  std::string last_error;

  static const Fields& fields() {
    using V = SensorView;
    static const Field lines[] = {
        field("ref", &V::ref, "pack.name"),
        field("pack", &V::pack, ""),
        field("description", &V::description, ""),
        field("state", &V::state,
              "preparing: its environment is built; starting; running; stopping; backing_off: it "
              "has ended, and is started again at next_start; disabled: its file says so, or "
              "somebody; "
              "no_runtime: nothing here runs it; no_server: none has the roles sensor and "
              "executor; elsewhere: on another server, which knows more."),
        field("server", &V::server, "That runs it."),
        field("runtime", &V::runtime, "python, node, shell, native, or a pack's own."),
        field("entry_point", &V::entry_point, "Below sensors/ of its pack."),
        field("triggers", &V::triggers, "It may send events of these."),
        field("listens", &V::listens, "What it was told of: triggers with parameters of rules."),
        field("poll_interval", &V::poll_interval, "").unit("s"),
        field("enabled", &V::enabled, ""),
        field("since", &V::since, "When it came into this state."),
        field("next_start", &V::next_start, ""),
        field("pid", &V::pid, "Of the process that guards it."),
        field("starts", &V::starts, "Since this server runs it."),
        field("events", &V::events, "That were stored; the same."),
        field("refused", &V::refused, "Events that were not stored; the same."),
        field("held_up", &V::held_up, "Events that had to wait: more than its rate."),
        field("last_event", &V::last_event, ""),
        field("last_sign", &V::last_sign, "When it has last said or printed something."),
        field("last_error", &V::last_error, "How its last process ended, or why there was none."),
    };
    static const auto table = fields_of<V>(
        "Sensor", "A process that looks outside and makes events of what it sees.", lines);
    return table;
  }
};

struct SensorLineView {
  int64_t number = 0;
  Timestamp time;
  std::string stream;
  std::string text;

  static const Fields& fields() {
    using V = SensorLineView;
    static const Field lines[] = {
        field("number", &V::number, "Rises; what is missing was dropped."),
        field("time", &V::time, ""),
        field("stream", &V::stream, "stdout, stderr, or server: what the server says of it."),
        field("text", &V::text, "Secrets are ********."),
    };
    static const auto table = fields_of<V>("SensorLine", "A line of a sensor's log.", lines);
    return table;
  }
};

struct SensorQuery {
  int limit = 50;
  std::string cursor;
  std::string pack;

  static const Fields& fields() {
    static const Field lines[] = {
        field("limit", &SensorQuery::limit, "Entries per page.").range(1, 500),
        field("cursor", &SensorQuery::cursor, "next_cursor of the page before."),
        field("pack", &SensorQuery::pack, "Only of this pack."),
    };
    static const auto table = fields_of<SensorQuery>("SensorQuery", "", lines);
    return table;
  }
};

struct SensorLogQuery {
  int limit = 200;
  int64_t after = 0;

  static const Fields& fields() {
    static const Field lines[] = {
        field("limit", &SensorLogQuery::limit, "The last so many lines.").range(1, 2000),
        field("after", &SensorLogQuery::after, "Only lines with a higher number."),
    };
    static const auto table = fields_of<SensorLogQuery>("SensorLogQuery", "", lines);
    return table;
  }
};

SensorView view_of_sensor(const SensorInfo& info) {
  SensorView view{.ref = info.ref,
                  .pack = info.pack,
                  .description = info.description,
                  .state = info.state,
                  .server = info.server,
                  .runtime = info.runtime,
                  .entry_point = info.entry_point,
                  .triggers = info.triggers,
                  .listens = info.listens,
                  .poll_interval = {},
                  .enabled = info.enabled,
                  .since = {info.since_ms},
                  .next_start = {info.next_start_ms},
                  .pid = {},
                  .starts = info.starts,
                  .events = info.events,
                  .refused = info.refused,
                  .held_up = info.held_up,
                  .last_event = {info.last_event_ms},
                  .last_sign = {info.last_sign_ms},
                  .last_error = info.last_error};
  if (info.poll_interval_s > 0) view.poll_interval = info.poll_interval_s;
  if (info.pid > 0) view.pid = info.pid;
  return view;
}

Result<SensorInfo> find_sensor_of(const Call& call) {
  const auto& desk = call.api.options.sensors;
  std::string ref(call.param());
  auto found = desk.find ? desk.find(call.who.tenant, ref) : std::optional<SensorInfo>();
  if (found) return *std::move(found);
  std::vector<std::string> names;
  if (desk.list) {
    for (auto& one : desk.list(call.who.tenant)) names.push_back(std::move(one.ref));
  }
  return Error(ErrorKind::NotFound, "API-0070",
               fmt::format("no sensor '{}'{}", ref, did_you_mean(ref, names)));
}

// Only who runs it knows how it is.
Result<SensorInfo> find_sensor_here(const Call& call) {
  TRY(auto info, find_sensor_of(call));
  if (info.state == "elsewhere" && call.api.options.forward) {
    return engine::elsewhere_error(info.node);
  }
  return info;
}

Task<Response> list_sensors(Call& call) {
  CO_TRY(auto query, call.query<SensorQuery>());
  std::vector<SensorView> views;
  const auto& desk = call.api.options.sensors;
  if (desk.list) {
    for (const auto& info : desk.list(call.who.tenant)) {
      if (query.pack.empty() || query.pack == info.pack) views.push_back(view_of_sensor(info));
    }
  }
  co_return page_by_key("sensors", std::move(views), query.limit, query.cursor,
                        [](const SensorView& view) { return view.ref; });
}

Task<Response> show_sensor(Call& call) {
  CO_TRY(auto info, find_sensor_here(call));
  co_return answer_one(view_of_sensor(info));
}

Task<Response> restart_sensor(Call& call) {
  CO_TRY(auto info, find_sensor_here(call));
  if (!call.api.options.sensors.restart(call.who.tenant, info.ref)) {
    co_return Error(ErrorKind::Conflict, "API-0131",
                    fmt::format("sensor '{}' is not run: {}", info.ref, info.state));
  }
  co_return answer_one(view_of_sensor(info), 202);
}

// Outlives reloads and other releases of its pack.
Task<Response> switch_sensor(Call& call, bool on) {
  constexpr int kMostTries = 8;
  CO_TRY(auto info, find_sensor_of(call));
  engine::KeyWrite write{.key = engine::sensor_switch(call.who.tenant, info.ref),
                         .value_json = on ? "true" : "false",
                         .is_config = true};
  for (int tries = 1;; ++tries) {
    CO_TRY(co_await call.api.readers.run([&](sql::Connection& db) -> Result<void> {
      TRY(auto row, store::find_key(db, write.key));
      write.version = (row ? row->version : 0) + 1;
      return {};
    }));
    auto command = [&](auto reply) {
      call.api.engine.submit(engine::command::write_key(call.caller(), write, std::move(reply)));
    };
    auto row = co_await ask<kernel::KeyRow>(command);
    bool overtaken = !row.ok() && row.error().code() == engine::kKeyMoved;
    if (overtaken && tries < kMostTries) continue;
    if (!row.ok()) co_return row.error();
    info.enabled = on;
    co_return answer_one(view_of_sensor(info), 202);
  }
}

Task<Response> enable_sensor(Call& call) { return switch_sensor(call, true); }
Task<Response> disable_sensor(Call& call) { return switch_sensor(call, false); }

Task<Response> show_sensor_log(Call& call) {
  CO_TRY(auto query, call.query<SensorLogQuery>());
  CO_TRY(auto info, find_sensor_here(call));
  std::vector<SensorLineView> views;
  for (auto& line : call.api.options.sensors.log(call.who.tenant, info.ref,
                                                 static_cast<size_t>(query.limit), query.after)) {
    views.push_back({line.number, {line.time_ms}, std::move(line.stream), std::move(line.text)});
  }
  co_return answer_list(views);
}

}  // namespace

std::vector<Route> sensor_routes() {
  const auto* sensor = &SensorView::fields();
  return {
      {.name = "list_sensors",
       .method = "GET",
       .pattern = "/api/v1/sensors",
       .access = Permission::SensorsRead,
       .handler = list_sensors,
       .summary = "List the sensors of packs in force, by ref.",
       .query = &SensorQuery::fields(),
       .answer_form = AnswerForm::List,
       .answer = sensor},
      {.name = "show_sensor",
       .method = "GET",
       .pattern = "/api/v1/sensors/{ref}",
       .access = Permission::SensorsRead,
       .handler = show_sensor,
       .summary = "Show a sensor, as the server sees it that runs it.",
       .answer = sensor,
       .has_owner = true},
      {.name = "restart_sensor",
       .method = "POST",
       .pattern = "/api/v1/sensors/{ref}/restart",
       .access = Permission::SensorsControl,
       .handler = restart_sensor,
       .summary = "Stop a sensor and start it anew, or start it now when it waits to be started.",
       .answer = sensor,
       .status = 202},
      {.name = "enable_sensor",
       .method = "POST",
       .pattern = "/api/v1/sensors/{ref}/enable",
       .access = Permission::SensorsControl,
       .handler = enable_sensor,
       .summary = "Let a sensor run, whatever its file says; its answer is of the moment before.",
       .answer = sensor,
       .status = 202,
       .takes_key = true},
      {.name = "disable_sensor",
       .method = "POST",
       .pattern = "/api/v1/sensors/{ref}/disable",
       .access = Permission::SensorsControl,
       .handler = disable_sensor,
       .summary = "Stop a sensor until it is enabled; its answer is of the moment before.",
       .answer = sensor,
       .status = 202,
       .takes_key = true},
      {.name = "show_sensor_log",
       .method = "GET",
       .pattern = "/api/v1/sensors/{ref}/logs",
       .access = Permission::SensorsRead,
       .handler = show_sensor_log,
       .summary = "The last lines that a sensor has printed, kept in memory.",
       .query = &SensorLogQuery::fields(),
       .answer_form = AnswerForm::List,
       .answer = &SensorLineView::fields(),
       .has_owner = true},
  };
}

}  // namespace millrace::api
