// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <deque>
#include <map>
#include <set>

#include "base/text.h"
#include "conductor/inline_params.h"
#include "conductor/inspect_checks.h"

namespace millrace::conductor {
namespace {

using Names = std::set<std::string>;

// Follows the ways through the workflow with the variables that are set on each, and reports those
// that are read before.
class ContextCheck {
 public:
  ContextCheck(const Value& document, const Spec& spec, const Flow& flow, expr::Engine& engine,
               std::vector<Finding>& findings)
      : document_(document), spec_(spec), flow_(flow), engine_(engine), findings_(findings) {}

  void run(Names known) {
    read_and_set(Place().member("input"), document_["input"], known);
    read_and_set(Place().member("vars"), document_["vars"], known);
    Names everything = walk_tasks(known);
    read_and_set(Place().member("output"), document_["output"], everything);
  }

 private:
  // The tasks breadth first from the starts. A join takes what has been set on the ways that came
  // before its turn, as in the reference. Returns the names of all ways together.
  Names walk_tasks(const Names& start) {
    struct Visit {
      int task;
      Names known;
    };
    std::deque<Visit> queue;
    std::set<std::pair<int, Names>> planned;
    std::map<int, Names> joined;
    std::set<int> traversed;
    Names everything = start;
    auto plan = [&](int task, const Names& known) {
      if (planned.emplace(task, known).second) queue.push_back({task, known});
    };
    for (int task : flow_.starts()) plan(task, start);
    while (!queue.empty()) {
      Visit visit = std::move(queue.front());
      queue.pop_front();
      traversed.insert(visit.task);
      const Task* task = flow_.task(visit.task);
      if (!task) {
        everything.insert(visit.known.begin(), visit.known.end());
        continue;
      }
      bool waits = joined.contains(visit.task);
      Names known = waits ? joined[visit.task] : visit.known;
      check_task(*task, known);
      everything.insert(known.begin(), known.end());
      for (size_t i = 0; i < task->next.size(); ++i) {
        Names after = known;
        check_transition(*task, i, after);
        for (const std::string& name : task->next[i].targets) {
          int target = flow_.find(name);
          if (target == Flow::kUnknown || traversed.contains(target)) continue;
          if (!joins(target)) {
            plan(target, after);
          } else {
            joined[target].insert(after.begin(), after.end());
            plan(target, joined[target]);
          }
        }
      }
    }
    return everything;
  }

  bool joins(int node) const { return flow_.is_join(node) && flow_.task(node)->join != Value(0); }

  void check_task(const Task& task, Names& known) {
    Place place = task_place(task.name);
    const Value& source = document_["tasks"][task.name];
    read(place.member("delay"), task.delay.source(), known);
    read(place.member("with").member("items"), source["with"]["items"], known);
    read(place.member("with").member("concurrency"), source["with"]["concurrency"], known);
    read(place.member("action"), task.action.source(), known);
    read(place.member("input"), task.input.source(), known);
  }

  void check_transition(const Task& task, size_t i, Names& known) {
    Place place = task_place(task.name).member("next").item(i);
    const Value& source = document_["tasks"][task.name]["next"];
    const Value& transition = source.as_list()[i];
    read(place.member("when"), transition["when"], known);
    read_and_set(place.member("publish"), transition["publish"], known);
    read(place.member("do"), transition["do"], known);
  }

  void read(const Place& place, const Value& value, Names& known) {
    visit(place, value, known, false);
  }
  void read_and_set(const Place& place, const Value& value, Names& known) {
    visit(place, value, known, true);
  }

  void visit(const Place& place, const Value& value, Names& known, bool sets) {
    Value looked_at = value;
    if (value.is_string()) {
      // Also of an expression with `a=1` inside, as in the reference.
      auto params = parse_inline_params(value.as_string());
      if (!params.empty()) looked_at = as_list(std::move(params));
    }
    if (!looked_at.is_list()) {
      look(place, looked_at, known);
      if (sets) set(looked_at, known);
      return;
    }
    for (size_t i = 0; i < looked_at.size(); ++i) {
      look(place.element(i), looked_at.as_list()[i], known);
      if (sets) set(looked_at.as_list()[i], known);
    }
  }

  static Value as_list(std::vector<std::pair<std::string, Value>> params) {
    Value list = Value::list();
    for (auto& [name, value] : params) list.push_back(Value::map({{name, std::move(value)}}));
    return list;
  }

  static void set(const Value& item, Names& known) {
    if (item.is_string()) known.emplace(item.as_string());
    if (!item.is_map()) return;
    for (const auto& entry : item.as_map()) known.emplace(entry.name());
  }

  void look(const Place& place, const Value& value, const Names& known) {
    for (const auto& variable : engine_.variables(value, spec_.mode)) {
      if (variable.name.starts_with("__")) {
        report(place, variable,
               fmt::format("the variable '{}' is private: names that begin with '__' belong to the "
                           "engine",
                           variable.name));
      }
      if (known.contains(variable.name)) continue;
      std::vector<std::string> names(known.begin(), known.end());
      report(place, variable,
             fmt::format("the variable '{}' is read before it is set{}", variable.name,
                         did_you_mean(variable.name, names)));
    }
  }

  void report(const Place& place, const expr::VariableRead& variable, std::string message) {
    findings_.push_back({.cls = FindingClass::Context,
                         .message = std::move(message),
                         .path = place.path,
                         .schema_path = place.schema,
                         .language = variable.language,
                         .expression = variable.text});
  }

  const Value& document_;
  const Spec& spec_;
  const Flow& flow_;
  expr::Engine& engine_;
  std::vector<Finding>& findings_;
};

}  // namespace

void check_context(const Value& document, const Spec& spec, const Flow& flow, expr::Engine& engine,
                   const std::vector<std::string>& known, std::vector<Finding>& findings) {
  ContextCheck(document, spec, flow, engine, findings).run(Names(known.begin(), known.end()));
}

}  // namespace millrace::conductor
