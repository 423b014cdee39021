// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/yaml.h"
#include "conductor/conductor.h"
#include "conductor/inspect.h"

namespace millrace::conductor {

// Answers task() with the results that a test has reported.
class ReportedTasks final : public expr::Lookup {
 public:
  void report(std::string task, Value result) { results_[std::move(task)] = std::move(result); }
  void set_key(std::string key, Value value) { keys_[std::move(key)] = std::move(value); }
  expr::Answer task(std::optional<std::string_view> id, std::optional<int64_t>) const override {
    auto it = results_.find(std::string(id.value_or("")));
    if (it == results_.end()) return expr::Answer::absent();
    return expr::Answer::of(Value::map({{"result", it->second}}));
  }
  expr::Answer kv(std::string_view key, bool) const override {
    auto it = keys_.find(std::string(key));
    return it == keys_.end() ? expr::Answer::need(std::string(key)) : expr::Answer::of(it->second);
  }

 private:
  std::map<std::string, Value> results_;
  std::map<std::string, Value> keys_;
};

// One run of a workflow, driven by a test. The state is written out and read back before every
// operation.
class Rig {
 public:
  explicit Rig(std::string_view yaml, Value inputs = Value::map(),
               expr::Mode mode = expr::Mode::Native)
      : environment_{.engine = engine_, .outside = &reported} {
    auto document = parse_yaml(yaml, "w.yaml");
    EXPECT_TRUE(document.ok()) << document.error().describe();
    auto definition = Definition::compile(document->value, engine_, mode);
    EXPECT_TRUE(definition.ok()) << definition.error().describe();
    definition_ = *definition;
    conductor_.emplace(definition_, State(), environment_);
    EXPECT_TRUE(conductor_->begin(Value::map(), inputs).ok());
    EXPECT_TRUE(conductor_->request_status(Status::Running).ok());
  }

  // As if everything from now on were one decision.
  void allow(uint64_t steps) {
    environment_.allowance = std::make_shared<expr::Allowance>(expr::Allowance{.of = steps});
  }
  uint64_t steps_left() const { return environment_.allowance->left; }

  Conductor& conductor() {
    Value written = to_value(conductor_->state(), definition_->graph());
    auto state = state_from_value(*parse_json(to_json(written), kOwnJson), definition_->graph());
    EXPECT_TRUE(state.ok());
    conductor_.emplace(definition_, std::move(*state), environment_);
    return *conductor_;
  }
  const State& state() const { return conductor_->state(); }
  Status status() const { return state().status; }
  Status status_of(std::string_view task, RouteId route = 0) const {
    auto index = state().last(*definition_->graph().find(task), route);
    return index ? state().entry(*index).status : Status::Null;
  }

  // The offered tasks; "name" or "name/route" off the first route.
  std::vector<std::string> next() {
    auto tasks = conductor().next_tasks();
    EXPECT_TRUE(tasks.ok());
    std::vector<std::string> names;
    for (const NextTask& task : *tasks) {
      names.push_back(task.route == 0 ? task.id : task.id + "/" + std::to_string(task.route));
    }
    return names;
  }
  NextTask offered(std::string_view name) {
    auto tasks = conductor().next_tasks();
    EXPECT_TRUE(tasks.ok());
    auto it = std::ranges::find(*tasks, name, &NextTask::id);
    EXPECT_NE(it, tasks->end()) << name << " is not offered";
    return it == tasks->end() ? NextTask() : *it;
  }

  void report(std::string_view task, Status status, Value result = Value(), RouteId route = 0) {
    reported.report(std::string(task), result);
    auto done = conductor().event(task, route, {.status = status, .result = std::move(result)});
    EXPECT_TRUE(done.ok()) << done.error().message();
  }
  // Offers what is staged, then runs the task to an end.
  void end(std::string_view task, Status status, Value result = Value(), RouteId route = 0) {
    next();
    report(task, Status::Running, Value(), route);
    report(task, status, std::move(result), route);
  }
  void succeed(std::string_view task, Value result = Value(), RouteId route = 0) {
    end(task, Status::Succeeded, std::move(result), route);
  }
  void fail(std::string_view task, Value result = Value(), RouteId route = 0) {
    end(task, Status::Failed, std::move(result), route);
  }
  void report_item(std::string_view task, size_t item, Status status, Value accumulated = Value()) {
    auto done = conductor().event(
        task, 0, {.status = status, .item = item, .accumulated = std::move(accumulated)});
    EXPECT_TRUE(done.ok()) << done.error().message();
  }

  std::vector<std::string> messages() const {
    std::vector<std::string> out;
    for (const LogEntry& error : state().errors) out.push_back(error.message);
    return out;
  }

  ReportedTasks reported;

 private:
  expr::Engine engine_;
  Environment environment_;
  DefinitionPtr definition_;
  std::optional<Conductor> conductor_;
};

using Names = std::vector<std::string>;

// What inspecting a document tells: `LINE PATH: MESSAGE`.
inline Names found(std::string_view yaml) {
  expr::Engine engine;
  auto document = parse_yaml(yaml, "w.yaml");
  EXPECT_TRUE(document.ok());
  Names out;
  for (const Finding& finding : inspect(*document, engine, {})) {
    out.push_back(std::to_string(finding.line) + " " + finding.path + ": " + finding.message);
  }
  return out;
}

}  // namespace millrace::conductor
