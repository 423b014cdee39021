// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <map>

#include "engine/machine/catalog.h"
#include "engine/transitions/commands.h"
#include "services/api/admission.h"
#include "services/api/call.h"
#include "services/api/execution_view.h"
#include "services/api/execution_watch.h"
#include "services/api/page.h"
#include "services/api/parse.h"
#include "services/api/routes.h"
#include "services/api/shared.h"
#include "services/api/waiting_reason.h"
#include "store/read.h"

namespace millrace::api {
namespace {

using auth::Permission;
using kernel::ExecutionRow;

struct RunInput {
  std::string action;
  Value parameters = Value::map();
  Value env = Value::map();
  Priority priority = Priority::Normal;
  std::optional<int64_t> timeout_ms;

  static const Fields& fields() {
    static const Field lines[] = {
        field("action", &RunInput::action, "pack.name").required(),
        field("parameters", &RunInput::parameters, "Checked against the action's schema.")
            .only(Value::Kind::Map),
        field("env", &RunInput::env, "Strings, added to the environment.").only(Value::Kind::Map),
        field("priority", &RunInput::priority, "Low work ages upward."),
        field("timeout_ms", &RunInput::timeout_ms, "Default: the action's own.")
            .range(1, 7.0 * 86'400'000)
            .unit("ms"),
    };
    static const auto table = fields_of<RunInput>("RunInput", "What to run.", lines);
    return table;
  }
};

struct WaitQuery {
  std::string wait;

  static const Fields& fields() {
    static const Field lines[] = {
        field("wait", &WaitQuery::wait,
              "Answer when it is final or this time is over: 500ms, 30s, 5m."),
    };
    static const auto table = fields_of<WaitQuery>("WaitQuery", "", lines);
    return table;
  }
};

struct CancelQuery {
  bool now = false;

  static const Fields& fields() {
    static const Field lines[] = {
        field("now", &CancelQuery::now,
              "Of an Orquesta workflow: end what runs at once. Without it that ends by itself "
              "first."),
    };
    static const auto table = fields_of<CancelQuery>("CancelQuery", "", lines);
    return table;
  }
};

struct ExecutionQuery {
  int limit = 50;
  std::string cursor;
  std::optional<ExecutionStatus> status;
  std::string action;
  std::optional<ExecutionId> parent;
  bool open = false;
  Sort sort = Sort::NewestFirst;

  static const Fields& fields() {
    static const Field lines[] = {
        field("limit", &ExecutionQuery::limit, "Entries per page.").range(1, 500),
        field("cursor", &ExecutionQuery::cursor, "next_cursor of the page before."),
        field("status", &ExecutionQuery::status, "Only these."),
        field("action", &ExecutionQuery::action, "Only of this action."),
        field("parent", &ExecutionQuery::parent, "Only children of this execution."),
        field("open", &ExecutionQuery::open, "Only those that are not final."),
        field("sort", &ExecutionQuery::sort, "created: oldest first; -created: newest first."),
    };
    static const auto table = fields_of<ExecutionQuery>("ExecutionQuery", "", lines);
    return table;
  }
};

// In the order of engine::Resolution::Kind.
enum class Decision : uint8_t { Retry, Succeed, Fail, Abandon };
std::string_view to_string(Decision decision) {
  switch (decision) {
    case Decision::Retry: return "retry";
    case Decision::Succeed: return "succeed";
    case Decision::Fail: return "fail";
    case Decision::Abandon: return "abandon";
  }
  return "unknown";
}

struct ResolveInput {
  Decision decision = Decision::Retry;
  Value result;
  std::string comment;
  std::string task;
  int32_t route = 0;

