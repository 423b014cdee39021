// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>
#include <set>

#include "base/text.h"
#include "conductor/bits.h"
#include "conductor/inspect_checks.h"

namespace millrace::conductor {
namespace {

class SemanticsCheck {
 public:
  SemanticsCheck(const Spec& spec, const Flow& flow, std::vector<Finding>& findings)
      : spec_(spec), flow_(flow), findings_(findings), most_(findings.size() + kMostFindings) {}

  void run() {
    for (const Task& task : spec_.tasks) {
      names_.push_back(task.name);
      tasks_.emplace(task.name, &task);
      for (const Transition& transition : task.next) {
        targets_.insert(transition.targets.begin(), transition.targets.end());
      }
    }
    for (const Task& task : spec_.tasks) {
      if (is_command(task.name)) {
        task_problem(task.name, fmt::format("the task name '{}' is a command of the engine: choose "
                                            "another name",
                                            task.name));
      }
    }
    if (!spec_.tasks.empty() && flow_.starts().empty()) {
      add("tasks", std::string(kTasksSchema),
          "no task to start with: every task is led to by another; add one that leads into the "
          "loop");
    }
    undefined_tasks();
    unreachable_joins();
    for (const Task& task : spec_.tasks) {
      if (task.items && task.action.is_null()) {
        task_problem(task.name, fmt::format("task '{}': 'with' needs an 'action'", task.name));
      }
      if (spec_.mode == expr::Mode::Native) native_keys(task);
    }
  }

 private:
  void add(std::string path, std::string schema_path, std::string message) {
    findings_.push_back({.cls = FindingClass::Semantics,
                         .message = std::move(message),
                         .path = std::move(path),
                         .schema_path = std::move(schema_path)});
  }

  void task_problem(std::string_view task, std::string message) {
    add(fmt::format("tasks.{}", task), std::string(kTaskSchema), std::move(message));
  }

  void undefined_tasks() {
    std::vector<std::string_view> names(std::begin(kCommands), std::end(kCommands));
    for (const Task& task : spec_.tasks) names.push_back(task.name);
    std::set<int> seen;
    std::deque<int> queue;
    auto visit = [&](int task) {
      if (flow_.task(task) && seen.insert(task).second) queue.push_back(task);
    };
    for (int start : flow_.starts()) visit(start);
    while (!queue.empty()) {
      int at = queue.front();
      queue.pop_front();
      for (const Flow::Exit& exit : flow_.exits(at)) {
        if (exit.target == Flow::kUnknown) {
          undefined(flow_.name(at), exit, names);
        } else {
          visit(exit.target);
        }
      }
    }
  }

  void undefined(std::string_view task, const Flow::Exit& exit,
                 const std::vector<std::string_view>& names) {
    if (findings_.size() >= most_) return;
    add(fmt::format("tasks.{}.next[{}].do", task, exit.transition),
        fmt::format("{}.properties.next.items.properties.do", kTaskSchema),
        fmt::format("task '{}': undefined task '{}'{}", task, exit.name,
                    did_you_mean(exit.name, names)));
  }

  void native_keys(const Task& task) {
    auto problem = [&](std::string_view what) {
      task_problem(task.name, fmt::format("task '{}': {}", task.name, what));
    };
    if (task.waits_for_answer && (!task.action.is_null() || task.items)) {
      problem("'wait_for' takes no 'action' and no 'with'");
    }
    auto branches = std::ranges::count_if(task.next, &Transition::is_else);
    if (branches > 1) problem("more than one 'else' in 'next'");
    for (const Transition& transition : task.next) {
      if (transition.is_else && !transition.when.is_null()) {
        problem("'else' and 'when' in one transition");
      }
    }
    if (!task.compensate.empty()) compensation(task);
  }

  // A task that undoes another one stands by itself: nothing leads to it, it leads nowhere.
  void compensation(const Task& task) {
    if (findings_.size() >= most_) return;
    std::string place = fmt::format("tasks.{}.compensate", task.name);
    std::string schema = fmt::format("{}.properties.compensate", kTaskSchema);
    auto undone_by = tasks_.find(task.compensate);
    if (undone_by == tasks_.end()) {
      add(place, schema,
          fmt::format("task '{}': undefined task '{}'{}", task.name, task.compensate,
                      did_you_mean(task.compensate, names_)));
      return;
    }
    const Task& undoing = *undone_by->second;
    if (targets_.contains(task.compensate) || !undoing.next.empty() || undoing.is_join() ||
        !undoing.compensate.empty()) {
      add(place, schema,
          fmt::format("task '{}': '{}' undoes it and must stand alone, without 'next', 'join' and "
                      "'compensate', and no task may lead to it",
                      task.name, task.compensate));
    }
  }

  // What leads to a task, and which split tasks may lie on the way.
  struct Reach {
    Bits splits;
    std::set<int> sources;
  };

  // A join is unreachable if the ways into it passed different splits: each split makes routes of
  // its own, and the join cannot know at which level to wait.
  void unreachable_joins() {
    std::map<int, Reach> reached = reach();
    for (int task = 0; task < flow_.count(); ++task) {
      auto found = reached.find(task);
      if (found == reached.end() || !flow_.is_join(task)) continue;
      const Reach& reach = found->second;
      bool same = std::ranges::all_of(
          reach.sources, [&](int source) { return reached[source].splits == reach.splits; });
      if (same) continue;
      task_problem(flow_.name(task),
                   fmt::format("the join '{}' cannot be reached: the ways into it pass different "
                               "forks from tasks that several others lead to, and the engine "
                               "cannot tell at which level to join",
                               flow_.name(task)));
    }
  }

  std::map<int, Reach> reach() {
    struct Visit {
      int source;
      int task;
      Bits splits;
    };
    std::map<int, Reach> reached;
    std::map<std::pair<int, int>, Bits> seen;
    std::deque<Visit> queue;
    for (int start : flow_.starts()) queue.push_back({Flow::kUnknown, start, {}});
    while (!queue.empty()) {
      Visit visit = std::move(queue.front());
      queue.pop_front();
      if (flow_.is_split(visit.task) && !flow_.in_cycle(visit.task))
        visit.splits.add(static_cast<size_t>(visit.task));
      Reach& here = reached[visit.task];
      here.splits.unite(visit.splits);
      if (visit.source != Flow::kUnknown) here.sources.insert(visit.source);
      for (const Flow::Exit& exit : flow_.exits(visit.task)) {
        if (exit.target == Flow::kUnknown || !flow_.task(exit.target)) continue;
        if (reached.contains(exit.target) && flow_.in_cycle(exit.target)) continue;
        auto [known, is_new] = seen.try_emplace({visit.task, exit.target});
        if (!is_new && known->second.includes(visit.splits)) continue;
        known->second.unite(visit.splits);
        queue.push_back({visit.task, exit.target, visit.splits});
      }
    }
    return reached;
  }

  const Spec& spec_;
  std::vector<std::string_view> names_;  // of its tasks
  std::map<std::string_view, const Task*> tasks_;
  std::set<std::string_view> targets_;  // of all transitions
  const Flow& flow_;
  std::vector<Finding>& findings_;
  const size_t most_;
};

}  // namespace

void check_semantics(const Spec& spec, const Flow& flow, std::vector<Finding>& findings) {
  SemanticsCheck(spec, flow, findings).run();
}

}  // namespace millrace::conductor
