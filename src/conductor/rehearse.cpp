// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "base/text.h"
#include "conductor/rehearsal.h"

namespace millrace::conductor {
namespace {

constexpr size_t kMaxStarts = 10'000;

// What st2kv() and task() find: the case's keys, and what the tasks have reported.
class Reported final : public expr::Lookup {
 public:
  explicit Reported(Value keys) : keys_(std::move(keys)) {}

  void note(const std::string& task, RouteId route, Status status, Value result) {
    Value shown = Value::map({{"task_execution_id", task},
                              {"workflow_execution_id", "rehearsal"},
                              {"task_name", task},
                              {"task_id", task},
                              {"route", route},
                              {"result", std::move(result)},
                              {"status", to_string(status)},
                              {"start_timestamp", Value()},
                              {"end_timestamp", Value()}});
    tasks_[{task, route}] = std::move(shown);
  }
  expr::Answer task(std::optional<std::string_view> id,
                    std::optional<int64_t> route) const override {
    auto it = tasks_.find({std::string(id.value_or("")), static_cast<RouteId>(route.value_or(0))});
    return it == tasks_.end() ? expr::Answer::absent() : expr::Answer::of(it->second);
  }
  expr::Answer kv(std::string_view key, bool) const override {
    const Value* found = keys_.find(key);
    return found ? expr::Answer::of(*found) : expr::Answer::absent();
  }

 private:
  Value keys_;
  std::map<std::pair<std::string, RouteId>, Value> tasks_;
};

class Player {
 public:
  Player(const DefinitionPtr& definition, const RehearsalCase& rehearsed, expr::Engine& engine)
      : case_(rehearsed),
        reported_(rehearsed.keys),
        conductor_(definition, State(),
                   {.engine = engine, .outside = &reported_, .config = rehearsed.config}) {}

  Result<Outcome> run() {
    TRY(check_names());
    new_decision();
    TRY(conductor_.begin(case_.context, case_.inputs.is_null() ? Value::map() : case_.inputs));
    if (!kCompleted.has(conductor_.state().status)) {
      TRY(conductor_.request_status(Status::Running));
    }
    TRY(offer());
    while (!ends_.empty()) {
      auto first = std::ranges::min_element(ends_, {},
                                            [](const End& e) { return std::pair(e.at, e.order); });
      End end = std::move(*first);
      ends_.erase(first);
      now_ = std::max(now_, end.at);
      new_decision();
      TRY(finish(end));
      TRY(offer());
    }
    new_decision();
    if (kCompleted.has(conductor_.state().status)) {
      TRY(conductor_.render_output());
    }
    return outcome();
  }

 private:
  // An action, or the question of a task, that will end.
  struct End {
    double at;
    size_t order;
    std::string task;
    RouteId route;
    size_t step;  // in sequence_
    TaskEvent event;
    bool answers = false;
    std::string resolve;
  };
  // A with-items task that has been offered and has not ended.
  struct Open {
    size_t step;
    Value mock;
    std::vector<Value> results;
    Value inputs = Value::list();
  };
  using Key = std::pair<std::string, RouteId>;

  Result<void> check_names() {
    std::vector<std::string> names;
    for (const Node& node : conductor_.definition().graph().nodes()) {
      if (node.task) names.push_back(node.name);
    }
    auto check = [&](std::string_view where, std::string_view name) -> Result<void> {
      if (std::ranges::find(names, name) != names.end()) return {};
      return Error(ErrorKind::Invalid, "CND-0012",
                   fmt::format("case '{}': {} names the unknown task '{}'{}", case_.name, where,
                               name, did_you_mean(name, names)));
    };
    if (case_.results.is_map()) {
      for (const auto& entry : case_.results.as_map()) TRY(check("results", entry.name()));
    }
    if (!case_.cancel.empty()) TRY(check("cancel_after", case_.cancel));
    const Value& calls = case_.expect["calls"];
    if (calls.is_map()) {
      for (const auto& entry : calls.as_map()) TRY(check("expect.calls", entry.name()));
    }
    const Value& sequence = case_.expect["sequence"];
    for (size_t i = 0; sequence.is_list() && i < sequence.size(); ++i) {
      const Value& step = sequence.as_list()[i];
      TRY(check("expect.sequence",
                step.is_string() ? step.as_string() : step.as_map().at_index(0).name()));
    }
    return {};
  }

