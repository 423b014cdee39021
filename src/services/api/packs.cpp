// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "base/text.h"
#include "engine/machine/catalog.h"
#include "engine/machine/pack_users.h"
#include "engine/transitions/commands.h"
#include "services/api/call.h"
#include "services/api/page.h"
#include "services/api/routes.h"
#include "services/api/shared.h"
#include "store/read.h"

namespace millrace::api {
namespace {

using auth::Permission;

struct ParameterView {
  std::string name;
  std::string description;
  bool required = false;
  bool secret = false;
  bool immutable = false;
  std::optional<int> position;
  std::optional<Value> default_value;
  Value schema;

  static const Fields& fields() {
    using V = ParameterView;
    static const Field lines[] = {
        field("name", &V::name, ""),
        field("description", &V::description, ""),
        field("required", &V::required, ""),
        field("secret", &V::secret, "Masked wherever it is shown."),
        field("immutable", &V::immutable, "A caller may not set it."),
        field("position", &V::position, "Of shell actions: the place among the arguments."),
        field("default", &V::default_value, ""),
        field("schema", &V::schema, "JSON Schema."),
    };
    static const auto table = fields_of<V>("Parameter", "", lines);
    return table;
  }
};

struct ActionView {
  std::string ref;
  std::string pack;
  std::string description;
  std::string runner_type;
  std::string runtime;
  bool enabled = true;
  int64_t timeout_ms = 0;
  EffectClass effect_class = EffectClass::AtMostOnce;
  std::vector<ParameterView> parameters;
  std::optional<Value> output_schema;
  std::vector<std::string> permissions;

  static const Fields& fields() {
    using V = ActionView;
    static const Field lines[] = {
        field("ref", &V::ref, "pack.name"),
        field("pack", &V::pack, ""),
        field("description", &V::description, ""),
        field("runner_type", &V::runner_type, "How it is executed."),
        field("runtime", &V::runtime, "shell, python, node, native; of scripts."),
        field("enabled", &V::enabled, ""),
        field("timeout_ms", &V::timeout_ms, "").unit("ms"),
        field("effect_class", &V::effect_class, "What may be done with a run that was lost."),
        field("parameters", &V::parameters, ""),
        field("output_schema", &V::output_schema, "JSON Schema."),
        field("permissions", &V::permissions, "Of the token that its runs get."),
    };
    static const auto table = fields_of<V>("Action", "What can be run.", lines);
    return table;
  }
};

struct TriggerView {
  std::string ref;
  std::string pack;
  std::string description;
  std::vector<ParameterView> parameters;
  std::optional<Value> payload_schema;

  static const Fields& fields() {
    using V = TriggerView;
    static const Field lines[] = {
        field("ref", &V::ref, "pack.name"),
        field("pack", &V::pack, ""),
        field("description", &V::description, ""),
        field("parameters", &V::parameters, "What a rule on it gives."),
        field("payload_schema", &V::payload_schema, "JSON Schema."),
    };
    static const auto table = fields_of<V>("Trigger", "A kind of event.", lines);
    return table;
  }
};

// Where the files of a pack are.
enum class PackSource : uint8_t { Installed, Folder, SourceGone };
std::string_view to_string(PackSource source) {
  switch (source) {
    case PackSource::Installed: return "installed";
    case PackSource::Folder: return "folder";
    case PackSource::SourceGone: return "source_gone";
  }
  return "unknown";
}

struct PackView {
  std::string ref;
  std::string label;
  std::string description;
  std::string version;
  std::string author;
  std::vector<std::string> keywords;
  std::string digest;
  PackSource state = PackSource::Installed;
  std::string source;
  std::string source_ref;
  std::string commit;
  std::string installer;
  int64_t actions = 0;
  int64_t triggers = 0;
  int64_t rules = 0;
  int64_t faults = 0;
  std::vector<std::string> problems;
  std::vector<std::string> waiting;
  std::optional<std::vector<std::string>> used_by;

  static const Fields& fields() {
    using V = PackView;
    static const Field lines[] = {
        field("ref", &V::ref, ""),
        field("label", &V::label, ""),
        field("description", &V::description, ""),
        field("version", &V::version, ""),
        field("author", &V::author, ""),
        field("keywords", &V::keywords, ""),
        field("digest", &V::digest, "SHA-256 of the content: names the release."),
        field("state", &V::state,
              "installed: with the server, or by somebody; folder: a folder of packs holds it; "
              "source_gone: none does any more, its staged release goes on."),
        field("source", &V::source, "The folder, archive or git URL that it was read from."),
        field("source_ref", &V::source_ref, "Of git: what was asked for."),
        field("commit", &V::commit, "Of git: what that was."),
        field("installer", &V::installer, "Who put it in force, of one that was installed."),
        field("actions", &V::actions, "How many."),
        field("triggers", &V::triggers, "How many."),
        field("rules", &V::rules, "How many."),
        field("faults", &V::faults, "How many."),
        field("problems", &V::problems,
              "The faults, with file and line: each costs its file, or keeps the release before."),
        field("waiting", &V::waiting,
              "Rules that name what another pack has to bring: they come alive with it."),
        field("used_by", &V::used_by,
              "Rules, webhook endpoints and workflows of others that use it; of one pack alone."),
    };
    static const auto table =
        fields_of<V>("Pack", "A folder of actions, triggers and rules.", lines);
    return table;
  }
};

struct UninstallQuery {
  bool force = false;

