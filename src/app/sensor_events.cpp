// SPDX-License-Identifier: Apache-2.0
#include "app/sensor_events.h"

#include "base/json.h"
#include "base/log.h"
#include "base/time.h"
#include "engine/machine/catalog.h"
#include "engine/transitions/commands.h"
#include "kernel/event_source.h"

namespace millrace::app {

void tell_sensor_process(engine::Engine& engine, const sensor::ProcessChange& change) {
  bool is_there = change.pid != 0;
  engine::NewEvent event;
  event.trigger = is_there ? "core.st2.sensor.process_spawn" : "core.st2.sensor.process_exit";
  if (!engine.catalog(change.key.tenant)->index().has_rules_on(event.trigger)) return;
  event.source = kernel::own_source(kernel::SourceKind::Server, "sensor/" + change.key.ref);
  event.payload = Value::map(
      {{"id", change.key.ref}, {"ref", change.key.ref}, {"timestamp", to_rfc3339(unix_ms())}});
  if (is_there) {
    event.payload.set("pid", change.pid);
  } else {
    event.payload.set("reason", change.reason);
  }
  event.payload_json = to_json(event.payload);
  event.sender = engine::Sender::Hook;
  auto told = [ref = change.key.ref](Result<engine::Ingested> stored) {
    if (stored.ok()) return;
    log_warn("sensor.not_told", {{"sensor", ref}, {"error", stored.error().message()}});
  };
  engine.submit(engine::command::ingest({.tenant = change.key.tenant, .identity = "millrace"},
                                        std::move(event), told));
}

}  // namespace millrace::app
