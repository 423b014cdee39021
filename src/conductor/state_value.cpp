// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "base/json.h"
#include "conductor/state.h"

namespace millrace::conductor {
namespace {

// Writes a map as JSON, entry by entry: a Value would be made only to be taken apart again.
class MapText {
 public:
  explicit MapText(std::string& out) : out_(out) { out_ += '{'; }
  ~MapText() { out_ += '}'; }
  MapText(const MapText&) = delete;
  // Where the value of the next entry is to be appended.
  std::string& at(std::string_view key) {
    if (!is_empty_) out_ += ',';
    is_empty_ = false;
    append_json_string(out_, key);
    out_ += ':';
    return out_;
  }
  void set(std::string_view key, const Value& value) { append_json(at(key), value); }
  void text(std::string_view key, std::string_view value) { append_json_string(at(key), value); }

 private:
  std::string& out_;
  bool is_empty_ = true;
};

template <typename Items, typename Append>
void append_list(std::string& out, const Items& items, Append append) {
  out += '[';
  bool is_first = true;
  for (const auto& item : items) {
    if (!is_first) out += ',';
    is_first = false;
    append(item);
  }
  out += ']';
}

void append_numbers(std::string& out, const std::vector<int>& list) {
  append_list(out, list, [&](int number) { append_json(out, number); });
}

void append_previous(std::string& out, const Previous& prev, const Graph& graph) {
  MapText map(out);
  for (const auto& [edge, index] : prev) map.set(graph.in_name(edge), index);
}

void append_staged(std::string& out, const Staged& staged, const Graph& graph) {
  MapText map(out);
  map.text("id", graph.node(staged.task).name);
  map.set("route", staged.route);
  append_numbers(map.at("in"), staged.in);
  append_previous(map.at("prev"), staged.prev, graph);
  map.set("ready", staged.ready);
  if (staged.completed) map.set("completed", true);
  if (staged.run_on_fail) map.set("run_on_fail", true);
  if (staged.retry_delay) map.set("retry_delay", *staged.retry_delay);
  if (staged.compensates) map.set("compensates", *staged.compensates);
  if (staged.items) map.set("items_count", static_cast<int64_t>(staged.items->size()));
  if (staged.items_seen) map.set("items_seen", static_cast<int64_t>(*staged.items_seen));
}

void append_routes(std::string& out, const std::vector<Route>& routes, const Graph& graph) {
  append_list(out, routes, [&](const Route& route) {
    append_list(out, route, [&](const RouteStep& step) {
      append_json_string(out, edge_name(graph.node(step.source).name, step.key));
    });
  });
}

// Of a task that was run again an edge may have been told before: the last time counts.
void append_next(std::string& out, const Entry& entry, const Graph& graph) {
  MapText map(out);
  for (auto told = entry.next.begin(); told != entry.next.end(); ++told) {
    bool is_last = std::none_of(told + 1, entry.next.end(),
                                [&](const auto& later) { return later.first == told->first; });
    if (is_last) map.set(graph.out_name(told->first), told->second);
  }
}

void append_retry(std::string& out, const RetryState& retry) {
  MapText map(out);
  map.set("count", retry.count);
  map.set("delay", retry.delay);
  map.set("tally", retry.tally);
  if (!retry.max_delay.is_null()) map.set("max_delay", retry.max_delay);
}

// Reads the written form. The first damage is kept; what follows it reads as empty.
class StateReader {
 public:
  explicit StateReader(const Graph& graph) : graph_(graph) {}

  Result<State> read(const Pieces& pieces) {
    State state;
    read_head(pieces.head, state);
    state.contexts = pieces.contexts;
    for (const Value& entry : pieces.entries) state.append(read_entry(entry));
    for (const Value& error : pieces.errors) state.errors.push_back(LogEntry::from_value(error));
    for (const ItemStatus& item : pieces.items) read_item(item, state);
    check_indexes(state);
    if (!damage_.empty()) {
      return Error(ErrorKind::Internal, "CND-0011",
                   fmt::format("the state of the workflow cannot be read: {}", damage_));
    }
    return state;
  }

 private:
  void damaged(std::string what) {
    if (damage_.empty()) damage_ = std::move(what);
  }

  void read_head(const Value& head, State& state) {
    if (head.int_or("version", 0) != State::kVersion) {
      damaged(fmt::format("version {}, expected {}", head.int_or("version", 0), State::kVersion));
    }
    state.status = read_status(head["status"]);
    state.parameters = head["parameters"];
    state.output = head["output"];
    for (const Value& route : list(head["routes"])) state.routes.push_back(read_route(route));
    for (const Value& staged : list(head["staged"])) state.staged.push_back(read_staged(staged));
    state.undoable = read_numbers(head["undoable"]);
    for (const Value& rerun : list(head["reruns"])) state.reruns.push_back(read_numbers(rerun));
  }