  // On the server each end of an action is one, and offers that have cost much are made in another.
  void new_decision() {
    conductor_.draw_on(std::make_shared<expr::Allowance>(expr::Allowance{.of = kStepsOfDecision}));
  }

  // Starts what may start.
  Result<void> offer() {
    while (true) {
      new_decision();
      TRY(auto tasks, conductor_.next_tasks());
      if (tasks.empty() && !conductor_.was_cut_short()) return {};
      for (const NextTask& task : tasks) TRY(start(task));
    }
  }

  // The answers of a task are used in turn; the last one stands for all that follow.
  Value mock_of(const std::string& task) {
    const Value* results = case_.results.find(task);
    size_t run = runs_[task]++;
    if (!results) return Value::map();
    if (!results->is_list()) return *results;
    if (results->size() == 0) return Value::map();
    return results->as_list()[std::min(run, results->size() - 1)];
  }

  // `items` says it per item, and an item that it does not reach succeeds; without it the answer is
  // that of each item.
  static Value mock_of_item(const Value& mock, size_t item) {
    const Value& items = mock["items"];
    if (!items.is_list()) return mock;
    return item < items.size() ? items.as_list()[item] : Value::map();
  }

  Result<void> start(const NextTask& task) {
    Key key(task.id, task.route);
    if (auto open = open_.find(key); open != open_.end()) return start_items(task, open->second);
    if (++starts_ > kMaxStarts) {
      return Error(
          ErrorKind::Invalid, "CND-0012",
          fmt::format("case '{}': still running after {} starts of tasks", case_.name, kMaxStarts));
    }
    Value mock = mock_of(task.id);
    size_t step = sequence_.size();
    sequence_.push_back({task.id, std::string(to_string(Status::Running))});
    if (task.items_count) {
      Open& open = open_[key];
      open = {.step = step, .mock = std::move(mock), .results = {}};
      open.results.resize(*task.items_count);
      return start_items(task, open);
    }
    return start_action(task, step, mock);
  }

  Result<void> start_action(const NextTask& task, size_t step, const Value& mock) {
    const ActionCall& call = task.actions.front();
    calls_[task.id] = call.input;
    bool asks = task.waits_for_answer || mock.find("answer");
    if (!task.waits_for_answer) {
      TRY(report(task, {.status = Status::Running}));
    }
    if (asks) {
      TRY(report(task, {.status = Status::Pending}));
      sequence_[step].status = to_string(Status::Pending);
    }
    bool ends = !task.waits_for_answer || mock.find("answer") || mock.find("status");
    if (!ends && task.timeout.is_null()) {
      questions_.emplace(Key(task.id, task.route), step);
      return {};
    }
    End end = plan(task, step, mock);
    end.answers = asks;
    if (!ends) {
      end.at += task.timeout.is_number() ? task.timeout.as_float() : 0;
      end.event = {.status = Status::Timeout};
    }
    ends_.push_back(std::move(end));
    return {};
  }

  Result<void> start_items(const NextTask& task, Open& open) {
    if (task.items_count == 0u) return end_empty(task, open);
    for (const ActionCall& call : task.actions) {
      size_t item = *call.item;
      TRY(report(task, {.status = Status::Running, .item = item}));
      End end = plan(task, open.step, mock_of_item(open.mock, item));
      end.event.item = item;
      end.resolve = open.mock.string_or("resolve", "");
      ends_.push_back(std::move(end));
      open.inputs.push_back(call.input);
    }
    calls_[task.id] = open.inputs;
    return {};
  }

  Result<void> end_empty(const NextTask& task, const Open& open) {
    calls_[task.id] = Value::list();
    TRY(report(task, {.status = Status::Running}));
    End end = plan(task, open.step, Value::map());
    end.event.result = Value::list();
    return finish(end);
  }

  End plan(const NextTask& task, size_t step, const Value& mock) {
    auto seconds = [](const Value& value) { return value.is_number() ? value.as_float() : 0.0; };
    double takes = seconds(mock["takes"]);
    TaskEvent event{.status = parse_status(mock.string_or("status", "succeeded")).value(),
                    .result = mock["result"]};
    if (mock.find("answer")) {
      event.result = Value::map({{"response", mock["answer"]}, {"output", mock["answer"]}});
    }
    if (task.timeout.is_number() && task.timeout.as_float() < takes) {
      takes = task.timeout.as_float();
      event = {.status = Status::Timeout};
    }
    return {.at = now_ + seconds(task.delay) + takes,
            .order = order_++,
            .task = task.id,
            .route = task.route,
            .step = step,
            .event = std::move(event),
            .resolve = std::string(mock.string_or("resolve", ""))};
  }

