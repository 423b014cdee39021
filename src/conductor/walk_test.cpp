// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <random>

#include "base/json.h"
#include "base/yaml.h"
#include "conductor/conductor.h"

// Walks at random through workflows of every shape with events that fit and events that do not. A
// conductor whose state is written out and read back before each operation must not be told from
// one that is kept; no event may bring either down.
namespace millrace::conductor {
namespace {

constexpr std::string_view kForkJoin = R"(
tasks:
  a: {next: [{publish: [{x: {a: 1}}], do: 'b, c'}]}
  b:
    next:
      - {when: <% succeeded() %>, publish: [{x: {b: 1}}], do: d}
      - {when: <% failed() %>, do: e}
  c: {next: [{publish: [{y: <% result() %>}], do: d}]}
  d: {join: all, next: [{do: e}]}
  e: {next: [{do: fail}, {do: f}]}
  f: {}
)";

constexpr std::string_view kCycleWithItems = R"(
vars: [{xs: [1, 2, 3]}]
tasks:
  start: {next: [{do: a}]}
  a: {next: [{do: each}]}
  each:
    with: {items: <% ctx(xs) %>, concurrency: 2}
    action: core.echo
    input: {m: <% item() %>}
    retry: {count: 1, delay: 1}
    next:
      - {when: <% failed() %>, do: a}
      - {when: <% succeeded() %>, publish: [{r: <% result() %>}], do: [b, noop]}
  b: {next: [{when: <% result() = 1 %>, do: retry}]}
output: [{r: <% ctx().r %>}]
)";

constexpr std::string_view kNative = R"(
tasks:
  a: {compensate: undo, next: [{do: 'b, c, ask'}]}
  b: {on_failure: hold, retry: {count: 1, delay: 2, backoff: exponential}, next: [{do: d}]}
  c: {compensate: undo, first: true, next: [{when: <% timed_out() %>, do: late}, {else: d}]}
  ask: {wait_for: inquiry, next: [{when: <% succeeded() %>, do: d}]}
  d: {join: settled, with: '<% list(1, 2) %>', action: core.noop}
  late: {next: [{do: fail}]}
  undo: {retry: {count: 1}}
)";

struct Walk {
  std::string_view yaml;
  expr::Mode mode;
};

class RandomWalk : public testing::TestWithParam<Walk> {
 protected:
  void SetUp() override {
    auto document = parse_yaml(GetParam().yaml, "w.yaml");
    ASSERT_TRUE(document.ok()) << document.error().describe();
    auto definition = Definition::compile(document->value, engine_, GetParam().mode);
    ASSERT_TRUE(definition.ok()) << definition.error().describe();
    definition_ = *definition;
  }

  Conductor make(State state = {}) {
    return Conductor(definition_, std::move(state), {.engine = engine_});
  }
  Value written(const Conductor& conductor) {
    return to_value(conductor.state(), definition_->graph());
  }
  void write_out(std::optional<Conductor>& conductor) {
    auto state = state_from_value(*parse_json(to_json(written(*conductor))), definition_->graph());
    ASSERT_TRUE(state.ok()) << state.error().message();
    conductor.emplace(make(std::move(*state)));
  }

  int pick(int below) { return static_cast<int>(random_() % static_cast<unsigned>(below)); }

  // Most operations are those of a run that goes well; the others come out of turn.
  struct Operation {
    int kind;
    std::string task;
    RouteId route;
    TaskEvent event;
    Status request;
  };
  Operation next_operation(const State& state) {
    constexpr Status kReports[] = {Status::Running,   Status::Running,  Status::Succeeded,
                                   Status::Succeeded, Status::Failed,   Status::Pending,
                                   Status::Paused,    Status::Pausing,  Status::Canceled,
                                   Status::Timeout,   Status::Requested};
    constexpr Status kRequests[] = {Status::Running,  Status::Pausing,  Status::Paused,
                                    Status::Resuming, Status::Canceled, Status::Failed};
    const auto& nodes = definition_->graph().nodes();
    Operation op{.kind = pick(40),
                 .task = nodes[static_cast<size_t>(pick(static_cast<int>(nodes.size())))].name,
                 .route = pick(std::max<int>(1, static_cast<int>(state.routes.size()))),
                 .event = {.status = kReports[pick(std::size(kReports))], .result = pick(3)},
                 .request = kRequests[pick(std::size(kRequests))]};
    const Node& node = definition_->graph().node(*definition_->graph().find(op.task));
    if (node.task && node.task->items && pick(8) > 0) {
      op.event.item = static_cast<size_t>(pick(3));
      op.event.accumulated = Value::list();
    }
    return op;
  }

  static std::string apply(Conductor& conductor, const Operation& op) {
    auto code = [](const auto& result) { return result.ok() ? "" : result.error().code(); };
    switch (op.kind) {
      case 0: return code(conductor.request_status(op.request));
      case 1: return code(conductor.rerun({}));
      case 2: return code(conductor.rerun({{op.task, op.route, true}}));
      case 3: return code(conductor.render_output());
      case 4: return code(conductor.retry_held(op.task, op.route));
      case 5: return conductor.is_over() ? "over" : "";
      default: break;
    }
    if (op.kind < 15) return code(conductor.next_tasks());
    return code(conductor.event(op.task, op.route, op.event));
  }

  expr::Engine engine_;
  DefinitionPtr definition_;
  std::mt19937 random_;
};

