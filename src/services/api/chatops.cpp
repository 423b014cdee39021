// SPDX-License-Identifier: Apache-2.0
// Aliases under StackStorm's paths and in its shapes, which have no {"data"}: what a chat bot for
// StackStorm asks.
#include "services/api/alias_start.h"
#include "services/api/routes.h"

namespace millrace::api {
namespace {

using auth::Permission;

Value st2_alias(const Alias& alias) {
  auto message = [](const AliasMessage& form) {
    Value out = Value::map({{"enabled", form.enabled}, {"append_url", form.append_url}});
    if (!form.format.empty()) out.set("format", form.format);
    if (form.extra.is_map()) out.set("extra", form.extra);
    return out;
  };
  Value formats = Value::list();
  for (const auto& form : alias.forms) {
    bool is_text = form.representations.size() == 1 && form.representations[0] == form.display;
    if (is_text && !form.match_multiple) {
      formats.push_back(form.display);
      continue;
    }
    Value texts = Value::list();
    for (const auto& text : form.representations) texts.push_back(text);
    formats.push_back(Value::map({{"display", form.display},
                                  {"representation", std::move(texts)},
                                  {"match_multiple", form.match_multiple}}));
  }
  return Value::map({{"id", alias.ref},
                     {"uid", "action_alias:" + alias.ref},
                     {"ref", alias.ref},
                     {"name", alias.name},
                     {"pack", alias.ref.substr(0, alias.ref.find('.'))},
                     {"description", alias.description},
                     {"enabled", alias.enabled},
                     {"action_ref", alias.action},
                     {"formats", std::move(formats)},
                     {"ack", message(alias.ack)},
                     {"result", message(alias.result)},
                     {"immutable_parameters", alias.immutable_parameters},
                     {"extra", alias.extra.is_map() ? alias.extra : Value::map()}});
}

// StackStorm's lists are cut by numbers; its bot asks for all with -1.
struct St2AliasQuery {
  int limit = -1;
  int offset = 0;
  std::string pack;

  static const Fields& fields() {
    static const Field lines[] = {
        field("limit", &St2AliasQuery::limit, "How many; -1: all.").range(-1, 10'000),
        field("offset", &St2AliasQuery::offset, "How many are passed over.").range(0, 1'000'000),
        field("pack", &St2AliasQuery::pack, "Only of this pack."),
    };
    static const auto table = fields_of<St2AliasQuery>("St2AliasQuery", "", lines);
    return table;
  }
};

Response st2_list_aliases(Call& call) {
  TRY(auto query, call.query<St2AliasQuery>());
  Value all = Value::list();
  int seen = 0;
  for (const auto& pack : call.api.engine.catalog(call.who.tenant)->packs()) {
    if (!query.pack.empty() && query.pack != pack->ref) continue;
    for (const auto& alias : pack->aliases) {
      if (seen++ < query.offset) continue;
      if (query.limit >= 0 && all.size() >= static_cast<size_t>(query.limit)) break;
      all.push_back(st2_alias(alias));
    }
  }
  return net::HttpResponse::json(200, to_json(all));
}

Response st2_help_aliases(Call& call) {
  TRY(auto query, call.query<HelpQuery>());
  return net::HttpResponse::json(
      200, encode_json(help_of(*call.api.engine.catalog(call.who.tenant), query)));
}

Response st2_match_alias(Call& call, sql::Connection&) {
  TRY(auto input, call.body<CommandInput>());
  auto catalog = call.api.engine.catalog(call.who.tenant);
  TRY(auto match, match_command(*catalog, input.command));
  return net::HttpResponse::json(202, to_json(Value::map({
                                          {"actionalias", st2_alias(*match.alias)},
                                          {"display", match.display},
                                          {"representation", match.representation},
                                      })));
}

struct St2ExecuteInput {
  std::string name;
  std::string format;
  std::string command;
  std::string user;
  std::string source_channel;
  std::optional<Value> source_context;
  std::optional<std::string> notification_channel;
  std::optional<std::string> notification_route;