  Result<void> report(const NextTask& task, const TaskEvent& event) {
    TRY(conductor_.event(task.id, task.route, event));
    return {};
  }

  Result<void> finish(End& end) {
    Key key(end.task, end.route);
    auto open = open_.find(key);
    Value result = end.event.result;
    if (open != open_.end()) {
      if (end.event.item) open->second.results[*end.event.item] = result;
      result = Value(ValueList(open->second.results.begin(), open->second.results.end()));
      if (conductor_.needs_results(end.task, end.route, end.event)) end.event.accumulated = result;
      result = Value::map({{"items", result}});
    }
    reported_.note(end.task, end.route, end.event.status, result);
    TRY(EntryIndex index, conductor_.event(end.task, end.route, end.event));
    Status now = conductor_.state().entry(index).status;
    bool ended =
        kCompleted.has(now) || now == Status::Retrying || conductor_.state().entry(index).held;
    if (ended) {
      bool of_items = open != open_.end() && kCompleted.has(now);
      sequence_[end.step].status = to_string(of_items ? now : end.event.status);
      if (open != open_.end()) open_.erase(open);
    }
    if (conductor_.state().entry(index).held) TRY(resolve(end, index));
    if (end.answers && conductor_.state().status == Status::Paused) {
      TRY(conductor_.request_status(Status::Resuming));
    }
    if (ended && end.task == case_.cancel && !canceled_) TRY(cancel());
    return {};
  }

  // What the operator says of a task that is held.
  Result<void> resolve(const End& end, EntryIndex index) {
    if (end.resolve == "retry") return conductor_.retry_held(end.task, end.route);
    if (end.resolve.empty()) return {};
    Status status = end.resolve == "succeed" ? Status::Succeeded : Status::Failed;
    TRY(conductor_.event(end.task, end.route, {.status = status, .result = end.event.result}));
    sequence_[end.step].status = to_string(conductor_.state().entry(index).status);
    return {};
  }

  // Running actions end as canceled, in the order in which they started; so do open questions.
  Result<void> cancel() {
    canceled_ = true;
    TRY(conductor_.request_status(Status::Canceled));
    for (const auto& [key, step] : std::exchange(questions_, {})) {
      ends_.push_back({.order = order_++, .task = key.first, .route = key.second, .step = step});
    }
    for (End& end : ends_) {
      end.at = now_;
      end.event.status = Status::Canceled;
      end.event.result = Value();
    }
    return {};
  }

  Outcome outcome() {
    const State& state = conductor_.state();
    Outcome out{.status = std::string(to_string(state.status)),
                .sequence = std::move(sequence_),
                .calls = std::move(calls_),
                .output = state.output};
    for (const LogEntry& error : state.errors) {
      out.errors.push_back(error.task.empty() ? error.message
                                              : fmt::format("{}: {}", error.task, error.message));
    }
    for (EntryIndex i = 0; i < static_cast<EntryIndex>(state.sequence().size()); ++i) {
      if (state.entry(i).status == Status::Pending && state.is_last(i)) {
        out.waiting.push_back(conductor_.definition().graph().node(state.entry(i).task).name);
      }
    }
    return out;
  }

  const RehearsalCase& case_;
  Reported reported_;
  Conductor conductor_;
  double now_ = 0;
  size_t order_ = 0;
  size_t starts_ = 0;
  bool canceled_ = false;
  std::map<std::string, size_t> runs_;
  std::vector<End> ends_;
  std::map<Key, Open> open_;
  std::map<Key, size_t> questions_;  // that nobody answers, with their step
  std::vector<Outcome::Step> sequence_;
  std::map<std::string, Value> calls_;
};

}  // namespace

Result<Outcome> rehearse(const DefinitionPtr& definition, const RehearsalCase& rehearsed,
                         expr::Engine& engine) {
  return Player(definition, rehearsed, engine).run();
}

}  // namespace millrace::conductor
