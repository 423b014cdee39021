// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "base/json.h"
#include "engine/transitions/commands.h"
#include "services/api/call.h"
#include "services/api/execution_watch.h"
#include "services/api/page.h"
#include "services/api/routes.h"
#include "services/api/shared.h"
#include "store/read.h"

namespace millrace::api {
namespace {

using auth::Permission;
using kernel::InquiryRow;
using kernel::InquiryStatus;

struct InquiryView {
  InquiryId id;
  ExecutionId execution;
  InquiryStatus status = InquiryStatus::Pending;
  std::string prompt;
  std::optional<std::string> route;
  Value users;
  Value roles;
  std::optional<Value> schema;
  Timestamp expires;
  std::optional<Value> response;
  std::optional<std::string> responder;
  Timestamp created;
  Timestamp updated;

  static const Fields& fields() {
    using V = InquiryView;
    static const Field lines[] = {
        field("id", &V::id, ""),
        field("execution", &V::execution, "The execution that asks."),
        field("status", &V::status, ""),
        field("prompt", &V::prompt, "What is asked."),
        field("route", &V::route, "Where it is shown; free text."),
        field("users", &V::users, "Who may answer; empty with empty roles: anybody."),
        field("roles", &V::roles, "Whose roles may answer."),
        field("schema", &V::schema, "JSON Schema of the answer."),
        field("expires", &V::expires, "When it is over."),
        field("response", &V::response, "Once it is answered."),
        field("responder", &V::responder, ""),
        field("created", &V::created, ""),
        field("updated", &V::updated, ""),
    };
    static const auto table = fields_of<V>("Inquiry", "A question to people.", lines);
    return table;
  }
};

struct InquiryQuery {
  int limit = 50;
  std::string cursor;
  std::optional<InquiryStatus> status;

  static const Fields& fields() {
    static const Field lines[] = {
        field("limit", &InquiryQuery::limit, "Entries per page.").range(1, 500),
        field("cursor", &InquiryQuery::cursor, "next_cursor of the page before."),
        field("status", &InquiryQuery::status, "Only these."),
    };
    static const auto table = fields_of<InquiryQuery>("InquiryQuery", "", lines);
    return table;
  }
};

struct AnswerInput {
  Value response;

  static const Fields& fields() {
    static const Field lines[] = {
        field("response", &AnswerInput::response, "Checked against the inquiry's schema.")
            .required(),
    };
    static const auto table = fields_of<AnswerInput>("AnswerInput", "An answer.", lines);
    return table;
  }
};

Value parsed(const std::string& json, Value empty) {
  auto value = json.empty() ? Result<Value>(std::move(empty)) : parse_json(json, kOwnJson);
  return value.ok() ? std::move(*value) : Value();
}

InquiryView view_of(const InquiryRow& row) {
  InquiryView view;
  view.id = row.id;
  view.execution = ExecutionId{row.id.value};
  view.status = row.status;
  view.prompt = row.prompt;
  if (!row.route.empty()) view.route = row.route;
  view.users = parsed(row.users_json, Value::list());
  view.roles = parsed(row.roles_json, Value::list());
  if (!row.schema_json.empty()) view.schema = parsed(row.schema_json, Value());
  view.expires = {row.expires};
  if (!row.response_json.empty()) view.response = parsed(row.response_json, Value());
  if (!row.responder.empty()) view.responder = row.responder;
  view.created = {row.created};
  view.updated = {row.updated};
  return view;
}

Response list_inquiries(Call& call, sql::Connection& db) {
  TRY(auto query, call.query<InquiryQuery>());
  TRY(auto page, open_page("inquiries", query.cursor, query.limit));
  TRY(auto rows, store::list_inquiries(db, call.who.tenant, query.status, page));
  auto next = cut_page("inquiries", rows, query.limit);
  std::vector<InquiryView> views;
  for (const auto& row : rows) views.push_back(view_of(row));
  return answer_list(views, next);
}

Response show_inquiry(Call& call, sql::Connection& db) {
  TRY(auto id, call.id<InquiryId>());
  TRY(auto row, store::find_inquiry(db, call.who.tenant, id));
  if (row) return answer_one(view_of(*row));
  return Error(ErrorKind::NotFound, "EXE-0019", fmt::format("no inquiry {}", id.value));
}

Task<Response> answer_inquiry(Call& call) {
  CO_TRY(auto id, call.id<InquiryId>());
  CO_TRY(auto input, call.body<AnswerInput>());
  engine::Answer answer{std::move(input.response), call.who.permissions.allow(Permission::Admin),
                        call.who.roles};
  auto command = [&](auto reply) {
    call.api.engine.submit(
        engine::command::answer(call.caller(), id, std::move(answer), std::move(reply)));
  };
  CO_TRY(auto row, co_await ask<InquiryRow>(command));
  co_return answer_one(view_of(row));
}

}  // namespace

std::vector<Route> inquiry_routes() {
  const auto* inquiry = &InquiryView::fields();
  return {
      {.name = "list_inquiries",
       .method = "GET",
       .pattern = "/api/v1/inquiries",
       .access = Permission::InquiriesRead,
       .handler = list_inquiries,
       .summary = "List inquiries, newest first.",
       .query = &InquiryQuery::fields(),
       .answer_form = AnswerForm::List,
       .answer = inquiry},
      {.name = "show_inquiry",
       .method = "GET",
       .pattern = "/api/v1/inquiries/{id}",
       .access = Permission::InquiriesRead,
       .handler = show_inquiry,
       .summary = "Show an inquiry.",
       .answer = inquiry},
      {.name = "answer_inquiry",
       .method = "POST",
       .pattern = "/api/v1/inquiries/{id}/answer",
       .access = Permission::InquiriesAnswer,
       .handler = answer_inquiry,
       .summary = "Answer an inquiry, once. Its workflow goes on at once.",
       .body_form = BodyForm::Json,
       .body = &AnswerInput::fields(),
       .answer = inquiry},
  };
}

}  // namespace millrace::api
