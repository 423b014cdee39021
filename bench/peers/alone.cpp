// SPDX-License-Identifier: Apache-2.0
// The matcher and the conductor by themselves, as their peers run beside them (alone.py).
//   millrace_alone match RULES EVENTS SECONDS
//   millrace_alone conduct WORKFLOW SECONDS
// SECONDS of CPU time. Prints one line of JSON.
#include <fmt/format.h>

#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "../process.h"
#include "base/files.h"
#include "base/json.h"
#include "base/text.h"
#include "base/yaml.h"
#include "conductor/conductor.h"
#include "rules/index.h"

namespace {

using namespace millrace;
using bench::give_up;

constexpr size_t kMaxFile = 1 << 30;

template <typename T>
T must(Result<T> result) {
  if (!result.ok()) give_up(result.error().describe());
  return *std::move(result);
}
void must(Result<void> result) {
  if (!result.ok()) give_up(result.error().describe());
}

// Again and again for so long, in CPU time; microseconds of one time.
double cost_us(double seconds, const std::function<void()>& work) {
  int64_t times = 0;
  double begin = bench::own_cpu_seconds();
  double spent = 0;
  do {
    work();
    ++times;
    spent = bench::own_cpu_seconds() - begin;
  } while (spent < seconds);
  return spent * 1e6 / static_cast<double>(times);
}

// A rule of the file: {"name": ..., "operator": ..., "values": {path in the body: pattern}}.
rules::RulePtr rule_of(const Value& rule, int64_t id, expr::Engine& engine) {
  RuleSpec spec{.ref = "peers." + std::string(rule["name"].as_string()), .trigger = "core.webhook"};
  spec.criteria = Value::map();
  for (const auto& entry : rule["values"].as_map()) {
    spec.criteria.set(fmt::format("trigger.body.{}", entry.name()),
                      Value::map({{"type", rule["operator"]}, {"pattern", entry.value}}));
  }
  return must(rules::compile(std::move(spec), RuleId(id), 1, engine));
}

int match(const std::string& rules_file, const std::string& events_file, double seconds) {
  expr::Engine engine;
  std::vector<rules::RulePtr> compiled;
  Value listed = must(
      parse_json(must(read_file(rules_file, kMaxFile)), {.max_depth = 16, .max_bytes = kMaxFile}));
  for (const Value& rule : listed.as_list()) {
    compiled.push_back(rule_of(rule, static_cast<int64_t>(compiled.size()) + 1, engine));
  }
  rules::RuleIndex index(std::move(compiled));
  std::string text = must(read_file(events_file, kMaxFile));
  std::vector<std::string_view> events;
  for (std::string_view line : split(text, '\n')) {
    if (!line.empty()) events.push_back(line);
  }
  int64_t matches = 0;
  auto pass = [&] {
    matches = 0;
    for (std::string_view event : events) {
      Value payload = Value::map({{"body", must(parse_json(event))}});
      rules::EventScope scope;
      scope.event = rules::event_value(EventId(1), "core.webhook", 0, std::move(payload), {});
      matches += static_cast<int64_t>(must(index.match(scope, engine)).size());
    }
  };
  pass();  // not counted
  double us = cost_us(seconds, pass) / static_cast<double>(events.size());
  fmt::print("{}\n", to_json(Value::map({{"us", us}, {"matches", matches}})));
  return 0;
}

// One run to its end: every action succeeds, with its parameter `message` as the result.
Value conducted(const conductor::DefinitionPtr& definition, expr::Engine& engine) {
  using conductor::Status;
  conductor::Conductor run(definition, conductor::State(), {.engine = engine});
  must(run.begin(Value::map(), Value::map()));
  must(run.request_status(Status::Running));
  for (;;) {
    auto next = must(run.next_tasks());
    if (next.empty()) break;
    for (const auto& task : next) {
      std::vector<Value> results(task.items_count.value_or(1));
      for (const auto& action : task.actions) {
        conductor::TaskEvent event{.status = Status::Running, .result = {}, .item = action.item};
        must(run.event(task.id, task.route, event));
        event.status = Status::Succeeded;
        event.result = action.input["message"];
        results[action.item.value_or(0)] = event.result;
        if (run.needs_results(task.id, task.route, event)) event.accumulated = Value(results);
        must(run.event(task.id, task.route, event));
      }
    }
  }
  must(run.render_output());
  if (run.state().status != Status::Succeeded) give_up("the workflow has not succeeded");
  return run.state().output;
}

int conduct(const std::string& file, double seconds) {
  expr::Engine engine;
  auto document = must(parse_yaml(must(read_file(file, kMaxFile)), file));
  auto definition =
      must(conductor::Definition::compile(document.value, engine, expr::Mode::Orquesta));
  Value output = conducted(definition, engine);  // not counted
  double us = cost_us(seconds, [&] { output = conducted(definition, engine); });
  fmt::print("{}\n", to_json(Value::map({{"us", us}, {"output", output}})));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::string_view what = argc > 1 ? argv[1] : "";
  if (what == "match" && argc == 5) return match(argv[2], argv[3], std::atof(argv[4]));
  if (what == "conduct" && argc == 4) return conduct(argv[2], std::atof(argv[3]));
  give_up("usage: millrace_alone match RULES EVENTS SECONDS | conduct WORKFLOW SECONDS");
}
