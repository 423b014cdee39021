// SPDX-License-Identifier: Apache-2.0
#include "services/api/chat.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/excerpt.h"
#include "base/text.h"
#include "base/time.h"
#include "expr/expr.h"
#include "packs/alias_format.h"
#include "services/api/execution_view.h"
#include "services/api/parse.h"

namespace millrace::api {
namespace {

// Of all formats that one command is held against: half a second at worst.
expr::Allowance allowance_of_command() { return {.of = 10'000'000}; }

Result<void> check_length(std::string_view command) {
  if (command.size() <= packs::kLongestCommand) return {};
  return Error(ErrorKind::TooLarge, "API-0142",
               fmt::format("a command has at most {} bytes, found {}", packs::kLongestCommand,
                           command.size()));
}

// Its first form that the command is of; parameters stay empty when there is none.
Result<ChatMatch> match_forms(const std::shared_ptr<const Pack>& pack, const Alias& alias,
                              std::string_view representation, std::string_view command,
                              expr::Allowance& allowance) {
  ChatMatch match{pack, &alias, {}, {}, {}};
  for (const auto& form : alias.forms) {
    for (size_t i = 0; i < form.formats.size(); ++i) {
      if (!representation.empty() && form.representations[i] != representation) continue;
      if (form.match_multiple) {
        TRY(match.parameters, form.formats[i]->match_all(command, allowance));
      } else {
        TRY(auto found, form.formats[i]->match(command, allowance));
        if (found) match.parameters.push_back(std::move(*found));
      }
      if (match.parameters.empty()) continue;
      match.display = form.display;
      match.representation = form.representations[i];
      return match;
    }
  }
  return match;
}

std::vector<std::string_view> displays(const engine::TenantCatalog& catalog) {
  std::vector<std::string_view> all;
  for (const auto& pack : catalog.packs()) {
    for (const auto& alias : pack->aliases) {
      for (const auto& form : alias.forms) all.push_back(form.display);
    }
  }
  return all;
}

Error no_match(const engine::TenantCatalog& catalog, std::string_view command) {
  auto all = displays(catalog);
  return Error(ErrorKind::NotFound, "API-0140",
               fmt::format("no alias is of the form {}{}", json_excerpt(Value(command), 80),
                           all.empty() ? ": no pack has one" : did_you_mean(command, all)));
}

bool wants_list(const engine::TenantCatalog& catalog, const Alias& alias, std::string_view name) {
  const auto* found = catalog.find_action(alias.action);
  if (!found) return false;
  const auto& all = found->action->parameters;
  auto own = std::ranges::find(all, name, &Parameter::name);
  return own != all.end() && own->schema.string_or("type", "") == "array";
}

// Templates of an alias. Its author is whoever wrote the pack; the values are anybody's, and are
// never evaluated.
Result<Value> render(const Value& tree, Value names) {
  expr::Engine engine(64 << 10);
  expr::Allowance allowance;
  expr::Scope scope;
  scope.names = std::move(names);
  scope.budget.output_bytes = 256 << 10;
  scope.allowance = &allowance;
  return engine.render(tree, scope);
}

void say(ChatMessage& message, const AliasMessage& form, std::string_view field,
         const Value& execution) {
  message.enabled = form.enabled;
  message.append_url = form.append_url;
  Value names = Value::map({{"execution", execution}});
  auto fault = [&](std::string_view what, const Error& error) {
    return fmt::format("Cannot render \"{}\" in field \"{}\" for alias. {}", what, field,
                       error.message());
  };
  if (!form.format.empty()) {
    auto text = render(Value(form.format), names);
    message.text = text.ok() ? expr::to_text(*text) : fault("format", text.error());
  }
  if (form.extra.is_map()) {
    auto extra = render(form.extra, names);
    message.extra = extra.ok() ? std::move(*extra) : Value(fault("extra", extra.error()));
  }
}

std::string said_of(const Value& execution, std::string_view what) {
  return fmt::format("{} {}, execution {}", execution["action"].string_or("ref", ""), what,
                     execution.string_or("id", ""));
}

// What an action has come to, for a chat: its result, what it printed, or why there is nothing.
std::string default_result(const Value& execution) {
  auto status = execution.string_or("status", "");
  std::string text =
      said_of(execution, status == "succeeded" ? "has succeeded" : fmt::format("is {}", status));
  const Value& result = execution["result"];
  if (!result.is_map()) return text;
  for (std::string_view name : {"result", "output", "stdout", "stderr"}) {
    const Value* found = result.find(name);
    if (!found || found->is_null() || (found->is_string() && found->as_string().empty())) continue;
    constexpr size_t kShown = 2000;
    std::string shown =
        found->is_string() ? std::string(found->as_string()) : json_excerpt(*found, kShown);
    if (shown.size() > kShown) shown = std::string(whole_characters(shown.substr(0, kShown)));
    return fmt::format("{}\n{}", text, trim(shown));
  }
  return text;
}

}  // namespace

const Alias* find_alias(const engine::TenantCatalog& catalog, std::string_view ref) {
  const Alias* by_name = nullptr;
  int so_named = 0;
  for (const auto& pack : catalog.packs()) {
    for (const auto& alias : pack->aliases) {
      if (alias.ref == ref) return &alias;
      if (alias.name != ref) continue;
      by_name = &alias;
      ++so_named;
    }
  }
  return so_named == 1 ? by_name : nullptr;
}

Result<ChatMatch> match_command(const engine::TenantCatalog& catalog, std::string_view command) {
  TRY(check_length(command));
  auto allowance = allowance_of_command();
  std::vector<ChatMatch> matches;
  for (const auto& pack : catalog.packs()) {
    for (const auto& alias : pack->aliases) {
      if (!alias.enabled) continue;
      TRY(auto match, match_forms(pack, alias, {}, command, allowance));
      if (!match.parameters.empty()) matches.push_back(std::move(match));
    }
  }
  if (matches.empty()) return no_match(catalog, command);
  if (matches.size() == 1) return std::move(matches.front());
  std::string names;
  for (const auto& match : matches) {
    if (!names.empty()) names += ", ";
    names += fmt::format("{} ({})", match.alias->ref, match.representation);
  }
  return Error(ErrorKind::Conflict, "API-0141",
               fmt::format("{} aliases are of the form {}: {}", matches.size(),
                           json_excerpt(Value(command), 80), names));
}

Result<ChatMatch> match_alias(const engine::TenantCatalog& catalog, std::string_view name,
                              std::string_view representation, std::string_view command) {
  TRY(check_length(command));
  const Alias* wanted = find_alias(catalog, name);
  if (!wanted) {
    std::vector<std::string_view> refs;
    for (const auto& pack : catalog.packs()) {
      for (const auto& alias : pack->aliases) refs.push_back(alias.ref);
    }
    return Error(ErrorKind::NotFound, "API-0070",
                 fmt::format("no alias '{}'{}", name, did_you_mean(name, refs)));
  }
  if (!wanted->enabled) {
    return Error(ErrorKind::Conflict, "API-0144", fmt::format("alias '{}' is disabled", name));
  }
  auto allowance = allowance_of_command();
  for (const auto& pack : catalog.packs()) {
    for (const auto& alias : pack->aliases) {
      if (&alias != wanted) continue;
      TRY(auto match, match_forms(pack, alias, representation, command, allowance));
      if (!match.parameters.empty()) return match;
    }
  }
  return no_match(catalog, command);
}

Result<Value> chat_parameters(const engine::TenantCatalog& catalog, const Alias& alias,
                              Value parameters, const Value& context) {
  Value out = Value::map();
  for (const auto& entry : parameters.as_map()) {
    bool is_fixed =
        alias.immutable_parameters.is_map() && alias.immutable_parameters.find(entry.name());
    if (is_fixed) {
      return Error(ErrorKind::Invalid, "API-0143",
                   fmt::format("alias '{}': no command may set '{}'", alias.ref, entry.name()));
    }
    bool is_list = entry.value.is_string() && wants_list(catalog, alias, entry.name());
    out.set(entry.name(), is_list ? packs::list_of_text(entry.value.as_string()) : entry.value);
  }
  if (!alias.immutable_parameters.is_map()) return out;
  TRY(Value fixed, render(alias.immutable_parameters, Value::map({{"action_context", context}})));
  for (const auto& entry : fixed.as_map()) out.set(entry.name(), entry.value);
  return out;
}

Value chat_execution(const kernel::ExecutionRow& row, const engine::TenantCatalog& catalog) {
  auto view = full_view(row, catalog);
  auto time = [](int64_t ms) { return ms > 0 ? Value(to_rfc3339(ms)) : Value(); };
  size_t dot = row.action.find('.');
  Value out =
      Value::map({{"id", row.id.str()},
                  {"status", to_string(row.status)},
                  {"action", Value::map({{"ref", row.action},
                                         {"pack", std::string_view(row.action).substr(0, dot)},
                                         {"name", std::string_view(row.action).substr(dot + 1)}})},
                  {"parameters", view.parameters.value_or(Value::map())},
                  {"result", view.result.value_or(Value::map())},
                  {"start_timestamp", time(row.created)},
                  {"end_timestamp", time(row.ended)},
                  {"web_url", fmt::format("/api/v1/executions/{}", row.id.value)}});
  if (row.ended > 0) {
    out.set("elapsed_seconds", static_cast<double>(row.ended - row.created) / 1000);
  }
  Value context = stored_json(row.env_json)["context"];
  if (!context.is_map()) context = Value::map();
  context.set("user", row.identity);
  out.set("context", std::move(context));
  return out;
}

ChatMessage acknowledgement(const Alias* alias, const Value& execution) {
  ChatMessage message;
  if (alias) say(message, alias->ack, "ack", execution);
  bool is_ours = message.enabled && (!alias || alias->ack.format.empty());
  if (is_ours) message.text = said_of(execution, "is under way");
  return message;
}

ChatMessage outcome(const Alias* alias, const Value& execution) {
  ChatMessage message;
  if (alias) say(message, alias->result, "result", execution);
  bool is_ours = message.enabled && (!alias || alias->result.format.empty());
  if (is_ours) message.text = default_result(execution);
  return message;
}

}  // namespace millrace::api
