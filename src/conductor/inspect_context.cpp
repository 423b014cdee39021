// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>
#include <set>
#include <unordered_map>

#include "base/hash.h"
#include "base/text.h"
#include "conductor/bits.h"
#include "conductor/inline_params.h"
#include "conductor/inspect_checks.h"

namespace millrace::conductor {
namespace {

// The variables that are set when a place is reached.
struct Known {
  Bits always;     // on all ways
  Bits sometimes;  // on some

  void meet(const Known& other) {
    always.intersect(other.always);
    sometimes.unite(other.sometimes);
  }
};

// Follows the ways through the workflow with the variables that are set on each, and reports those
// that are read before. Ways that come to a task together are one: what all of them have set is
// known there. Following each way on its own takes twice as long with each task.
class ContextCheck {
 public:
  ContextCheck(const Value& document, const Spec& spec, const Flow& flow, expr::Engine& engine,
               std::vector<Finding>& findings)
      : document_(document),
        spec_(spec),
        flow_(flow),
        engine_(engine),
        findings_(findings),
        most_(findings.size() + kMostFindings) {}

  void run(const std::vector<std::string>& names) {
    Known known;
    for (const std::string& name : names) set_name(name, known);
    read_and_set(Place().member("input"), document_["input"], known);
    read_and_set(Place().member("vars"), document_["vars"], known);
    Bits everything = walk_tasks(known);
    known = {everything, everything};
    read_and_set(Place().member("output"), document_["output"], known);
  }

 private:
  // The tasks breadth first from the starts; one that was looked at is not gone to again. So all
  // ways to it are of one length or of the next one, and those of one length are one visit. A join
  // takes what has been set on the ways that came before its turn, as in the reference. Returns the
  // names of all ways together.
  Bits walk_tasks(const Known& start) {
    struct Visit {
      int task;
      int length;
      bool operator==(const Visit&) const = default;
      auto operator<=>(const Visit&) const = default;
    };
    std::deque<Visit> queue;
    std::map<Visit, Known> planned;
    std::map<int, Bits> joined;
    std::set<int> traversed;
    Bits everything = start.sometimes;
    auto plan = [&](Visit visit, const Known& known) {
      auto [place, is_new] = planned.try_emplace(visit, known);
      if (is_new) {
        queue.push_back(visit);
      } else {
        place->second.meet(known);
      }
    };
    for (int task : flow_.starts()) plan({task, 0}, start);
    while (!queue.empty()) {
      Visit visit = queue.front();
      queue.pop_front();
      Known known = std::move(planned[visit]);
      traversed.insert(visit.task);
      const Task* task = flow_.task(visit.task);
      if (auto together = joined.find(visit.task); together != joined.end()) {
        known = {together->second, together->second};
      }
      everything.unite(known.sometimes);
      if (!task) continue;
      check_task(*task, known);
      for (size_t i = 0; i < task->next.size(); ++i) {
        Known after = known;
        check_transition(*task, i, after);
        for (const std::string& name : task->next[i].targets) {
          int target = flow_.find(name);
          if (target == Flow::kUnknown || traversed.contains(target)) continue;
          if (joins(target)) joined[target].unite(after.sometimes);
          plan({target, visit.length + 1}, after);
        }
      }
    }
    return everything;
  }

  bool joins(int node) const { return flow_.is_join(node) && flow_.task(node)->join != Value(0); }

  void check_task(const Task& task, Known& known) {
    Place place = task_place(task.name);
    const Value& source = document_["tasks"][task.name];
    read(place.member("delay"), task.delay.source(), known);
    read(place.member("with").member("items"), source["with"]["items"], known);
    read(place.member("with").member("concurrency"), source["with"]["concurrency"], known);
    read(place.member("action"), task.action.source(), known);
    read(place.member("input"), task.input.source(), known);
  }

  void check_transition(const Task& task, size_t i, Known& known) {
    Place place = task_place(task.name).member("next").item(i);
    const Value& source = document_["tasks"][task.name]["next"];
    const Value& transition = source.as_list()[i];
    read(place.member("when"), transition["when"], known);
    read_and_set(place.member("publish"), transition["publish"], known);
    read(place.member("do"), transition["do"], known);
  }

  void read(const Place& place, const Value& value, Known& known) {
    visit(place, value, known, false);
  }
  void read_and_set(const Place& place, const Value& value, Known& known) {
    visit(place, value, known, true);
  }

  void visit(const Place& place, const Value& value, Known& known, bool sets) {
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

  void set_name(std::string_view name, Known& known) {
    auto [entry, is_new] = numbers_.try_emplace(std::string(name), names_.size());
    if (is_new) names_.push_back(entry->first);
    known.always.add(entry->second);
    known.sometimes.add(entry->second);
  }
  void set(const Value& item, Known& known) {
    if (item.is_string()) set_name(item.as_string(), known);
    if (!item.is_map()) return;
    for (const auto& entry : item.as_map()) set_name(entry.name(), known);
  }
  bool is_known(const std::string& name, const Known& known) const {
    auto number = numbers_.find(name);
    return number != numbers_.end() && known.always.has(number->second);
  }

  void look(const Place& place, const Value& value, const Known& known) {
    for (const auto& variable : engine_.variables(value, spec_.mode)) {
      if (findings_.size() >= most_) return;
      if (variable.name.starts_with("__")) {
        report(place, variable,
               fmt::format("the variable '{}' is private: names that begin with '__' belong to the "
                           "engine",
                           variable.name));
      }
      if (is_known(variable.name, known)) continue;
      // Looking for the nearest name is dear, and no more findings are told.
      bool is_told = findings_.size() < most_ - kMostFindings + kMostProblems;
      std::vector<std::string_view> names;
      for (size_t i = 0; is_told && i < names_.size(); ++i) {
        if (known.always.has(i)) names.push_back(names_[i]);
      }
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
  const size_t most_;
  // The number of each name in Bits, and back.
  std::unordered_map<std::string, size_t, StringHash> numbers_;
  std::deque<std::string> names_;
};

}  // namespace

void check_context(const Value& document, const Spec& spec, const Flow& flow, expr::Engine& engine,
                   const std::vector<std::string>& known, std::vector<Finding>& findings) {
  ContextCheck(document, spec, flow, engine, findings).run(known);
}

}  // namespace millrace::conductor
