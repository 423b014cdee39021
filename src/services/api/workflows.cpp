// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "base/json.h"
#include "conductor/graph_text.h"
#include "conductor/inspect.h"
#include "engine/machine/catalog.h"
#include "engine/transitions/commands.h"
#include "services/api/call.h"
#include "services/api/execution_view.h"
#include "services/api/execution_watch.h"
#include "services/api/routes.h"
#include "services/api/shared.h"
#include "store/read.h"

namespace millrace::api {
namespace {

using auth::Permission;
using kernel::ExecutionRow;

constexpr size_t kMostTasks = 1000;

struct RerunInput {
  std::vector<std::string> tasks;
  bool reset_items = false;

  static const Fields& fields() {
    static const Field lines[] = {
        field("tasks", &RerunInput::tasks, "Of a workflow: run these again. None: what failed.")
            .length(0, kMostTasks),
        field("reset_items", &RerunInput::reset_items,
              "Run all items of a task again, not only those that failed."),
    };
    static const auto table =
        fields_of<RerunInput>("RerunInput", "What of an execution runs again.", lines);
    return table;
  }
};

enum class Language : uint8_t { Native, Orquesta };
std::string_view to_string(Language language) {
  switch (language) {
    case Language::Native: return "native";
    case Language::Orquesta: return "orquesta";
  }
  return "unknown";
}

struct InspectInput {
  std::string text;
  Language language = Language::Native;

  static const Fields& fields() {
    static const Field lines[] = {
        field("text", &InspectInput::text, "The workflow as YAML.").required().length(1, 1 << 20),
        field("language", &InspectInput::language, "When the text does not say."),
    };
    static const auto table = fields_of<InspectInput>("InspectInput", "A workflow.", lines);
    return table;
  }
};

struct FindingView {
  std::string kind;
  int line = 0;
  std::string path;
  std::string message;

  static const Fields& fields() {
    static const Field lines[] = {
        field("kind", &FindingView::kind, "syntax, semantics, expressions, context"),
        field("line", &FindingView::line, "From 1."),
        field("path", &FindingView::path, "tasks.build.next[0].do"),
        field("message", &FindingView::message, ""),
    };
    static const auto table = fields_of<FindingView>("Finding", "A mistake in a workflow.", lines);
    return table;
  }
};

struct GraphView {
  ExecutionId execution;
  std::string action;
  ExecutionStatus status = ExecutionStatus::Requested;
  Value nodes;
  Value edges;

