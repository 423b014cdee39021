// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>

#include "base/json.h"
#include "base/yaml.h"
#include "conductor/conductor.h"
#include "recorded.h"

namespace millrace::conformance {
namespace {

using namespace conductor;

// What the reference calls the errors that an operation returns.
std::string_view reference_name(const Error& error) {
  static const std::map<std::string_view, std::string_view> names = {
      {"CND-0003", "InvalidEvent"},
      {"CND-0004", "InvalidWorkflowStatusTransition"},
      {"CND-0005", "InvalidTaskStatusTransition"},
      {"CND-0006", "InvalidTask"},
      {"CND-0007", "InvalidTaskStateEntry"},
      {"CND-0008", "InvalidTaskRerunRequest"},
      {"CND-0009", "WorkflowIsActiveAndNotRerunableError"}};
  auto it = names.find(error.code());
  if (it != names.end()) return it->second;
  std::string_view message = error.message();
  return message.substr(0, message.find(':'));
}

Value parsed(const std::string& text) {
  auto value = parse_json(text);
  ASSERT_MSG(value.ok(), text);
  return *value;
}

// A store that only learns what the conductor says has changed.
class Store {
 public:
  void write(Conductor& conductor) {
    const State& state = conductor.state();
    const Graph& graph = conductor.definition().graph();
    Changes changes = conductor.take_changes();
    if (changes.head) head_ = head_to_json(state, graph);
    ASSERT(changes.contexts_from == contexts_.size());
    for (size_t i = contexts_.size(); i < state.contexts.size(); ++i) {
      contexts_.push_back(to_json(state.contexts[i]));
    }
    errors_.resize(changes.errors_from);
    for (size_t i = errors_.size(); i < state.errors.size(); ++i) {
      errors_.push_back(to_json(state.errors[i].to_value()));
    }
    for (EntryIndex index : changes.entries) {
      entries_.resize(std::max(entries_.size(), static_cast<size_t>(index) + 1));
      entries_[static_cast<size_t>(index)] = entry_to_json(state.entry(index), graph);
    }
    for (const auto& items : changes.items) {
      auto& written = items_[{items.task, items.route}];
      if (items.cleared) written.clear();
      auto staged = std::ranges::find_if(state.staged, [&](const Staged& s) {
        return s.task == items.task && s.route == items.route;
      });
      for (size_t item : items.items) written[item] = (*staged->items)[item];
    }
  }

  State read(const Graph& graph) const {
    Pieces pieces{.head = parsed(head_)};
    for (const auto& text : contexts_) pieces.contexts.push_back(parsed(text));
    for (const auto& text : entries_) pieces.entries.push_back(parsed(text));
    for (const auto& text : errors_) pieces.errors.push_back(parsed(text));
    for (const auto& [task, items] : items_) {
      for (const auto& [item, status] : items) {
        if (status != Status::Null) {
          pieces.items.push_back({task.first, task.second, item, status});
        }
      }
    }
    auto state = state_from_pieces(pieces, graph);
    ASSERT_MSG(state.ok(), state.error().message());
    return std::move(*state);
  }

