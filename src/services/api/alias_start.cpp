// SPDX-License-Identifier: Apache-2.0
#include "services/api/alias_start.h"

#include <fmt/format.h>

#include "base/json.h"
#include "base/text.h"
#include "engine/transitions/commands.h"
#include "services/api/shared.h"

namespace millrace::api {

using kernel::ExecutionRow;

namespace {

Value context_of(const ExecuteInput& input, const Alias& alias, const auth::Principal& who) {
  Value context = Value::map({{"action_alias_ref", alias.ref},
                              {"user", who.identity},
                              {"api_user", input.user.empty() ? who.identity : input.user},
                              {"source_channel", input.source_channel}});
  if (!input.notification_route.empty()) {
    context.set("notification_route", input.notification_route);
  }
  if (!input.source_context.is_null()) context.set("source_context", input.source_context);
  return context;
}

}  // namespace

Task<Result<Started>> start_command(Call& call, ExecuteInput input) {
  // It comes back with each event of an end.
  constexpr size_t kMostContext = 4096;
  if (size_t size = to_json(input.source_context).size(); size > kMostContext) {
    co_return Error(ErrorKind::Invalid, "BAS-0004",
                    fmt::format("source_context: expected at most {} bytes of JSON, found {}",
                                kMostContext, size))
        .with_problem("/source_context", "is too long");
  }
  auto catalog = call.api.engine.catalog(call.who.tenant);
  Started started;
  Value context;
  auto match = [&](sql::Connection&) -> Result<void> {
    auto found = input.alias.empty()
                     ? match_command(*catalog, input.command)
                     : match_alias(*catalog, input.alias, input.format, input.command);
    if (!found.ok()) return std::move(found).error();
    started.match = std::move(*found);
    const Alias& alias = *started.match.alias;
    context = context_of(input, alias, call.who);
    for (auto& parameters : started.match.parameters) {
      TRY(parameters, chat_parameters(*catalog, alias, std::move(parameters), context));
    }
    return {};
  };
  CO_TRY(co_await call.api.readers.run(match));
  constexpr size_t kMostOfOneCommand = 100;
  if (started.match.parameters.size() > kMostOfOneCommand) {
    co_return Error(ErrorKind::TooLarge, "API-0142",
                    fmt::format("a command starts at most {} executions, this one {}",
                                kMostOfOneCommand, started.match.parameters.size()));
  }
  for (size_t i = 0; i < started.match.parameters.size(); ++i) {
    engine::NewExecution request;
    request.action = started.match.alias->action;
    request.parameters = started.match.parameters[i];
    request.context = context;
    auto caller = call.caller();
    if (i > 0 && !caller.idempotency_key.empty()) {
      caller.idempotency_key += fmt::format("/{}", i);
    }
    auto command = [&](auto reply) {
      call.api.engine.submit(
          engine::command::run(std::move(caller), std::move(request), std::move(reply)));
    };
    CO_TRY(auto row, co_await ask<ExecutionRow>(command));
    started.rows.push_back(std::move(row));
  }
  auto say = [&](sql::Connection&) -> Result<void> {
    for (const auto& row : started.rows) {
      started.messages.push_back(
          acknowledgement(started.match.alias, chat_execution(row, *catalog)));
    }
    return {};
  };
  CO_TRY(co_await call.api.readers.run(say));
  co_return started;
}

HelpView help_of(const engine::TenantCatalog& catalog, const HelpQuery& query) {
  HelpView view;
  std::string wanted = to_lower_ascii(query.filter);
  for (const auto& pack : catalog.packs()) {
    if (!query.pack.empty() && query.pack != pack->ref) continue;
    for (const auto& alias : pack->aliases) {
      if (!alias.enabled) continue;
      for (const auto& form : alias.forms) {
        bool fits = to_lower_ascii(form.display).find(wanted) != std::string::npos ||
                    to_lower_ascii(alias.description).find(wanted) != std::string::npos;
        if (!fits) continue;
        int64_t number = view.available++;
        bool is_shown = number >= query.offset &&
                        (query.limit == 0 || number < int64_t{query.offset} + query.limit);
        if (is_shown) view.helpstrings.push_back({pack->ref, form.display, alias.description});
      }
    }
  }
  return view;
}

}  // namespace millrace::api