  static const Fields& fields() {
    static const Field lines[] = {
        field("decision", &ResolveInput::decision,
              "retry: attempt + 1; succeed: with a result; fail; abandon.")
            .required(),
        field("result", &ResolveInput::result, "Of succeed."),
        field("comment", &ResolveInput::comment, "Why.").length(0, 1000),
        field("task", &ResolveInput::task,
              "Of a workflow: which held task, when there are several."),
        field("route", &ResolveInput::route, "Of that task."),
    };
    static const auto table = fields_of<ResolveInput>(
        "ResolveInput", "What becomes of a lost run or of a held task.", lines);
    return table;
  }
};

Response list_executions(Call& call, sql::Connection& db) {
  TRY(auto query, call.query<ExecutionQuery>());
  TRY(auto page, open_page("executions", query.cursor, query.limit, query.sort));
  store::ExecutionFilter filter{query.status, query.action, query.parent.value_or(ExecutionId{}),
                                query.open};
  TRY(auto rows, store::list_executions(db, call.who.tenant, filter, page));
  auto next = cut_page("executions", rows, query.limit, query.sort);
  std::vector<ExecutionView> views;
  for (const auto& row : rows) views.push_back(brief_view(row));
  return answer_list(views, next);
}

Response list_children(Call& call, sql::Connection& db) {
  TRY(auto id, call.id<ExecutionId>());
  TRY(auto query, call.query<PageQuery>());
  TRY(bool is_there, store::has_execution(db, call.who.tenant, id));
  if (!is_there) return no_execution(id);
  TRY(auto rows, store::children_of(db, call.who.tenant, id));
  std::vector<ExecutionView> views;
  for (const auto& row : rows) views.push_back(brief_view(row));
  return page_by_key("children", std::move(views), query.limit, query.cursor,
                     [](const ExecutionView& view) { return sortable(view.id.value); });
}

Task<Response> run_execution(Call& call) {
  CO_TRY(auto query, call.query<WaitQuery>());
  CO_TRY(int64_t wait_ms, parse_wait(query.wait));
  CO_TRY(auto input, call.body<RunInput>());
  EndWatch watch(call.api, co_await async::this_executor());
  engine::NewExecution request;
  request.action = std::move(input.action);
  request.parameters = std::move(input.parameters);
  request.env = std::move(input.env);
  request.priority = input.priority;
  request.timeout_ms = input.timeout_ms.value_or(0);
  if (wait_ms > 0) {
    request.watch = watch.number();
    request.ended = watch.reply();
  }
  auto command = [&](auto reply) {
    call.api.engine.submit(
        engine::command::run(call.caller(), std::move(request), std::move(reply)));
  };
  CO_TRY(auto row, co_await ask<ExecutionRow>(command));
  if (wait_ms > 0 && !is_final(row.status)) {
    CO_TRY(row, co_await watch.wait({call.who.tenant, row.id}, wait_ms));
    CO_TRY(co_await Credential(call).check(call.api));
  }
  CO_TRY(co_await read_result(call.api, row));
  auto response = answer_one(full_view(row, *call.api.engine.catalog(call.who.tenant)), 201);
  response.header("Location", fmt::format("/api/v1/executions/{}", row.id.value));
  co_return response;
}

// Of one that is in the queue.
Task<Result<std::string>> why_it_waits(Shared& shared, std::string needs) {
  std::string why;
  std::map<int64_t, std::string> servers;
  for (const auto& view : shared.engine.servers()) {
    if (view.lives && view.row.epoch != 0) servers[view.row.epoch] = view.row.name;
  }
  CO_TRY(co_await shared.readers.run([&](sql::Connection& db) -> Result<void> {
    TRY(auto workers, store::all_workers(db));
    why = waiting_reason(needs, workers, servers);
    return {};
  }));
  co_return why;
}

Task<Response> show_execution(Call& call) {
  CO_TRY(auto id, call.id<ExecutionId>());
  CO_TRY(auto query, call.query<WaitQuery>());
  CO_TRY(int64_t wait_ms, parse_wait(query.wait));
  CO_TRY(auto row, co_await read_execution(call.api, call.who.tenant, id));
  if (wait_ms > 0 && !is_final(row.status)) {
    EndWatch watch(call.api, co_await async::this_executor());
    CO_TRY(row, co_await watch.end_of({call.who.tenant, id}, wait_ms));
    CO_TRY(co_await Credential(call).check(call.api));
  }
  CO_TRY(co_await read_result(call.api, row));
  auto view = full_view(row, *call.api.engine.catalog(call.who.tenant));
  if (row.status == ExecutionStatus::Requested && row.held.empty()) {
    CO_TRY(view.held, co_await why_it_waits(call.api, row.needs));
  }
  co_return answer_one(view);
}

Response show_result(Call& call, sql::Connection& db) {
  TRY(auto id, call.id<ExecutionId>());
  TRY(auto row, store::find_execution(db, call.who.tenant, id));
  if (!row) return no_execution(id);
  if (!row->result_json.empty()) return net::HttpResponse::json(200, row->result_json);
  TRY(auto blob, store::find_result_blob(db, call.who.tenant, id));
  if (blob) return net::HttpResponse::json(200, std::move(blob->bytes));
  return Error(
      ErrorKind::NotFound, "API-0021",
      fmt::format("execution {} has no result (status {})", id.value, to_string(row->status)));
}

Task<Response> cancel_execution(Call& call) {
  CO_TRY(auto id, call.id<ExecutionId>());
  CO_TRY(auto query, call.query<CancelQuery>());
  auto how = query.now ? engine::CancelHow::Now : engine::CancelHow::AsLanguageSays;
  auto command = [&](auto reply) {
    call.api.engine.submit(engine::command::cancel(call.caller(), id, std::move(reply), how));
  };
  CO_TRY(auto row, co_await ask<ExecutionRow>(command));
  co_return answer_one(brief_view(row), 202);
}

Task<Response> resolve_execution(Call& call) {
  CO_TRY(auto id, call.id<ExecutionId>());
  CO_TRY(auto input, call.body<ResolveInput>());
  engine::Resolution resolution;
  resolution.kind = static_cast<engine::Resolution::Kind>(input.decision);
  resolution.result = std::move(input.result);
  resolution.comment = std::move(input.comment);
  resolution.task = std::move(input.task);
  resolution.route = input.route;
  auto command = [&](auto reply) {
    call.api.engine.submit(
        engine::command::resolve(call.caller(), id, std::move(resolution), std::move(reply)));
  };
  CO_TRY(auto row, co_await ask<ExecutionRow>(command));
  co_return answer_one(brief_view(row));
}

}  // namespace

std::vector<Route> execution_routes() {
  const auto* execution = &ExecutionView::fields();
  return {
      {.name = "list_executions",
       .method = "GET",
       .pattern = "/api/v1/executions",
       .access = Permission::ExecutionsRead,
       .handler = list_executions,
       .summary = "List executions, newest first.",
       .query = &ExecutionQuery::fields(),
       .answer_form = AnswerForm::List,
       .answer = execution},
      {.name = "run_execution",
       .method = "POST",
       .pattern = "/api/v1/executions",
       .access = Permission::ExecutionsRun,
       .handler = run_execution,
       .summary = "Run an action. Durable before the answer.",
       .query = &WaitQuery::fields(),
       .body_form = BodyForm::Json,
       .body = &RunInput::fields(),
       .answer = execution,
       .status = 201,
       .takes_key = true},
      {.name = "show_execution",
       .method = "GET",
       .pattern = "/api/v1/executions/{id}",
       .access = Permission::ExecutionsRead,
       .handler = show_execution,
       .summary = "Show an execution; with wait, once it is final.",
       .query = &WaitQuery::fields(),
       .answer = execution},
      {.name = "show_execution_result",
       .method = "GET",
       .pattern = "/api/v1/executions/{id}/result",
       .access = Permission::ExecutionsRead,
       .handler = show_result,
       .summary = "The whole result as JSON, however large.",
       .answer_form = AnswerForm::Text},
      {.name = "list_execution_children",
       .method = "GET",
       .pattern = "/api/v1/executions/{id}/children",
       .access = Permission::ExecutionsRead,
       .handler = list_children,
       .summary = "List what an execution has started.",
       .query = &PageQuery::fields(),
       .answer_form = AnswerForm::List,
       .answer = execution},
      {.name = "cancel_execution",
       .method = "POST",
       .pattern = "/api/v1/executions/{id}/cancel",
       .access = Permission::ExecutionsCancel,
       .handler = cancel_execution,
       .summary = "Cancel an execution and everything below it.",
       .query = &CancelQuery::fields(),
       .answer = execution,
       .status = 202},
      {.name = "resolve_execution",
       .method = "POST",
       .pattern = "/api/v1/executions/{id}/resolve",
       .access = Permission::ExecutionsResolve,
       .handler = resolve_execution,
       .summary = "Decide what becomes of an execution in needs_decision.",
       .body_form = BodyForm::Json,
       .body = &ResolveInput::fields(),
       .answer = execution},
  };
}

}  // namespace millrace::api