 private:
  std::string head_;
  std::vector<std::string> contexts_;
  std::vector<std::string> entries_;
  std::vector<std::string> errors_;
  std::map<std::pair<NodeId, RouteId>, std::map<size_t, Status>> items_;
};

// Of a message the type before the colon counts: the rest is text of Python's.
Value comparable_error(const Value& error) {
  Value out = error;
  std::string_view message = error.string_or("message", "");
  out.set("message", message.substr(0, message.find(':')));
  return out;
}

Value comparable_errors(const Value& errors) {
  Value out = Value::list();
  for (const Value& error : errors.as_list()) out.push_back(comparable_error(error));
  return out;
}

Value errors_from(const State& state, size_t first) {
  Value out = Value::list();
  for (size_t i = std::min(first, state.errors.size()); i < state.errors.size(); ++i) {
    out.push_back(comparable_error(state.errors[i].to_value()));
  }
  return out;
}

Value without_private(const Value& ctx) {
  Value out = Value::map();
  for (const auto& [key, value] : ctx.as_map()) {
    if (!key.as_string().starts_with("__")) out.mutable_map().set(key, value);
  }
  return out;
}

Value task_to_value(const NextTask& task) {
  Value actions = Value::list();
  for (const ActionCall& call : task.actions) {
    Value action = Value::map({{"action", call.action}, {"input", call.input}});
    if (call.item) action.set("item_id", static_cast<int64_t>(*call.item));
    actions.push_back(std::move(action));
  }
  Value out = Value::map({{"id", task.id},
                          {"route", task.route},
                          {"actions", std::move(actions)},
                          {"ctx", without_private(task.ctx)}});
  if (!task.delay.is_null()) out.set("delay", task.delay);
  if (task.items_count) {
    out.set("items_count", static_cast<int64_t>(*task.items_count));
    out.set("concurrency", task.concurrency);
  }
  return out;
}

Value sequence_to_value(const State& state, const Graph& graph) {
  Value out = Value::list();
  for (const Entry& entry : state.sequence()) {
    Value full = parsed(entry_to_json(entry, graph));
    Value shown = Value::map({{"id", full["id"]},
                              {"route", full["route"]},
                              {"status", full["status"]},
                              {"prev", full["prev"]},
                              {"next", full["next"]}});
    if (entry.term) shown.set("term", true);
    if (entry.retry) shown.set("retry_tally", entry.retry->tally);
    out.push_back(std::move(shown));
  }
  return out;
}

Value staged_to_value(const State& state, const Graph& graph) {
  Value out = Value::list();
  for (const Staged& staged : state.staged) {
    out.push_back(Value::map(
        {{"id", graph.node(staged.task).name}, {"route", staged.route}, {"ready", staged.ready}}));
  }
  return out;
}

// One recorded run, on a conductor of its own.
class Run {
 public:
  Run(const Value& recorded, DefinitionPtr definition, expr::Engine& engine, bool written_out)
      : recorded_(recorded),
        definition_(std::move(definition)),
        lookup_(Value(), recorded["kv"]),
        environment_{.engine = engine, .outside = &lookup_},
        written_out_(written_out) {
    conductor_.emplace(definition_, State(), environment_);
  }

  Verdict begin() {
    auto begun = conductor_->begin(recorded_["context"], recorded_["inputs"]);
    return begun.ok() ? Verdict() : begun.error().message();
  }

  Verdict run() {
    for (size_t i = 0; i < recorded_["ops"].size(); ++i) {
      const Value& op = recorded_["ops"].as_list()[i];
      Verdict verdict = step(op);
      if (!verdict.empty()) {
        return fmt::format("operation {} {} {}: {}", i, op.string_or("op", ""),
                           op.string_or("task", op.string_or("status", "")), verdict);
      }
    }
    return check_final(recorded_["final"]);
  }

  // Runs one operation and says how long the conductor took.
  Verdict step(const Value& op) {
    if (written_out_) write_out();
    const Value& expect = op["expect"];
    std::string_view kind = op.string_or("op", "");
    if (kind == "rerun") errors_seen_ = SIZE_MAX;
    auto done = operate(kind, op);
    if (expect.find("raises")) {
      if (done.ok()) return fmt::format("expected the error {}", shown(expect["raises"]));
      errors_seen_ = conductor_->state().errors.size();
      return differ("error", expect["raises"], Value(reference_name(done.error())));
    }
    if (!done.ok()) return "error: " + done.error().message();
    if (!done->empty()) return *done;
    if (expect.find("workflow_status")) {
      Verdict status = differ("workflow status", expect["workflow_status"],
                              Value(to_string(conductor_->state().status)));
      if (!status.empty()) return status;
    }
    const Value& added = expect["errors_added"];
    Verdict errors =
        differ("errors added", added.is_list() ? comparable_errors(added) : Value::list(),
               errors_from(conductor_->state(), errors_seen_));
    errors_seen_ = conductor_->state().errors.size();
    return errors;
  }