  static const Fields& fields() {
    using V = St2ExecuteInput;
    static const Field lines[] = {
        field("name", &V::name, "Of the alias; not of match_and_execute."),
        field("format", &V::format, "Its representation."),
        field("command", &V::command, "").required(),
        field("user", &V::user, "").length(0, 255),
        field("source_channel", &V::source_channel, "").length(0, 255),
        field("source_context", &V::source_context, "Comes back with the answer."),
        field("notification_channel", &V::notification_channel, "The same, in older words."),
        field("notification_route", &V::notification_route,
              "Of the event of its end: core.st2.generic.notifytrigger."),
    };
    static const auto table = fields_of<V>("St2AliasExecution", "As StackStorm's.", lines);
    return table;
  }
};

Value st2_results(const Started& started, const engine::TenantCatalog& catalog) {
  Value results = Value::list();
  for (size_t i = 0; i < started.rows.size(); ++i) {
    Value result = Value::map({{"execution", chat_execution(started.rows[i], catalog)},
                               {"actionalias", st2_alias(*started.match.alias)},
                               {"message", started.messages[i].text}});
    if (!started.messages[i].extra.is_null()) result.set("extra", started.messages[i].extra);
    results.push_back(std::move(result));
  }
  return results;
}

ExecuteInput as_ours(St2ExecuteInput input) {
  auto route = input.notification_route ? input.notification_route : input.notification_channel;
  return {std::move(input.command),
          std::move(input.name),
          std::move(input.format),
          std::move(input.user),
          std::move(input.source_channel),
          route.value_or(""),
          input.source_context.value_or(Value())};
}

Task<Response> st2_execute_alias(Call& call) {
  CO_TRY(auto input, call.body<St2ExecuteInput>());
  if (input.name.empty()) {
    co_return Error(ErrorKind::Invalid, "BAS-0004", "expected the name of an alias")
        .with_problem("/name", "is required");
  }
  CO_TRY(auto started, co_await start_command(call, as_ours(std::move(input))));
  Value results = st2_results(started, *call.api.engine.catalog(call.who.tenant));
  co_return net::HttpResponse::json(201, to_json(results.as_list().front()));
}

Task<Response> st2_match_and_execute(Call& call) {
  CO_TRY(auto input, call.body<St2ExecuteInput>());
  input.name.clear();
  input.format.clear();
  CO_TRY(auto started, co_await start_command(call, as_ours(std::move(input))));
  Value results = st2_results(started, *call.api.engine.catalog(call.who.tenant));
  co_return net::HttpResponse::json(201, to_json(Value::map({{"results", std::move(results)}})));
}

}  // namespace

std::vector<Route> chatops_routes() {
  return {
      {.name = "st2_list_aliases",
       .method = "GET",
       .pattern = "/v1/actionalias",
       .access = Permission::ActionsRead,
       .handler = st2_list_aliases,
       .summary = "All aliases, as StackStorm shows them.",
       .query = &St2AliasQuery::fields(),
       .answer_form = AnswerForm::Text},
      {.name = "st2_help_aliases",
       .method = "GET",
       .pattern = "/v1/actionalias/help",
       .access = Permission::ActionsRead,
       .handler = st2_help_aliases,
       .summary = "What can be said in a chat, as StackStorm shows it.",
       .query = &HelpQuery::fields(),
       .answer_form = AnswerForm::Text},
      {.name = "st2_match_alias",
       .method = "POST",
       .pattern = "/v1/actionalias/match",
       .access = Permission::ActionsRead,
       .handler = st2_match_alias,
       .summary = "What a command means, as StackStorm shows it.",
       .body_form = BodyForm::Json,
       .body = &CommandInput::fields(),
       .answer_form = AnswerForm::Text},
      {.name = "st2_execute_alias",
       .method = "POST",
       .pattern = "/v1/aliasexecution",
       .access = Permission::ExecutionsRun,
       .handler = st2_execute_alias,
       .summary = "Carry out a command of one alias, as StackStorm takes it.",
       .body_form = BodyForm::Json,
       .body = &St2ExecuteInput::fields(),
       .answer_form = AnswerForm::Text},
      {.name = "st2_match_and_execute_alias",
       .method = "POST",
       .pattern = "/v1/aliasexecution/match_and_execute",
       .access = Permission::ExecutionsRun,
       .handler = st2_match_and_execute,
       .summary = "Carry out a command, as StackStorm takes it.",
       .body_form = BodyForm::Json,
       .body = &St2ExecuteInput::fields(),
       .answer_form = AnswerForm::Text},
  };
}

}  // namespace millrace::api
