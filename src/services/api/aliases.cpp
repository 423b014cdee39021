// SPDX-License-Identifier: Apache-2.0
// Words of a chat that run actions.
#include <fmt/format.h>

#include "base/text.h"
#include "services/api/alias_start.h"
#include "services/api/call.h"
#include "services/api/execution_view.h"
#include "services/api/execution_watch.h"
#include "services/api/page.h"
#include "services/api/parse.h"
#include "services/api/routes.h"
#include "services/api/shared.h"

namespace millrace::api {
namespace {

using auth::Permission;
using kernel::ExecutionRow;

struct FormView {
  std::string display;
  std::vector<std::string> representation;
  bool match_multiple = false;

  static const Fields& fields() {
    static const Field lines[] = {
        field("display", &FormView::display, "For people."),
        field("representation", &FormView::representation, "What commands are held against."),
        field("match_multiple", &FormView::match_multiple,
              "It may stand several times in one command."),
    };
    static const auto table = fields_of<FormView>("AliasForm", "", lines);
    return table;
  }
};

struct AliasMessageView {
  bool enabled = true;
  bool append_url = true;
  std::string format;
  std::optional<Value> extra;

  static const Fields& fields() {
    using V = AliasMessageView;
    static const Field lines[] = {
        field("enabled", &V::enabled, ""),
        field("append_url", &V::append_url, ""),
        field("format", &V::format, "Jinja with `execution`; empty: as the server says it."),
        field("extra", &V::extra, "For the chat's own look."),
    };
    static const auto table = fields_of<V>("AliasMessage", "", lines);
    return table;
  }
};

struct AliasView {
  std::string ref;
  std::string pack;
  std::string name;
  std::string description;
  std::string action;
  bool enabled = true;
  std::vector<FormView> formats;
  AliasMessageView ack, result;
  std::optional<Value> immutable_parameters;
  std::optional<Value> extra;

  static const Fields& fields() {
    using V = AliasView;
    static const Field lines[] = {
        field("ref", &V::ref, "pack.name"),
        field("pack", &V::pack, ""),
        field("name", &V::name, ""),
        field("description", &V::description, ""),
        field("action", &V::action, "What it runs."),
        field("enabled", &V::enabled, ""),
        field("formats", &V::formats, ""),
        field("ack", &V::ack, "What is said when a command is taken."),
        field("result", &V::result, "What is said when it has ended."),
        field("immutable_parameters", &V::immutable_parameters, "No command may set them."),
        field("extra", &V::extra, ""),
    };
    static const auto table = fields_of<V>("Alias", "Words of a chat that run an action.", lines);
    return table;
  }
};

AliasMessageView view_of(const AliasMessage& message) {
  AliasMessageView view{message.enabled, message.append_url, message.format, {}};
  if (message.extra.is_map()) view.extra = message.extra;
  return view;
}

AliasView view_of(const Alias& alias) {
  AliasView view;
  view.ref = alias.ref;
  view.pack = alias.ref.substr(0, alias.ref.find('.'));
  view.name = alias.name;
  view.description = alias.description;
  view.action = alias.action;
  view.enabled = alias.enabled;
  for (const auto& form : alias.forms) {
    view.formats.push_back({form.display, form.representations, form.match_multiple});
  }
  view.ack = view_of(alias.ack);
  view.result = view_of(alias.result);
  if (alias.immutable_parameters.is_map()) view.immutable_parameters = alias.immutable_parameters;
  if (alias.extra.is_map()) view.extra = alias.extra;
  return view;
}

struct MatchView {
  AliasView alias;
  std::string display;
  std::string representation;
  std::vector<Value> parameters;

  static const Fields& fields() {
    using V = MatchView;
    static const Field lines[] = {
        field("alias", &V::alias, ""),
        field("display", &V::display, "The form that the command is of."),
        field("representation", &V::representation, "The same, as it is matched."),
        field("parameters", &V::parameters,
              "Of each execution that it would start: one, unless the form stands several times."),
    };
    static const auto table = fields_of<V>("ChatMatch", "What a command means.", lines);
    return table;
  }
};

struct ExecutedView {
  std::string alias;
  ExecutionView execution;
  bool ack = true;
  bool append_url = true;
  std::string message;
  std::optional<Value> extra;