  static const Fields& fields() {
    static const Field lines[] = {
        field("execution", &GraphView::execution, ""),
        field("action", &GraphView::action, "pack.name"),
        field("status", &GraphView::status, ""),
        field("nodes", &GraphView::nodes, "Tasks: name, action, status once reached, ..."),
        field("edges", &GraphView::edges, "From, to, when."),
    };
    static const auto table =
        fields_of<GraphView>("WorkflowGraph", "A run's graph, as it stands.", lines);
    return table;
  }
};

Task<Response> pause_execution(Call& call) {
  CO_TRY(auto id, call.id<ExecutionId>());
  auto command = [&](auto reply) {
    call.api.engine.submit(engine::command::pause(call.caller(), id, std::move(reply)));
  };
  CO_TRY(auto row, co_await ask<ExecutionRow>(command));
  co_return answer_one(brief_view(row), 202);
}

Task<Response> resume_execution(Call& call) {
  CO_TRY(auto id, call.id<ExecutionId>());
  auto command = [&](auto reply) {
    call.api.engine.submit(engine::command::resume(call.caller(), id, std::move(reply)));
  };
  CO_TRY(auto row, co_await ask<ExecutionRow>(command));
  co_return answer_one(brief_view(row), 202);
}

Task<Response> rerun_execution(Call& call) {
  CO_TRY(auto id, call.id<ExecutionId>());
  CO_TRY(auto input, call.body<RerunInput>());
  engine::Rerun request{std::move(input.tasks), input.reset_items};
  auto command = [&](auto reply) {
    call.api.engine.submit(
        engine::command::rerun(call.caller(), id, std::move(request), std::move(reply)));
  };
  CO_TRY(auto row, co_await ask<ExecutionRow>(command));
  auto response = answer_one(brief_view(row), 201);
  response.header("Location", fmt::format("/api/v1/executions/{}", row.id.value));
  co_return response;
}

Response show_graph(Call& call, sql::Connection& db) {
  TRY(auto id, call.id<ExecutionId>());
  TRY(auto row, store::find_execution(db, call.who.tenant, id));
  if (!row) return no_execution(id);
  auto action = call.api.engine.catalog(call.who.tenant)->find_action(row->action, row->release);
  if (!action || !action->workflow || !action->workflow->definition) {
    return Error(
        ErrorKind::NotFound, "API-0065",
        fmt::format("execution {} runs action '{}', which has no graph: it is no workflow, "
                    "or its release is gone",
                    id.value, row->action));
  }
  conductor::TaskStatuses statuses;
  TRY(auto stored, store::load_workflow(db, call.who.tenant, id));
  if (stored) {
    for (const auto& text : stored->entries) {
      TRY(Value entry, parse_json(text, kOwnJson));
      statuses[std::string(entry.string_or("id", ""))] = entry.string_or("status", "");
    }
  }
  Value graph = conductor::graph_view(*action->workflow->definition, statuses);
  return answer_one(GraphView{id, row->action, row->status, graph["nodes"], graph["edges"]});
}

// On a reader's thread, for the work that it is; it reads nothing of the store.
Response inspect_workflow(Call& call, sql::Connection&) {
  TRY(auto input, call.body<InspectInput>());
  std::vector<FindingView> views;
  auto document = parse_yaml(input.text, "workflow");
  if (!document.ok()) {
    for (const auto& problem : document.error().problems()) {
      views.push_back({"syntax", 0, problem.path, problem.message});
    }
    return answer_list(views);
  }
  expr::Engine expressions;
  auto mode = input.language == Language::Orquesta ? expr::Mode::Orquesta : expr::Mode::Native;
  auto catalog = call.api.engine.catalog(call.who.tenant);
  auto options = engine::inspect_options(mode, engine::callees(*catalog));
  for (auto& finding : conductor::inspect(*document, expressions, options)) {
    views.push_back({std::string(conductor::to_string(finding.cls)), finding.line,
                     std::move(finding.path), std::move(finding.message)});
  }
  return answer_list(views);
}

}  // namespace

std::vector<Route> workflow_routes() {
  const auto* execution = &ExecutionView::fields();
  return {
      {.name = "pause_execution",
       .method = "POST",
       .pattern = "/api/v1/executions/{id}/pause",
       .access = Permission::ExecutionsCancel,
       .handler = pause_execution,
       .summary = "Pause a workflow and the workflows below it. Steps that run end first.",
       .answer = execution,
       .status = 202},
      {.name = "resume_execution",
       .method = "POST",
       .pattern = "/api/v1/executions/{id}/resume",
       .access = Permission::ExecutionsCancel,
       .handler = resume_execution,
       .summary = "Let a paused workflow go on.",
       .answer = execution,
       .status = 202},
      {.name = "rerun_execution",
       .method = "POST",
       .pattern = "/api/v1/executions/{id}/rerun",
       .access = Permission::ExecutionsRun,
       .handler = rerun_execution,
       .summary = "Run again what failed, or the named tasks, as a new execution.",
       .body_form = BodyForm::Json,
       .body = &RerunInput::fields(),
       .answer = execution,
       .status = 201,
       .takes_key = true},
      {.name = "show_execution_graph",
       .method = "GET",
       .pattern = "/api/v1/executions/{id}/graph",
       .access = Permission::ExecutionsRead,
       .handler = show_graph,
       .summary = "The graph of a workflow's run, with the status of each task.",
       .answer = &GraphView::fields()},
      {.name = "inspect_workflow",
       .method = "POST",
       .pattern = "/api/v1/workflows/inspect",
       .access = Permission::ActionsRead,
       .handler = inspect_workflow,
       .summary = "Tell everything that is wrong with a workflow.",
       .body_form = BodyForm::Json,
       .body = &InspectInput::fields(),
       .answer_form = AnswerForm::List,
       .answer = &FindingView::fields()},
  };
}

}  // namespace millrace::api
