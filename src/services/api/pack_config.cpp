// SPDX-License-Identifier: Apache-2.0
#include "engine/machine/pack_config.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/json.h"
#include "base/text.h"
#include "engine/machine/catalog.h"
#include "engine/transitions/commands.h"
#include "packs/config.h"
#include "services/api/admission.h"
#include "services/api/call.h"
#include "services/api/routes.h"
#include "services/api/shared.h"
#include "store/read.h"

namespace millrace::api {
namespace {

using auth::Permission;

struct ConfigInput {
  Value values;

  static const Fields& fields() {
    static const Field lines[] = {
        field("values", &ConfigInput::values,
              "A map. ******** in the place of a secret keeps what is stored there.")
            .required()
            .secret(),
    };
    static const auto table =
        fields_of<ConfigInput>("PackConfigInput", "What is set of a configuration.", lines);
    return table;
  }
};

struct ConfigView {
  std::string pack;
  int64_t version = 0;
  Value values;
  Value stored;
  Value schema;
  std::vector<std::string> missing;
  std::vector<std::string> problems;

  static const Fields& fields() {
    using V = ConfigView;
    static const Field lines[] = {
        field("pack", &V::pack, ""),
        field("version", &V::version,
              "Of what is stored: rises with each change; the ETag. 0: nothing was stored yet."),
        field("values", &V::values,
              "As a run gets them, but for {{ st2kv... }}, which is rendered then; secrets are "
              "********."),
        field("stored", &V::stored,
              "What was set here, over the files of the server and of the pack."),
        field("schema", &V::schema, "JSON Schema, of the pack's config.schema.yaml."),
        field("missing", &V::missing, "What is required and not there."),
        field("problems", &V::problems,
              "What does not fit the schema, and texts that read keys "
              "which are not there."),
    };
    static const auto table = fields_of<V>("PackConfig", "The configuration of a pack.", lines);
    return table;
  }
};

Result<std::shared_ptr<const Pack>> pack_of(const Call& call) {
  auto catalog = call.api.engine.catalog(call.who.tenant);
  std::vector<std::string_view> names;
  for (const auto& pack : catalog->packs()) {
    if (pack->ref == call.param()) return pack;
    names.push_back(pack->ref);
  }
  return Error(ErrorKind::NotFound, "API-0070",
               fmt::format("no pack '{}'{}", call.param(), did_you_mean(call.param(), names)));
}

struct StoredConfig {
  int64_t version = 0;
  Value values = Value::map();
};

auth::SealedFor config_owner(const kernel::KeyName& key, int64_t version) {
  return {key.tenant, key.scope, key.name, version};
}

Result<StoredConfig> stored_of(const Call& call, const Pack& pack, sql::Connection& db) {
  TRY(auto row, store::find_key(db, engine::config_key(call.who.tenant, pack.ref)));
  if (!row) return StoredConfig();
  StoredConfig stored{.version = row->version};
  if (row->is_over(call.api.now_ms())) return stored;
  Secret text(row->value_json);
  if (row->encrypted) {
    TRY(text, call.api.keys.open(config_owner(row->key, row->version), row->value_json));
  }
  TRY(stored.values, parse_json(text.reveal(), kOwnJson));
  return stored;
}

// The texts that came to nothing.
void find_lost(const Value& given, const Value& rendered, const std::string& at,
               std::vector<std::string>& out) {
  if (given.is_map() && rendered.is_map()) {
    for (const auto& entry : given.as_map()) {
      auto inside = at.empty() ? std::string(entry.name()) : fmt::format("{}.{}", at, entry.name());
      find_lost(entry.value, rendered[entry.name()], inside, out);
    }
  } else if (given.is_list() && rendered.size() == given.size()) {
    for (size_t i = 0; i < given.size(); ++i) {
      find_lost(given.as_list()[i], rendered.as_list()[i], fmt::format("{}.{}", at, i), out);
    }
  } else if (given.is_string() && rendered.is_null()) {
    out.push_back(
        fmt::format("{}: {} comes to nothing: is there such a key?", at, given.as_string()));
  }
}

// Encrypted keys stay closed: whether they are there is enough.
Result<void> look_for_keys(const Call& call, const Pack& pack, const Value& config,
                           sql::Connection& db, std::vector<std::string>& problems) {
  engine::KeyRows rows;
  engine::OpenKey closed;
  expr::Engine expressions;
  for (int round = 0; round < engine::kMostRounds; ++round) {
    engine::KeyLookup keys(
        rows, closed, call.api.now_ms(),
        {.tenant = call.who.tenant, .user = engine::key_user(call.who.identity), .pack = pack.ref});
    auto rendered = packs::render_config(pack.config_schema, config, keys, expressions);
    if (rendered.ok()) {
      find_lost(config, *rendered, "", problems);
      return {};
    }
    for (const Problem& need : expr::needed_keys(rendered.error())) {
      auto key = engine::key_of_need(need.path);
      if (!key) continue;
      TRY(auto row, store::find_key(db, *key));
      rows.emplace(std::move(*key), std::move(row));
    }
  }
  return {};
}

Result<ConfigView> view_of(const Call& call, const Pack& pack, const StoredConfig& stored,
                           sql::Connection& db) {
  const Value& schema = pack.config_schema;
  Value config = packs::with_defaults(schema, packs::merged(pack.config, stored.values));
  ConfigView view{.pack = pack.ref, .version = stored.version};
  view.values = packs::masked_config(schema, config);
  view.stored = packs::masked_config(schema, stored.values);
  view.schema = schema.is_map() ? schema : Value::map();
  view.missing = packs::missing_config(schema, config);
  for (const auto& problems :
       {packs::config_problems(schema, config), packs::unknown_config(schema, config)}) {
    for (const auto& one : problems) {
      view.problems.push_back(fmt::format("{}: {}", one.path, one.message));
    }
  }
  TRY(look_for_keys(call, pack, config, db, view.problems));
  return view;
}

Response answer_config(const ConfigView& view) {
  auto response = answer_one(view);
  response.header("ETag", fmt::format("\"{}\"", view.version));
  return response;
}

Response show_config(Call& call, sql::Connection& db) {
  TRY(auto pack, pack_of(call));
  TRY(auto stored, stored_of(call, *pack, db));
  TRY(auto view, view_of(call, *pack, stored, db));
  return answer_config(view);
}

// What the values bring in that was not wrong before.
Result<void> check_values(const Pack& pack, const Value& values) {
  auto before = packs::config_problems(pack.config_schema, pack.config);
  auto now = packs::config_problems(
      pack.config_schema,
      packs::with_defaults(pack.config_schema, packs::merged(pack.config, values)));
  std::erase_if(now, [&](const Problem& one) {
    auto same = [&](const Problem& other) {
      return other.path == one.path && other.message == one.message;
    };
    return std::ranges::any_of(before, same);
  });
  if (now.empty()) return {};
  for (auto& one : now) one.path = "/values" + one.path;
  return Error(ErrorKind::Invalid, "PCK-0018",
               fmt::format("the configuration of pack '{}' does not fit its schema", pack.ref))
      .with_problems(std::move(now));
}

Task<Response> put_config(Call& call) {
  constexpr int kMostTries = 8;  // a write that is overtaken seals its values anew
  CO_TRY(auto input, call.body<ConfigInput>());
  CO_TRY(auto pack, pack_of(call));
  if (!engine::is_configurable(*pack)) {
    co_return Error(
        ErrorKind::Conflict, "PCK-0017",
        fmt::format("pack '{}' has nothing to configure: it has no config.schema.yaml", pack->ref));
  }
  if (!input.values.is_map()) {
    co_return Error(ErrorKind::Invalid, "PCK-0018", "expected a map of values")
        .with_problem("/values", fmt::format("expected a map, found {}", input.values.type_name()));
  }
  engine::KeyWrite write{.key = engine::config_key(call.who.tenant, pack->ref), .is_config = true};
  CO_TRY(write.if_version, call.if_match());
  for (int tries = 1;; ++tries) {
    StoredConfig stored;
    auto read = [&](sql::Connection& db) -> Result<void> {
      TRY(stored, stored_of(call, *pack, db));
      return {};
    };
    CO_TRY(co_await call.api.readers.run(read));
    Value values = packs::unmasked_config(pack->config_schema, input.values, stored.values);
    CO_TRY(check_values(*pack, values));
    Secret text(to_json(values));
    if (text.reveal().size() > engine::kMostKeyBytes) {
      co_return Error(ErrorKind::Invalid, "PCK-0018",
                      fmt::format("expected at most {} bytes of JSON, found {}",
                                  engine::kMostKeyBytes, text.reveal().size()))
          .with_problem("/values", "too large");
    }
    write.version = stored.version + 1;
    write.encrypted = packs::masked_config(pack->config_schema, values) != values;
    write.value_json = write.encrypted ? call.api.keys.seal(config_owner(write.key, write.version),
                                                            text.reveal(), call.api.options.random)
                                       : text.reveal();
    auto command = [&](auto reply) {
      call.api.engine.submit(engine::command::write_key(call.caller(), write, std::move(reply)));
    };
    auto row = co_await ask<kernel::KeyRow>(command);
    bool is_overtaken = !row.ok() && row.error().code() == engine::kKeyMoved;
    if (is_overtaken && tries < kMostTries) continue;
    if (!row.ok()) co_return row.error();
    Result<ConfigView> view = ConfigView();
    auto show = [&](sql::Connection& db) -> Result<void> {
      TRY(view, view_of(call, *pack, {row->version, values}, db));
      return {};
    };
    CO_TRY(co_await call.api.readers.run(show));
    co_return answer_config(*view);
  }
}

}  // namespace

std::vector<Route> pack_config_routes() {
  constexpr std::string_view kPattern = "/api/v1/packs/{ref}/config";
  return {
      {.name = "show_pack_config",
       .method = "GET",
       .pattern = kPattern,
       .access = Permission::PacksRead,
       .handler = show_config,
       .summary = "Show the configuration of a pack; secrets are hidden.",
       .answer = &ConfigView::fields()},
      {.name = "put_pack_config",
       .method = "PUT",
       .pattern = kPattern,
       .access = Permission::PacksWrite,
       .handler = put_config,
       .summary =
           "Set the configuration of a pack, in the place of what was set. The next run gets "
           "it.",
       .body_form = BodyForm::Json,
       .body = &ConfigInput::fields(),
       .answer = &ConfigView::fields(),
       .takes_key = true,
       .takes_revision = true,
       .may_make = true},
  };
}

}  // namespace millrace::api