  Entry read_entry(const Value& value) {
    Entry entry{.task = read_task(value["id"]),
                .route = read_number(value["route"]),
                .status = read_status(value["status"]),
                .in = read_numbers(value["ctxs"]["in"]),
                .term = value.bool_or("term", false),
                .held = value.bool_or("held", false),
                .compensates = read_optional(value.find("compensates"))};
    entry.prev = read_previous(value["prev"], entry.task);
    for (const auto& [name, fired] : map(value["next"])) {
      if (auto edge = graph_.find_out(entry.task, name.as_string())) {
        entry.next.emplace_back(*edge, expr::truthy(fired));
      } else {
        damaged(fmt::format("unknown transition '{}'", name.as_string()));
      }
    }
    for (const auto& [name, context] : map(value["ctxs"]["out"])) {
      if (auto edge = graph_.find_out(entry.task, name.as_string())) {
        entry.out = {*edge, read_number(context)};
      }
    }
    if (const Value* retry = value.find("retry")) {
      entry.retry = RetryState{.count = (*retry)["count"],
                               .delay = (*retry)["delay"],
                               .max_delay = (*retry)["max_delay"],
                               .tally = retry->int_or("tally", 0)};
    }
    return entry;
  }

  Staged read_staged(const Value& value) {
    Staged staged{.task = read_task(value["id"]),
                  .route = read_number(value["route"]),
                  .in = read_numbers(value["in"]),
                  .ready = value.bool_or("ready", false),
                  .completed = value.bool_or("completed", false),
                  .run_on_fail = value.bool_or("run_on_fail", false)};
    staged.prev = read_previous(value["prev"], staged.task);
    if (const Value* delay = value.find("retry_delay")) staged.retry_delay = *delay;
    staged.compensates = read_optional(value.find("compensates"));
    if (const Value* count = value.find("items_count")) {
      staged.items = ItemList(static_cast<size_t>(read_number(*count)));
    }
    if (const Value* seen = value.find("items_seen")) {
      staged.items_seen = static_cast<size_t>(read_number(*seen));
    }
    return staged;
  }

  void read_item(const ItemStatus& item, State& state) {
    Staged* staged = state.find_staged(item.task, item.route);
    if (!staged || !staged->items || item.item >= staged->items->size()) {
      return damaged(fmt::format("item {} of a task without it", item.item));
    }
    staged->items->set(item.item, item.status);
  }

  Route read_route(const Value& value) {
    Route route;
    for (const Value& step : list(value)) {
      auto parsed = step.is_string() ? parse_edge_name(step.as_string()) : std::nullopt;
      auto source = parsed ? graph_.find(parsed->first) : std::nullopt;
      if (!source) {
        damaged("a route through an unknown task");
        continue;
      }
      route.push_back({*source, parsed->second});
    }
    return route;
  }

  Previous read_previous(const Value& value, NodeId task) {
    Previous prev;
    for (const auto& [name, index] : map(value)) {
      if (auto edge = graph_.find_in(task, name.as_string())) {
        prev.emplace_back(*edge, read_number(index));
      } else {
        damaged(fmt::format("unknown transition '{}'", name.as_string()));
      }
    }
    return prev;
  }

  NodeId read_task(const Value& value) {
    if (value.is_string()) {
      if (auto id = graph_.find(value.as_string())) return *id;
      damaged(fmt::format("unknown task '{}'", value.as_string()));
    } else {
      damaged("a task without a name");
    }
    // Node 0 exists in every graph that a state was made for.
    return 0;
  }

  Status read_status(const Value& value) {
    if (value.is_null()) return Status::Null;
    auto status = value.is_string() ? parse_status(value.as_string()) : std::nullopt;
    if (!status) damaged("an unknown status");
    return status.value_or(Status::Null);
  }

  int read_number(const Value& value) {
    if (value.is_int() && value.as_int() >= 0 && value.as_int() <= INT32_MAX) {
      return static_cast<int>(value.as_int());
    }
    damaged("a number is missing");
    return 0;
  }

  std::optional<int> read_optional(const Value* value) {
    return value ? std::optional(read_number(*value)) : std::nullopt;
  }

  std::vector<int> read_numbers(const Value& value) {
    std::vector<int> out;
    for (const Value& number : list(value)) out.push_back(read_number(number));
    return out;
  }

  // Every index that the conductor follows without looking.
  void check_indexes(const State& state) {
    auto contexts = static_cast<int>(state.contexts.size());
    auto entries = static_cast<int>(state.sequence().size());
    auto routes = static_cast<int>(state.routes.size());
    auto check = [&](RouteId route, const ContextList& in, const Previous& prev) {
      if (route >= routes) damaged("a route that does not exist");
      for (ContextIndex context : in) {
        if (context >= contexts) damaged("a context that does not exist");
      }
      for (const auto& [edge, index] : prev) {
        if (index >= entries) damaged("an entry that does not exist");
      }
    };
    for (const Entry& entry : state.sequence()) check(entry.route, entry.in, entry.prev);
    for (const Staged& staged : state.staged) check(staged.route, staged.in, staged.prev);
    auto check_run = [&](std::optional<EntryIndex> index) {
      if (index && *index >= entries) damaged("an entry that does not exist");
    };
    for (EntryIndex index : state.undoable) check_run(index);
    for (const Entry& entry : state.sequence()) check_run(entry.compensates);
    for (const Staged& staged : state.staged) check_run(staged.compensates);
  }