  double last_us() const { return last_us_; }

 private:
  void write_out() {
    store_.write(*conductor_);
    const Graph& graph = definition_->graph();
    State state = store_.read(graph);
    Value before = to_value(conductor_->state(), graph);
    Value after = to_value(state, graph);
    ASSERT_MSG(before == after, "the pieces that are said to have changed are not all that did:\n" +
                                    to_json(before) + "\n" + to_json(after));
    conductor_.emplace(definition_, std::move(state), environment_);
  }

  template <typename Operation>
  auto timed(Operation operation) {
    auto start = std::chrono::steady_clock::now();
    auto result = operation();
    auto spent = std::chrono::steady_clock::now() - start;
    last_us_ = std::chrono::duration<double, std::micro>(spent).count();
    return result;
  }

  // The verdict on what the operation itself returned.
  Result<Verdict> operate(std::string_view kind, const Value& op) {
    const Value& expect = op["expect"];
    if (kind == "request_status") {
      auto status = parse_status(op.string_or("status", ""));
      if (!status) return Error(ErrorKind::Invalid, "", "InvalidStatus: of the recording");
      TRY(conductor_->request_status(*status));
      return Verdict();
    }
    if (kind == "next_tasks") {
      TRY(auto tasks, timed([&] { return conductor_->next_tasks(); }));
      Value found = Value::list();
      for (const NextTask& task : tasks) found.push_back(task_to_value(task));
      return differ("tasks", expect["tasks"], found);
    }
    if (kind == "event") {
      TaskEvent event = read_event(op["event"]);
      auto route = static_cast<RouteId>(op.int_or("route", 0));
      std::string_view task = op.string_or("task", "");
      note(op, event);
      bool needs_results = conductor_->needs_results(task, route, event);
      Status before = status_of(task, route);
      TRY(EntryIndex index, timed([&] { return conductor_->event(task, route, event); }));
      const Entry& entry = conductor_->state().entry(index);
      bool ended = entry.status != before && kCompleted.has(entry.status);
      if (event.item && ended && !needs_results) return Verdict("the task ended without results");
      return check_entry(expect, entry);
    }
    if (kind == "render_output") {
      TRY(conductor_->render_output());
      return differ("output", expect["output"], conductor_->state().output);
    }
    ASSERT(kind == "rerun");
    TRY(conductor_->rerun(read_requests(op["tasks"])));
    errors_seen_ = conductor_->state().errors.size();
    return Verdict();
  }

  Status status_of(std::string_view task, RouteId route) const {
    auto id = definition_->graph().find(task);
    auto index = id ? conductor_->state().last(*id, route) : std::nullopt;
    return index ? conductor_->state().entry(*index).status : Status::Null;
  }

  static std::vector<RerunRequest> read_requests(const Value& tasks) {
    std::vector<RerunRequest> requests;
    if (!tasks.is_list()) return requests;
    for (const Value& task : tasks.as_list()) {
      requests.push_back({std::string(task.string_or("task_id", "")),
                          static_cast<RouteId>(task.int_or("route", 0)),
                          task.bool_or("reset_items", false)});
    }
    return requests;
  }

  static TaskEvent read_event(const Value& event) {
    TaskEvent out{.status = parse_status(event.string_or("status", "")).value_or(Status::Null),
                  .result = event["result"],
                  .accumulated = event["accumulated_result"]};
    if (event.find("item_id")) out.item = static_cast<size_t>(event.int_or("item_id", 0));
    return out;
  }

