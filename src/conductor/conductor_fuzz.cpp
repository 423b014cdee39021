// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/yaml.h"
#include "conductor/conductor.h"
#include "conductor/graph_text.h"
#include "conductor/inspect.h"
#include "conductor/rehearsal.h"

// Any text: read, inspected, drawn, compiled and run for a few steps in both languages; read as a
// rehearsal. The first byte says how each task ends.
namespace {

using namespace millrace;
using namespace millrace::conductor;

void run(const DefinitionPtr& definition, expr::Engine& engine, uint8_t ends) {
  Conductor conductor(definition, State(), {.engine = engine});
  if (!conductor.begin(Value(), Value()).ok()) return;
  if (!conductor.request_status(Status::Running).ok()) return;
  constexpr int kSteps = 20;
  for (int step = 0; step < kSteps && !conductor.is_over(); ++step) {
    auto tasks = conductor.next_tasks();
    if (!tasks.ok() || tasks->empty()) break;
    for (const NextTask& task : *tasks) {
      constexpr Status kEnds[] = {Status::Succeeded, Status::Failed, Status::Timeout,
                                  Status::Canceled};
      TaskEvent event{.status = Status::Running};
      if (!task.actions.empty()) event.item = task.actions[0].item;
      auto started = conductor.event(task.id, task.route, event);
      event.status = kEnds[(ends >> (2 * (step % 4))) & 3];
      event.result = step;
      auto ended = conductor.event(task.id, task.route, event);
      (void)started;
      (void)ended;
    }
  }
  auto output = conductor.render_output();
  (void)output;
  auto read =
      state_from_value(to_value(conductor.state(), definition->graph()), definition->graph());
  ASSERT(read.ok());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  auto document = parse_yaml(text, "w.yaml");
  if (!document.ok()) return 0;
  for (auto mode : {expr::Mode::Orquesta, expr::Mode::Native}) {
    expr::Engine engine;
    auto findings = inspect(*document, engine, {.default_mode = mode});
    auto definition = Definition::compile(document->value, engine, mode);
    if (!definition.ok()) continue;
    graph_dot(graph_view(**definition), graph_text(graph_view(**definition)));
    run(*definition, engine, data[0]);
  }
  auto rehearsal = read_rehearsal(*document, "w.yaml");
  if (rehearsal.ok()) {
    for (const auto& rehearsed : rehearsal->cases) (void)differences(rehearsed.expect, {});
  }
  return 0;
}
