// SPDX-License-Identifier: Apache-2.0
// What a server does for somebody that takes longer than a request.
#include "services/api/operations.h"

#include <fmt/format.h>

#include "async/wakeup.h"
#include "services/api/admission.h"
#include "services/api/call.h"
#include "services/api/page.h"
#include "services/api/parse.h"
#include "services/api/routes.h"
#include "services/api/shared.h"
#include "store/read.h"

namespace millrace::api {
namespace {

using auth::Permission;
using kernel::OperationId;
using kernel::OperationRow;
using kernel::OperationStatus;

constexpr async::Duration kOperationPause{50};

struct OperationView {
  std::string id;
  std::string kind;
  std::string subject;
  std::string status;
  std::string progress;
  std::string error_code;
  std::string error;
  std::optional<Value> result;
  std::string identity;
  Timestamp created;
  Timestamp updated;

  static const Fields& fields() {
    using V = OperationView;
    static const Field lines[] = {
        field("id", &V::id, ""),
        field("kind", &V::kind, "pack.install."),
        field("subject", &V::subject, "What it is done with."),
        field("status", &V::status, "running, succeeded, failed."),
        field("progress", &V::progress, "What it is at, or was at last."),
        field("error_code", &V::error_code, "Why it has failed."),
        field("error", &V::error, ""),
        field("result", &V::result, "Of one that has succeeded; its form is that of its kind."),
        field("identity", &V::identity, "Who asked for it."),
        field("created", &V::created, ""),
        field("updated", &V::updated, ""),
    };
    static const auto table = fields_of<V>("Operation", "Work that a server has taken on.", lines);
    return table;
  }
};

struct OperationQuery {
  std::string wait;

  static const Fields& fields() {
    static const Field lines[] = {
        field("wait", &OperationQuery::wait, "Answer when it has ended, or after this time: 30s."),
    };
    static const auto table = fields_of<OperationQuery>("OperationQuery", "", lines);
    return table;
  }
};

OperationView view_of_operation(const OperationRow& row) {
  OperationView view{.id = row.id.str(),
                     .kind = row.kind,
                     .subject = row.subject,
                     .status = std::string(to_string(row.status)),
                     .progress = row.progress,
                     .error_code = row.error_code,
                     .error = row.error,
                     .result = {},
                     .identity = row.identity,
                     .created = {row.created},
                     .updated = {row.updated}};
  if (!row.result_json.empty()) view.result = stored_json(row.result_json);
  return view;
}

Response list_operations(Call& call, sql::Connection& db) {
  TRY(auto query, call.query<PageQuery>());
  TRY(auto page, open_page("operations", query.cursor, query.limit));
  TRY(auto rows, store::list_operations(db, call.who.tenant, page));
  auto next = cut_page("operations", rows, query.limit);
  std::vector<OperationView> views;
  for (const auto& row : rows) views.push_back(view_of_operation(row));
  return answer_list(views, next);
}

// Who asked for it sees it; others need a permission.
Task<Result<OperationRow>> read_operation(Call& call, OperationId id) {
  std::optional<OperationRow> row;
  CO_TRY(co_await call.api.readers.run([&](sql::Connection& db) -> Result<void> {
    TRY(row, store::find_operation(db, call.who.tenant, id));
    return {};
  }));
  bool may_see = row && (row->identity == call.who.identity ||
                         call.who.permissions.allow(Permission::SystemRead));
  if (may_see) co_return *std::move(row);
  co_return Error(ErrorKind::NotFound, "API-0120", fmt::format("no operation {}", id.value));
}

// Wakes at each commit that this server hears of.
class ChangeWatch {
 public:
  ChangeWatch(engine::Engine& engine, async::Executor loop)
      : engine_(engine), wakeup_(std::move(loop)) {
    number_ = engine_.on_change([wakeup = wakeup_] { wakeup.notify(); });
  }
  ~ChangeWatch() { engine_.forget(number_); }
  ChangeWatch(const ChangeWatch&) = delete;
  Task<bool> wait_for(async::Duration limit) const { return wakeup_.wait_for(limit); }

 private:
  engine::Engine& engine_;
  async::Wakeup wakeup_;
  int64_t number_ = 0;
};

Task<Response> show_operation(Call& call) {
  CO_TRY(auto id, call.id<OperationId>());
  CO_TRY(auto query, call.query<OperationQuery>());
  CO_TRY(int64_t wait_ms, parse_wait(query.wait));
  ChangeWatch watch(call.api.engine, co_await async::this_executor());
  auto until = std::chrono::steady_clock::now() + async::Duration(wait_ms);
  CO_TRY(auto row, co_await read_operation(call, id));
  while (row.status == OperationStatus::Running) {
    auto left =
        std::chrono::duration_cast<async::Duration>(until - std::chrono::steady_clock::now());
    if (left.count() <= 0 || !co_await watch.wait_for(left)) break;
    co_await async::sleep_for(kOperationPause);
    CO_TRY(row, co_await read_operation(call, id));
  }
  CO_TRY(co_await Credential(call).check(call.api));
  co_return answer_operation(row, 200);
}

}  // namespace

net::HttpResponse answer_operation(const OperationRow& row, int status) {
  return answer_one(view_of_operation(row), status);
}

std::vector<Route> operation_routes() {
  return {
      {.name = "list_operations",
       .method = "GET",
       .pattern = "/api/v1/operations",
       .access = Permission::SystemRead,
       .handler = list_operations,
       .summary = "List operations, newest first.",
       .query = &PageQuery::fields(),
       .answer_form = AnswerForm::List,
       .answer = &OperationView::fields()},
      {.name = "show_operation",
       .method = "GET",
       .pattern = "/api/v1/operations/{id}",
       .access = Permission::PacksRead,
       .handler = show_operation,
       .summary = "Show how far an operation is; its asker may, and who may see the system.",
       .query = &OperationQuery::fields(),
       .answer = &OperationView::fields()},
  };
}

}  // namespace millrace::api
