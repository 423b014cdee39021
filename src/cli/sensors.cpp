// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "base/text.h"
#include "cli/report.h"
#include "cli/tables.h"
#include "cli/values.h"

namespace millrace::cli {
namespace {

const std::string kSensors = "/api/v1/sensors";

constexpr Column kSensorColumns[] = {
    {"REF", "ref"},
    {"STATE", "state"},
    {"SERVER", "server"},
    {"EVENTS", "events"},
    {"LAST EVENT", "last_event", Look::Time},
    {"STARTS", "starts"},
    {"LAST ERROR", "last_error"},
};

Result<int> restart_sensor(Context& context) {
  const auto& ref = context.in.get("REF");
  TRY(auto sensor, context.session.send({.path = path_of(kSensors, ref, "/restart")}));
  if (context.is_table()) {
    context.print(fmt::format("sensor '{}' is started anew\n", ref));
  } else {
    context.print_object(sensor);
  }
  return kOk;
}

Result<int> switch_sensor(Context& context, std::string_view how) {
  const auto& ref = context.in.get("REF");
  TRY(auto sensor, context.session.send({.path = path_of(kSensors, ref, fmt::format("/{}", how)),
                                         .takes_key = true}));
  if (context.is_table()) {
    context.print(fmt::format("sensor '{}' is {}d\n", ref, how));
  } else {
    context.print_object(sensor);
  }
  return kOk;
}

Result<int> print_sensor_log(Context& context) {
  std::string limit = context.in.has("--lines") ? context.in.get("--lines") : "200";
  TRY(auto lines,
      context.session.get(path_of(kSensors, context.in.get("REF"), "/logs") + "?limit=" + limit));
  if (!context.is_table()) {
    context.print_object(lines);
    return kOk;
  }
  for (const Value& line : lines.as_list()) {
    context.print(fmt::format("{} {:<6} {}\n", line.string_or("time", ""),
                              line.string_or("stream", ""), line.string_or("text", "")));
  }
  return kOk;
}

}  // namespace

CommandTable sensor_commands() {
  return {
      list_command({.path = "sensor list",
                    .help = "List sensors, and whether they run",
                    .route = kSensors,
                    .columns = kSensorColumns,
                    .filters = {{"--pack", "REF", "Only of this pack"}},
                    .topic = ""}),
      show_command("sensor show", "Show a sensor: its state, its triggers, its last error",
                   kSensors, "REF"),
      {.path = "sensor restart",
       .help = "Stop a sensor and start it anew",
       .arguments = {{"REF", ""}},
       .remote = restart_sensor},
      {.path = "sensor enable",
       .help = "Let a sensor run, whatever its file says",
       .arguments = {{"REF", ""}},
       .remote = [](Context& context) { return switch_sensor(context, "enable"); }},
      {.path = "sensor disable",
       .help = "Stop a sensor until it is enabled",
       .arguments = {{"REF", ""}},
       .remote = [](Context& context) { return switch_sensor(context, "disable"); }},
      {.path = "sensor logs",
       .help = "Print the last lines that a sensor has printed",
       .arguments = {{"REF", ""}},
       .options = {{"--lines", "N", "So many at most (200)"}},
       .remote = print_sensor_log},
  };
}

}  // namespace millrace::cli
