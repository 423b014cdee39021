// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "services/api/call.h"
#include "services/api/event_view.h"
#include "services/api/execution_view.h"
#include "services/api/routes.h"
#include "services/api/shared.h"
#include "store/read.h"

namespace millrace::api {
namespace {

using kernel::ExecutionRow;

// An execution with all that it has started.
struct TraceExecution {
  ExecutionView execution;
  std::vector<TraceExecution> children;

  static const Fields& fields() {
    static const Field lines[] = {
        field("execution", &TraceExecution::execution, ""),
        field("children", &TraceExecution::children, "What it has started."),
    };
    static const auto table = fields_of<TraceExecution>("TraceExecution", "", lines);
    return table;
  }
};

struct TraceEnforcement {
  EnforcementView enforcement;
  std::optional<TraceExecution> started;

  static const Fields& fields() {
    static const Field lines[] = {
        field("enforcement", &TraceEnforcement::enforcement, "The match and its verdicts."),
        field("started", &TraceEnforcement::started, "What the match has started."),
    };
    static const auto table = fields_of<TraceEnforcement>("TraceEnforcement", "", lines);
    return table;
  }
};

struct TraceView {
  std::optional<EventView> event;
  std::vector<TraceEnforcement> enforcements;
  std::optional<TraceExecution> execution;

  static const Fields& fields() {
    static const Field lines[] = {
        field("event", &TraceView::event, "What it began with."),
        field("enforcements", &TraceView::enforcements, "The rules that matched it."),
        field("execution", &TraceView::execution,
              "Of an execution that no event has caused: its tree."),
    };
    static const auto table =
        fields_of<TraceView>("Trace", "From an event to all that it caused.", lines);
    return table;
  }
};

constexpr int kDeepest = 32;
constexpr size_t kMostExecutions = 2000;

class Tracer {
 public:
  Tracer(sql::Connection& db, TenantId tenant) : db_(db), tenant_(tenant) {}

  // `id`: of an event or of an execution; both are drawn from one source, so they never collide.
  Result<TraceView> trace(int64_t id) {
    TRY(auto event, store::find_event(db_, tenant_, EventId{id}));
    if (event) return trace_event(*event);
    TRY(auto execution, store::find_execution(db_, tenant_, ExecutionId{id}));
    if (execution) return trace_execution(*execution);
    return Error(ErrorKind::NotFound, "API-0090", fmt::format("no event and no execution {}", id));
  }

 private:
  Result<TraceView> trace_event(const kernel::EventRow& event) {
    TraceView view;
    view.event = full_view(event);
    TRY(auto enforcements, store::enforcements_of(db_, tenant_, event.id));
    for (const auto& row : enforcements) {
      TraceEnforcement entry{enforcement_view(row), {}};
      TRY(auto execution, store::find_execution(db_, tenant_, row.execution));
      if (execution) {
        TRY(entry.started, tree_of(*execution, 0));
      }
      view.enforcements.push_back(std::move(entry));
    }
    return view;
  }

  Result<TraceView> trace_execution(const ExecutionRow& execution) {
    auto root = execution;
    if (execution.root != execution.id) {
      TRY(auto found, store::find_execution(db_, tenant_, execution.root));
      if (found) root = *std::move(found);
    }
    if (root.enforcement) {
      TRY(auto enforcement, store::find_enforcement(db_, tenant_, root.enforcement));
      std::optional<kernel::EventRow> event;
      if (enforcement) {
        TRY(event, store::find_event(db_, tenant_, enforcement->event));
      }
      if (event) return trace_event(*event);
    }
    TraceView view;
    TRY(view.execution, tree_of(root, 0));
    return view;
  }

  Result<TraceExecution> tree_of(const ExecutionRow& row, int depth) {
    TraceExecution node{brief_view(row), {}};
    if (depth == kDeepest || seen_ >= kMostExecutions) return node;
    TRY(auto children, store::children_of(db_, tenant_, row.id));
    seen_ += children.size();
    for (const auto& child : children) {
      TRY(auto below, tree_of(child, depth + 1));
      node.children.push_back(std::move(below));
    }
    return node;
  }

  sql::Connection& db_;
  TenantId tenant_;
  size_t seen_ = 0;
};

Response show_trace(Call& call, sql::Connection& db) {
  TRY(auto id, call.id<EventId>());
  TRY(auto view, Tracer(db, call.who.tenant).trace(id.value));
  return answer_one(view);
}

}  // namespace

std::vector<Route> trace_routes() {
  return {{.name = "show_trace",
           .method = "GET",
           .pattern = "/api/v1/traces/{id}",
           .access = auth::Permission::EventsRead,
           .handler = show_trace,
           .summary = "Event, matches, executions and their children, by the id of an event or of "
                      "an execution.",
           .answer = &TraceView::fields()}};
}

}  // namespace millrace::api