  static const Fields& fields() {
    using V = ExecutedView;
    static const Field lines[] = {
        field("alias", &V::alias, "pack.name"),
        field("execution", &V::execution, ""),
        field("ack", &V::ack, "Whether the chat is to say the message."),
        field("append_url", &V::append_url, "Whether with a link to the execution."),
        field("message", &V::message, "The alias' ack."),
        field("extra", &V::extra, "For the chat's own look."),
    };
    static const auto table = fields_of<V>("ChatExecution", "What a command has started.", lines);
    return table;
  }
};

struct OutcomeView {
  ExecutionId execution;
  std::string alias;
  ExecutionStatus status = ExecutionStatus::Requested;
  bool enabled = true;
  std::string message;
  std::optional<Value> extra;

  static const Fields& fields() {
    using V = OutcomeView;
    static const Field lines[] = {
        field("execution", &V::execution, ""),
        field("alias", &V::alias, "pack.name"),
        field("status", &V::status, ""),
        field("enabled", &V::enabled, "Whether the chat is to say it."),
        field("message", &V::message, "The alias' result, for a chat."),
        field("extra", &V::extra, "For the chat's own look."),
    };
    static const auto table =
        fields_of<V>("ChatOutcome", "What a command has come to, in words.", lines);
    return table;
  }
};

struct ChatWaitQuery {
  std::string wait;