  static const Fields& fields() {
    static const Field lines[] = {
        field("force", &UninstallQuery::force,
              "Although rules of others or webhook endpoints use it."),
    };
    static const auto table = fields_of<UninstallQuery>("UninstallQuery", "", lines);
    return table;
  }
};

struct UninstalledView {
  std::string ref;
  int64_t rules = 0;
  int64_t open_executions = 0;
  std::optional<std::string> source;

  static const Fields& fields() {
    using V = UninstalledView;
    static const Field lines[] = {
        field("ref", &V::ref, ""),
        field("rules", &V::rules, "How many have ended with it."),
        field("open_executions", &V::open_executions, "How many go on with its release."),
        field("source", &V::source,
              "The folder that still holds it: the next start or reload with it brings it back."),
    };
    static const auto table = fields_of<V>("Uninstalled", "A pack that has left.", lines);
    return table;
  }
};

struct NameQuery {
  int limit = 50;
  std::string cursor;
  std::string pack;

  static const Fields& fields() {
    static const Field lines[] = {
        field("limit", &NameQuery::limit, "Entries per page.").range(1, 500),
        field("cursor", &NameQuery::cursor, "next_cursor of the page before."),
        field("pack", &NameQuery::pack, "Only of this pack."),
    };
    static const auto table = fields_of<NameQuery>("NameQuery", "", lines);
    return table;
  }
};

std::vector<ParameterView> views_of(const std::vector<Parameter>& parameters) {
  std::vector<ParameterView> views;
  for (const auto& p : parameters) {
    bool hides_default = p.secret && p.default_value;
    views.push_back({p.name, p.description, p.required, p.secret, p.immutable, p.position,
                     hides_default ? std::optional<Value>("********") : p.default_value, p.schema});
  }
  return views;
}

ActionView view_of(const Pack& pack, const Action& action) {
  ActionView view;
  view.ref = action.ref;
  view.pack = pack.ref;
  view.description = action.description;
  view.runner_type = action.runner_type;
  view.runtime = action.runtime;
  view.enabled = action.enabled;
  view.timeout_ms = action.timeout_ms;
  view.effect_class = action.effect_class;
  view.parameters = views_of(action.parameters);
  if (!action.output_schema.is_null()) view.output_schema = action.output_schema;
  view.permissions = action.permissions;
  return view;
}

TriggerView view_of(const Pack& pack, const Trigger& trigger) {
  TriggerView view{trigger.ref, pack.ref, trigger.description, views_of(trigger.parameters), {}};
  if (!trigger.payload_schema.is_null()) view.payload_schema = trigger.payload_schema;
  return view;
}

PackView view_of(const Pack& pack) {
  PackView view;
  view.ref = pack.ref;
  view.label = pack.label;
  view.description = pack.description;
  view.version = pack.version;
  view.author = pack.author;
  view.keywords = pack.keywords;
  view.digest = pack.digest;
  view.state = pack.source_gone      ? PackSource::SourceGone
               : pack.source.empty() ? PackSource::Installed
                                     : PackSource::Folder;
  view.source = pack.origin.is_installed() ? pack.origin.from : pack.source;
  view.source_ref = pack.origin.ref;
  view.commit = pack.origin.commit;
  view.installer = pack.origin.installer;
  view.actions = static_cast<int64_t>(pack.actions.size());
  view.triggers = static_cast<int64_t>(pack.triggers.size());
  view.rules = static_cast<int64_t>(pack.rules.size());
  view.faults = static_cast<int64_t>(pack.faults.size());
  for (const auto& fault : pack.faults) {
    view.problems.push_back(fmt::format("{}: {}", fault.path, fault.message));
  }
  for (const auto& rule : pack.waiting) {
    view.waiting.push_back(fmt::format("{}: {}", rule.path, rule.message));
  }
  return view;
}

Error not_found(std::string_view kind, std::string_view ref, std::string_view hint) {
  return Error(ErrorKind::NotFound, "API-0070", fmt::format("no {} '{}'{}", kind, ref, hint));
}

// A page of what the wanted packs hold, by ref. `add` is given a pack and appends its views.
template <typename View, typename Add>
Response list_of(Call& call, std::string_view list, Add add) {
  TRY(auto query, call.query<NameQuery>());
  std::vector<View> views;
  for (const auto& pack : call.api.engine.catalog(call.who.tenant)->packs()) {
    if (query.pack.empty() || query.pack == pack->ref) add(*pack, views);
  }
  return page_by_key(list, std::move(views), query.limit, query.cursor,
                     [](const View& view) { return view.ref; });
}

Response list_packs(Call& call) {
  return list_of<PackView>(call, "packs",
                           [](const Pack& pack, auto& views) { views.push_back(view_of(pack)); });
}

Response show_pack(Call& call) {
  auto catalog = call.api.engine.catalog(call.who.tenant);
  std::vector<std::string_view> names;
  for (const auto& pack : catalog->packs()) {
    if (pack->ref == call.param()) {
      auto view = view_of(*pack);
      view.used_by.emplace();
      auto is_its_own = [&](std::string_view ref) {
        return pack->find_action(ref) || pack->find_trigger(ref);
      };
      for (const auto& user : engine::users_of(*catalog, pack->ref, is_its_own)) {
        view.used_by->push_back(fmt::format("{} {}", user.path, user.message));
      }
      return answer_one(view);
    }
    names.push_back(pack->ref);
  }
  return not_found("pack", call.param(), did_you_mean(call.param(), names));
}

Task<Response> uninstall_pack(Call& call) {
  CO_TRY(auto query, call.query<UninstallQuery>());
  auto command = [&](auto reply) {
    call.api.engine.submit(engine::command::uninstall_pack(
        call.caller(), {std::string(call.param()), query.force}, std::move(reply)));
  };
  CO_TRY(auto done, co_await ask<engine::Uninstalled>(command));
  UninstalledView view{.ref = done.ref, .rules = done.rules};
  if (!done.source.empty()) view.source = done.source;
  auto count = [&](sql::Connection& db) -> Result<void> {
    TRY(view.open_executions, store::executions_of_release(db, call.who.tenant, done.digest));
    return {};
  };
  if (!done.digest.empty()) CO_TRY(co_await call.api.readers.run(count));
  co_return answer_one(view);
}

Response list_actions(Call& call) {
  return list_of<ActionView>(call, "actions", [](const Pack& pack, auto& views) {
    for (const auto& action : pack.actions) views.push_back(view_of(pack, action));
  });
}

Response show_action(Call& call) {
  auto catalog = call.api.engine.catalog(call.who.tenant);
  const auto* found = catalog->find_action(call.param());
  if (found) return answer_one(view_of(*found->pack, *found->action));
  return not_found("action", call.param(), catalog->suggest_action(call.param()));
}

Response list_triggers(Call& call) {
  return list_of<TriggerView>(call, "triggers", [](const Pack& pack, auto& views) {
    for (const auto& trigger : pack.triggers) views.push_back(view_of(pack, trigger));
  });
}

Response show_trigger(Call& call) {
  auto catalog = call.api.engine.catalog(call.who.tenant);
  for (const auto& pack : catalog->packs()) {
    if (const auto* trigger = pack->find_trigger(call.param())) {
      return answer_one(view_of(*pack, *trigger));
    }
  }
  return not_found("trigger", call.param(), catalog->suggest_trigger(call.param()));
}

Route list_route(std::string_view name, std::string_view pattern, Permission permission,
                 Handler handler, std::string_view summary, const Fields& view) {
  return {.name = name,
          .method = "GET",
          .pattern = pattern,
          .access = permission,
          .handler = handler,
          .summary = summary,
          .query = &NameQuery::fields(),
          .answer_form = AnswerForm::List,
          .answer = &view};
}

Route show_route(std::string_view name, std::string_view pattern, Permission permission,
                 Handler handler, std::string_view summary, const Fields& view) {
  return {.name = name,
          .method = "GET",
          .pattern = pattern,
          .access = permission,
          .handler = handler,
          .summary = summary,
          .answer = &view};
}

}  // namespace

std::vector<Route> pack_routes() {
  return {
      list_route("list_packs", "/api/v1/packs", Permission::PacksRead, list_packs,
                 "List packs by ref.", PackView::fields()),
      show_route("show_pack", "/api/v1/packs/{ref}", Permission::PacksRead, show_pack,
                 "Show a pack.", PackView::fields()),
      {.name = "uninstall_pack",
       .method = "DELETE",
       .pattern = "/api/v1/packs/{ref}",
       .access = Permission::PacksWrite,
       .handler = uninstall_pack,
       .summary = "Uninstall a pack: its rules end, what runs of it goes on.",
       .query = &UninstallQuery::fields(),
       .answer = &UninstalledView::fields(),
       .takes_key = true},
      list_route("list_actions", "/api/v1/actions", Permission::ActionsRead, list_actions,
                 "List actions by ref.", ActionView::fields()),
      show_route("show_action", "/api/v1/actions/{ref}", Permission::ActionsRead, show_action,
                 "Show an action with its parameters.", ActionView::fields()),
      list_route("list_triggers", "/api/v1/triggers", Permission::TriggersRead, list_triggers,
                 "List triggers by ref.", TriggerView::fields()),
      show_route("show_trigger", "/api/v1/triggers/{ref}", Permission::TriggersRead, show_trigger,
                 "Show a trigger with its parameters.", TriggerView::fields()),
  };
}

}  // namespace millrace::api
