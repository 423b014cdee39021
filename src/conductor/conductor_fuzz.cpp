// SPDX-License-Identifier: Apache-2.0
#include "conductor/conductor.h"

#include "base/fuzzing.h"
#include "base/json.h"
#include "base/yaml.h"
#include "conductor/graph_text.h"
#include "conductor/inspect.h"
#include "conductor/rehearsal.h"

namespace millrace::conductor {
namespace {

// Runs a few steps; two bits of `ends` say how each task ends.
void run(const DefinitionPtr& definition, expr::Engine& engine, uint8_t ends) {
  Conductor conductor(definition, State(), {.engine = engine});
  if (!conductor.begin(Value(), Value()).ok()) return;
  if (!conductor.request_status(Status::Running).ok()) return;
  constexpr int kSteps = 20;
  int failures = 0;
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
      if (event.status == Status::Failed) ++failures;
    }
  }
  fuzz::plant(failures > 0 && definition->graph().nodes().size() == 1);
  auto output = conductor.render_output();
  (void)output;
  const Graph& graph = definition->graph();
  Value state = to_value(conductor.state(), graph);
  auto read = state_from_value(state, graph);
  ASSERT(read.ok());
  ASSERT(to_json(to_value(*read, graph)) == to_json(state));
}

// A workflow is read, inspected, drawn, compiled and run for a few steps in both languages.
void check(std::string_view text, uint8_t ends) {
  auto document = parse_yaml(text, "w.yaml");
  if (!document.ok()) return;
  for (auto mode : {expr::Mode::Orquesta, expr::Mode::Native}) {
    expr::Engine engine;
    auto findings = inspect(*document, engine, {.default_mode = mode});
    auto definition = Definition::compile(document->value, engine, mode);
    if (!definition.ok()) {
      ASSERT(!findings.empty());
      continue;
    }
    graph_dot(graph_view(**definition), graph_text(graph_view(**definition)));
    run(*definition, engine, ends);
  }
}

// A byte that says how tasks end, then any text; it is read as a rehearsal, too.
FUZZ(conductor) {
  fuzz::Reader in(input);
  uint8_t ends = in.byte();
  auto text = in.rest();
  check(text, ends);
  auto document = parse_yaml(text, "w.yaml");
  if (!document.ok()) return;
  auto rehearsal = read_rehearsal(*document, "w.yaml");
  if (!rehearsal.ok()) return;
  for (const auto& rehearsed : rehearsal->cases) (void)differences(rehearsed.expect, {});
}

constexpr std::string_view kRules = R"(workflow
  {tasks: {<task>}}
  {tasks: {<task>, <task>}}
  {tasks: {<three>}}
  {tasks: {<three>, d: <body>, e: <body>}}
  {language: <language>, <variables>, tasks: {<three>}, output: [{o: <value>}]}
  {chain: [<link>, <link>], default: <name>, vars: {x: <value>}}
three
  a: <body>, b: <body>, c: <body>
variables
  input: [x, {y: <value>}], vars: [{z: <value>}]
link
  {name: <name>, ref: core.noop}
  {name: <name>, ref: core.noop, on-success: <name>, on-failure: <name>}
  {name: <name>, ref: core.noop, parameters: {p: <value>}, publish: {x: <value>}}
language
  native
  orquesta
task
  <name>: <body>
body
  {}
  {<key>}
  {<key>, <key>}
  {<key>, <key>, <key>}
key
  action: core.noop
  action: core.noop
  action: core.echo message=<value>
  input: {p: <value>}
  next: [<next>]
  next: [<next>, <next>]
  next: [<next>, <next>, {else: true, do: <name>}]
  join: all
  join: 2
  join: settled
  with: <value>
  with: {items: "x in <% ctx(l) %>", concurrency: <value>}
  with: {items: <value>, batch: 2}
  delay: <value>
  timeout: <value>
  retry: {count: <value>, delay: <value>, when: <condition>}
  retry: {count: 3, delay: 1, backoff: exponential, max_delay: 10, jitter: 0.5}
  first: true
  wait_for: inquiry
  on_failure: hold
  compensate: <name>
  <any>: <value>
next
  {do: <name>}
  {when: <condition>, do: <name>}
  {when: <condition>, do: [<name>, <name>]}
  {when: <condition>, publish: [{x: <value>}], do: <name>}
  {publish: x=<value>}
  <any>
condition
  <% succeeded() %>
  <% failed() %>
  <% completed() %>
  "{{ succeeded() }}"
  "<% result().a > 1 %>"
  "<% ctx(x) = <value> %>"
name
  a
  b
  c
  d
  e
  fail
  noop
  retry
  continue
value
  1
  0
  -1
  1e400
  null
  true
  text
  [1, 2]
  [<value>, <value>]
  {k: <value>}
  "<% ctx(x) %>"
  "<% ctx().y %>"
  "{{ ctx().z }}"
  "{{ result() }}"
  "<% item() %>"
  "<% task(a).result %>"
)";

// The same of documents that a grammar makes.
FUZZ(workflow) {
  static const fuzz::Grammar grammar(kRules);
  fuzz::Reader in(input);
  uint8_t ends = in.byte();
  check(grammar.text(in, "workflow"), ends);
}

}  // namespace
}  // namespace millrace::conductor