  static const Fields& fields() {
    static const Field lines[] = {
        field("wait", &ChatWaitQuery::wait,
              "Answer when it is final or this time is over: 500ms, 30s, 5m."),
    };
    static const auto table = fields_of<ChatWaitQuery>("ChatWaitQuery", "", lines);
    return table;
  }
};

Response list_aliases(Call& call) {
  TRY(auto query, call.query<AliasQuery>());
  std::vector<AliasView> views;
  for (const auto& pack : call.api.engine.catalog(call.who.tenant)->packs()) {
    if (!query.pack.empty() && query.pack != pack->ref) continue;
    for (const auto& alias : pack->aliases) views.push_back(view_of(alias));
  }
  return page_by_key("aliases", std::move(views), query.limit, query.cursor,
                     [](const AliasView& view) { return view.ref; });
}

Response show_alias(Call& call) {
  auto catalog = call.api.engine.catalog(call.who.tenant);
  if (const Alias* alias = find_alias(*catalog, call.param())) return answer_one(view_of(*alias));
  std::vector<std::string_view> refs;
  for (const auto& pack : catalog->packs()) {
    for (const auto& alias : pack->aliases) refs.push_back(alias.ref);
  }
  return Error(ErrorKind::NotFound, "API-0070",
               fmt::format("no alias '{}'{}", call.param(), did_you_mean(call.param(), refs)));
}

Response help_aliases(Call& call) {
  TRY(auto query, call.query<HelpQuery>());
  return answer_one(help_of(*call.api.engine.catalog(call.who.tenant), query));
}

Response match_aliases(Call& call, sql::Connection&) {
  TRY(auto input, call.body<CommandInput>());
  auto catalog = call.api.engine.catalog(call.who.tenant);
  TRY(auto match, match_command(*catalog, input.command));
  return answer_one(MatchView{view_of(*match.alias), match.display, match.representation,
                              std::move(match.parameters)});
}

Task<Response> execute_alias(Call& call) {
  CO_TRY(auto input, call.body<ExecuteInput>());
  CO_TRY(auto started, co_await start_command(call, std::move(input)));
  auto catalog = call.api.engine.catalog(call.who.tenant);
  std::vector<ExecutedView> views;
  for (size_t i = 0; i < started.rows.size(); ++i) {
    auto& message = started.messages[i];
    ExecutedView view;
    view.alias = started.match.alias->ref;
    view.execution = full_view(started.rows[i], *catalog);
    view.ack = message.enabled;
    view.append_url = message.append_url;
    view.message = std::move(message.text);
    if (!message.extra.is_null()) view.extra = std::move(message.extra);
    views.push_back(std::move(view));
  }
  auto response = answer_list(views);
  response.status = 201;
  co_return response;
}

// The alias that has started an execution.
std::string alias_of(const ExecutionRow& row) {
  return std::string(stored_json(row.env_json)["context"].string_or("action_alias_ref", ""));
}

Task<Response> show_message(Call& call) {
  CO_TRY(auto id, call.id<ExecutionId>());
  CO_TRY(auto query, call.query<ChatWaitQuery>());
  CO_TRY(int64_t wait_ms, parse_wait(query.wait));
  CO_TRY(auto row, co_await read_execution(call.api, call.who.tenant, id));
  OutcomeView view;
  view.alias = alias_of(row);
  if (view.alias.empty()) {
    co_return Error(ErrorKind::Conflict, "API-0145",
                    fmt::format("execution {} was started by no alias", id.value));
  }
  if (wait_ms > 0 && !is_final(row.status)) {
    EndWatch watch(call.api, co_await async::this_executor());
    CO_TRY(row, co_await watch.end_of({call.who.tenant, id}, wait_ms));
  }
  CO_TRY(co_await read_result(call.api, row));
  auto catalog = call.api.engine.catalog(call.who.tenant);
  ChatMessage message;
  auto say = [&](sql::Connection&) -> Result<void> {
    message = outcome(find_alias(*catalog, view.alias), chat_execution(row, *catalog));
    return {};
  };
  CO_TRY(co_await call.api.readers.run(say));
  view.execution = row.id;
  view.status = row.status;
  view.enabled = message.enabled;
  view.message = std::move(message.text);
  if (!message.extra.is_null()) view.extra = std::move(message.extra);
  co_return answer_one(view);
}

}  // namespace

std::vector<Route> alias_routes() {
  const auto* alias = &AliasView::fields();
  return {
      {.name = "list_aliases",
       .method = "GET",
       .pattern = "/api/v1/aliases",
       .access = Permission::ActionsRead,
       .handler = list_aliases,
       .summary = "List aliases by ref.",
       .query = &AliasQuery::fields(),
       .answer_form = AnswerForm::List,
       .answer = alias},
      {.name = "help_aliases",
       .method = "GET",
       .pattern = "/api/v1/aliases/help",
       .access = Permission::ActionsRead,
       .handler = help_aliases,
       .summary = "What can be said in a chat.",
       .query = &HelpQuery::fields(),
       .answer = &HelpView::fields()},
      {.name = "match_aliases",
       .method = "POST",
       .pattern = "/api/v1/aliases/match",
       .access = Permission::ActionsRead,
       .handler = match_aliases,
       .summary = "What a command means: its alias, and the parameters that it gives.",
       .body_form = BodyForm::Json,
       .body = &CommandInput::fields(),
       .answer = &MatchView::fields()},
      {.name = "execute_alias",
       .method = "POST",
       .pattern = "/api/v1/aliases/execute",
       .access = Permission::ExecutionsRun,
       .handler = execute_alias,
       .summary = "Carry out a command: its alias' action is run. Durable before the answer.",
       .body_form = BodyForm::Json,
       .body = &ExecuteInput::fields(),
       .answer_form = AnswerForm::List,
       .answer = &ExecutedView::fields(),
       .status = 201,
       .takes_key = true},
      {.name = "show_alias",
       .method = "GET",
       .pattern = "/api/v1/aliases/{ref}",
       .access = Permission::ActionsRead,
       .handler = show_alias,
       .summary = "Show an alias, by ref, or by a name that no other has.",
       .answer = alias},
      {.name = "show_execution_message",
       .method = "GET",
       .pattern = "/api/v1/executions/{id}/message",
       .access = Permission::ExecutionsRead,
       .handler = show_message,
       .summary = "What an alias says of its execution, for a chat; with wait, once it is final.",
       .query = &ChatWaitQuery::fields(),
       .answer = &OutcomeView::fields()},
  };
}

}  // namespace millrace::api