  static Verdict check_entry(const Value& expect, const Entry& entry) {
    Verdict status = differ("task status", expect["task_status"], Value(to_string(entry.status)));
    if (!status.empty() || !expect.find("retry_tally")) return status;
    return differ("retry tally", expect["retry_tally"],
                  entry.retry ? Value(entry.retry->tally) : Value());
  }

  // What task() gives from now on, this event's own expressions included: the last result, or
  // those of the items so far.
  void note(const Value& op, const TaskEvent& event) {
    std::string_view id = op.string_or("task", "");
    int64_t route = op.int_or("route", 0);
    Value result = event.result;
    if (event.item) {
      const Value* known = lookup_.noted_task(id, route);
      Value items = known ? (*known)["result"]["items"] : Value::list();
      if (!event.accumulated.is_null()) items = event.accumulated;
      result = Value::map({{"items", items}});
    }
    lookup_.note_task(id, route,
                      Value::map({{"task_id", id},
                                  {"task_name", id},
                                  {"route", route},
                                  {"status", to_string(event.status)},
                                  {"result", std::move(result)}}));
  }

  Verdict check_final(const Value& final) {
    const State& state = conductor_->state();
    const Graph& graph = definition_->graph();
    Value contexts = Value::list();
    for (const Value& context : state.contexts) contexts.push_back(without_private(context));
    const std::pair<std::string_view, Value> parts[] = {
        {"workflow_status", Value(to_string(state.status))},
        {"output", state.output},
        {"errors", errors_from(state, 0)},
        {"routes", parsed(head_to_json(state, graph))["routes"]},
        {"sequence", sequence_to_value(state, graph)},
        {"contexts", contexts},
        {"staged", staged_to_value(state, graph)}};
    for (const auto& [name, found] : parts) {
      Value expected = name == "errors" ? comparable_errors(final[name]) : final[name];
      Verdict verdict = differ(name, expected, found);
      if (!verdict.empty()) return "at the end: " + verdict;
    }
    if (!final.find("terminal_context")) return {};
    Verdict verdict = differ("terminal_context", final["terminal_context"],
                             without_private(conductor_->terminal_context()));
    return verdict.empty() ? verdict : "at the end: " + verdict;
  }

  const Value& recorded_;
  DefinitionPtr definition_;
  RecordedLookup lookup_;
  Environment environment_;
  bool written_out_;
  std::optional<Conductor> conductor_;
  Store store_;
  size_t errors_seen_ = 0;
  double last_us_ = 0;
};

Result<DefinitionPtr> compile(const Value& recorded, expr::Engine& engine) {
  TRY(YamlNode document, parse_yaml(recorded.string_or("workflow", ""), "workflow"));
  return Definition::compile(document.value, engine, expr::Mode::Orquesta);
}

double median(std::vector<double>& values) {
  if (values.empty()) return 0;
  auto middle = values.begin() + static_cast<ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

Verdict run_conducting(const Value& recorded, bool written_out) {
  expr::Engine engine;
  auto definition = compile(recorded, engine);
  if (!definition.ok()) return definition.error().describe();
  Run run(recorded, *definition, engine, written_out);
  Verdict begun = run.begin();
  return begun.empty() ? run.run() : begun;
}

Value time_conducting(const std::vector<Value>& cases) {
  constexpr int kRounds = 5;
  std::map<std::string, std::vector<double>> times;
  expr::Engine engine;
  for (int round = 0; round < kRounds; ++round) {
    for (const Value& recorded : cases) {
      auto definition = compile(recorded, engine);
      if (!definition.ok()) continue;
      Run run(recorded, *definition, engine, false);
      if (!run.begin().empty()) continue;
      for (const Value& op : recorded["ops"].as_list()) {
        if (!run.step(op).empty()) break;
        times[std::string(op.string_or("op", ""))].push_back(run.last_us());
      }
    }
  }
  return Value::map(
      {{"event", median(times["event"])}, {"next_tasks", median(times["next_tasks"])}});
}

}  // namespace millrace::conformance