  static const ValueList& list(const Value& value) {
    static const Value none = Value::list();
    return (value.is_list() ? value : none).as_list();
  }
  static const ValueMap& map(const Value& value) {
    static const Value none = Value::map();
    return (value.is_map() ? value : none).as_map();
  }

  const Graph& graph_;
  std::string damage_;
};

}  // namespace

Value LogEntry::to_value() const {
  Value out = Value::map({{"type", type}, {"message", message}});
  if (!task.empty()) out.set("task_id", task);
  if (route) out.set("route", *route);
  if (!transition.empty()) out.set("task_transition_id", transition);
  if (!result.is_null()) out.set("result", result);
  return out;
}

LogEntry LogEntry::from_value(const Value& value) {
  LogEntry entry{.type = std::string(value.string_or("type", "error")),
                 .message = std::string(value.string_or("message", "")),
                 .task = std::string(value.string_or("task_id", "")),
                 .transition = std::string(value.string_or("task_transition_id", "")),
                 .result = value["result"]};
  if (value.find("route")) entry.route = static_cast<RouteId>(value.int_or("route", 0));
  return entry;
}

std::string head_to_json(const State& state, const Graph& graph) {
  std::string out;
  {
    MapText head(out);
    head.set("version", State::kVersion);
    head.text("status", to_string(state.status));
    head.set("parameters", state.parameters);
    head.set("output", state.output);
    append_routes(head.at("routes"), state.routes, graph);
    append_list(head.at("staged"), state.staged,
                [&](const Staged& staged) { append_staged(out, staged, graph); });
    if (!state.undoable.empty()) append_numbers(head.at("undoable"), state.undoable);
    if (!state.reruns.empty()) {
      append_list(head.at("reruns"), state.reruns,
                  [&](const auto& rerun) { append_numbers(out, rerun); });
    }
  }
  return out;
}

std::string entry_to_json(const Entry& entry, const Graph& graph) {
  std::string out;
  {
    MapText map(out);
    map.text("id", graph.node(entry.task).name);
    map.set("route", entry.route);
    {
      MapText ctxs(map.at("ctxs"));
      append_numbers(ctxs.at("in"), entry.in);
      if (entry.out) {
        MapText(ctxs.at("out")).set(graph.out_name(entry.out->first), entry.out->second);
      }
    }
    append_previous(map.at("prev"), entry.prev, graph);
    append_next(map.at("next"), entry, graph);
    if (entry.status != Status::Null) map.text("status", to_string(entry.status));
    if (entry.retry) append_retry(map.at("retry"), *entry.retry);
    if (entry.term) map.set("term", true);
    if (entry.held) map.set("held", true);
    if (entry.compensates) map.set("compensates", *entry.compensates);
  }
  return out;
}

Value to_value(const State& state, const Graph& graph) {
  auto parsed = [](const std::string& text) { return *parse_json(text, kOwnJson); };
  Value out = parsed(head_to_json(state, graph));
  Value entries = Value::list();
  for (const Entry& entry : state.sequence()) {
    entries.push_back(parsed(entry_to_json(entry, graph)));
  }
  Value errors = Value::list();
  for (const LogEntry& error : state.errors) errors.push_back(error.to_value());
  Value items = Value::list();
  for (const Staged& staged : state.staged) {
    for (size_t i = 0; staged.items && i < staged.items->size(); ++i) {
      if ((*staged.items)[i] == Status::Null) continue;
      items.push_back(Value::map({{"id", graph.node(staged.task).name},
                                  {"route", staged.route},
                                  {"item", static_cast<int64_t>(i)},
                                  {"status", to_string((*staged.items)[i])}}));
    }
  }
  out.set("contexts", Value(ValueList(state.contexts)));
  out.set("sequence", std::move(entries));
  out.set("errors", std::move(errors));
  out.set("items", std::move(items));
  return out;
}

Result<State> state_from_pieces(const Pieces& pieces, const Graph& graph) {
  return StateReader(graph).read(pieces);
}

Result<State> state_from_value(const Value& value, const Graph& graph) {
  auto list = [&](std::string_view key) {
    const Value* found = value.find(key);
    return found && found->is_list() ? found->as_list() : ValueList{};
  };
  Pieces pieces{.head = value,
                .contexts = list("contexts"),
                .entries = list("sequence"),
                .errors = list("errors")};
  for (const Value& item : list("items")) {
    auto task = graph.find(item.string_or("id", ""));
    auto status = parse_status(item.string_or("status", ""));
    if (!task || !status) {
      return Error(ErrorKind::Internal, "CND-0011",
                   "the state of the workflow cannot be read: an item of an unknown task");
    }
    pieces.items.push_back({*task, static_cast<RouteId>(item.int_or("route", 0)),
                            static_cast<size_t>(item.int_or("item", 0)), *status});
  }
  return state_from_pieces(pieces, graph);
}

}  // namespace millrace::conductor