TEST_P(RandomWalk, AWrittenOutStateIsAsGoodAsAKeptOne) {
  constexpr int kWalks = 100;
  constexpr int kSteps = 60;
  for (int walk = 0; walk < kWalks; ++walk) {
    SCOPED_TRACE("walk " + std::to_string(walk));
    random_.seed(static_cast<unsigned>(walk));
    std::optional<Conductor> kept(make());
    std::optional<Conductor> read(make());
    for (auto* conductor : {&kept, &read}) {
      ASSERT_TRUE((*conductor)->begin(Value(), Value()).ok());
      ASSERT_TRUE((*conductor)->request_status(Status::Running).ok());
    }
    for (int step = 0; step < kSteps; ++step) {
      write_out(read);
      Operation op = next_operation(kept->state());
      std::string kept_code = apply(*kept, op);
      ASSERT_EQ(kept_code, apply(*read, op)) << "step " << step;
      ASSERT_EQ(written(*kept), written(*read)) << "step " << step << " " << op.task;
    }
  }
}

// What a run waits for: the tasks and items that have begun, and those that may begin.
struct Waiting {
  std::string task;
  RouteId route;
  std::optional<size_t> item;
  Status status;
};

class NativeRun : public RandomWalk {
 protected:
  std::vector<Waiting> waiting(Conductor& conductor) {
    std::vector<Waiting> list;
    auto offered = conductor.next_tasks();
    EXPECT_TRUE(offered.ok());
    for (const NextTask& task : *offered) {
      for (const ActionCall& call : task.actions) {
        list.push_back({task.id, task.route, call.item, Status::Null});
      }
      if (task.items_count == 0u) list.push_back({task.id, task.route, {}, Status::Null});
    }
    const State& state = conductor.state();
    for (EntryIndex i = 0; i < static_cast<EntryIndex>(state.sequence().size()); ++i) {
      const Entry& entry = state.entry(i);
      if (!state.is_last(i) || !kActiveOrPending.has(entry.status)) continue;
      const std::string& name = definition_->graph().node(entry.task).name;
      auto staged = std::ranges::find_if(state.staged, [&](const Staged& s) {
        return s.task == entry.task && s.route == entry.route && s.items && !s.completed;
      });
      if (staged == state.staged.end()) {
        list.push_back({name, entry.route, {}, entry.status});
        continue;
      }
      for (size_t item = 0; item < staged->items->size(); ++item) {
        Status status = (*staged->items)[item];
        if (kActive.has(status)) list.push_back({name, entry.route, item, status});
      }
    }
    return list;
  }

  void report(Conductor& conductor, const Waiting& at, Status status) {
    TaskEvent event{.status = status, .result = pick(3), .item = at.item};
    event.accumulated = Value::list();
    auto done = conductor.event(at.task, at.route, event);
    ASSERT_TRUE(done.ok()) << at.task << ": " << done.error().message();
  }
};

// Whatever has happened, a run whose tasks end is over at last: nothing is left waiting in vain.
TEST_P(NativeRun, IsOverAtLast) {
  constexpr int kWalks = 300;
  for (int walk = 0; walk < kWalks; ++walk) {
    SCOPED_TRACE("walk " + std::to_string(walk));
    random_.seed(static_cast<unsigned>(walk));
    Conductor conductor = make();
    ASSERT_TRUE(conductor.begin(Value(), Value()).ok());
    ASSERT_TRUE(conductor.request_status(Status::Running).ok());
    int steps = 20 + pick(20);
    for (int step = 0; step < 400 && !conductor.is_over(); ++step) {
      bool good = step > steps;  // from here on everything succeeds
      Status status = conductor.state().status;
      if (status == Status::Paused || status == Status::Pausing) {
        ASSERT_TRUE(conductor.request_status(Status::Running).ok());
      } else if (!good && pick(20) == 0) {
        constexpr Status kRequests[] = {Status::Pausing, Status::Canceled};
        auto ignored = conductor.request_status(kRequests[pick(8) == 0 ? 1 : 0]);
        (void)ignored;
      }
      auto list = waiting(conductor);
      ASSERT_FALSE(list.empty() && !conductor.is_over() &&
                   conductor.state().status != Status::Paused &&
                   conductor.state().status != Status::Pausing)
          << "nothing to wait for in status " << to_string(conductor.state().status) << "\n"
          << to_json(written(conductor));
      if (list.empty()) continue;
      const Waiting& at = list[static_cast<size_t>(pick(static_cast<int>(list.size())))];
      constexpr Status kEnds[] = {Status::Succeeded, Status::Failed, Status::Timeout};
      if (at.status == Status::Null) {
        report(conductor, at, Status::Running);
      } else if (at.status == Status::Canceling) {
        report(conductor, at, Status::Canceled);
      } else {
        report(conductor, at, good ? Status::Succeeded : kEnds[pick(3)]);
      }
    }
    ASSERT_TRUE(conductor.is_over()) << to_json(written(conductor));
  }
}

INSTANTIATE_TEST_SUITE_P(Workflows, NativeRun,
                         testing::Values(Walk{kForkJoin, expr::Mode::Native},
                                         Walk{kCycleWithItems, expr::Mode::Native},
                                         Walk{kNative, expr::Mode::Native}));
INSTANTIATE_TEST_SUITE_P(Workflows, RandomWalk,
                         testing::Values(Walk{kForkJoin, expr::Mode::Orquesta},
                                         Walk{kCycleWithItems, expr::Mode::Orquesta},
                                         Walk{kForkJoin, expr::Mode::Native},
                                         Walk{kCycleWithItems, expr::Mode::Native},
                                         Walk{kNative, expr::Mode::Native}));

}  // namespace
}  // namespace millrace::conductor
