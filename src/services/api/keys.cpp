// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "base/json.h"
#include "engine/machine/keys.h"
#include "engine/transitions/commands.h"
#include "services/api/admission.h"
#include "services/api/call.h"
#include "services/api/cursor.h"
#include "services/api/routes.h"
#include "services/api/shared.h"
#include "store/read.h"

namespace millrace::api {
namespace {

using auth::Permission;
using kernel::KeyName;
using kernel::KeyRow;

// A write that is overtaken by another seals its value anew. Each time another one has been made:
// who names no version goes on until it is its turn.
constexpr int kMostTries = 8;
constexpr int kMostTriesOfAnyVersion = 10'000;

struct KeyInput {
  Value value;
  std::optional<bool> encrypted;
  int64_t ttl_s = 0;

  static const Fields& fields() {
    static const Field lines[] = {
        field("value", &KeyInput::value, "Any JSON, 64 KiB at most.").required().secret(),
        field("encrypted", &KeyInput::encrypted,
              "Stored sealed, and shown only to who may decrypt. Without it: as it is now."),
        field("ttl_s", &KeyInput::ttl_s, "It is gone after so many seconds; 0: it stays.")
            .range(0, 10LL * 366 * 86'400),
    };
    static const auto table = fields_of<KeyInput>("KeyInput", "A value to keep.", lines);
    return table;
  }
};

struct KeyView {
  std::string scope;
  std::string name;
  Value value;
  std::optional<std::string> fault;
  bool encrypted = false;
  int64_t version = 0;
  Timestamp expires;
  Timestamp created;
  Timestamp updated;

  static const Fields& fields() {
    using V = KeyView;
    static const Field lines[] = {
        field("scope", &V::scope, "system, user:NAME, pack:REF, action:REF or sensor:REF."),
        field("name", &V::name, ""),
        field("value", &V::value, "Of an encrypted one ********, unless it is decrypted."),
        field("fault", &V::fault, "Why there is no value; none when there is one."),
        field("encrypted", &V::encrypted, ""),
        field("version", &V::version, "Rises with each change; the ETag."),
        field("expires", &V::expires, "When it is gone; none: it stays."),
        field("created", &V::created, ""),
        field("updated", &V::updated, ""),
    };
    static const auto table = fields_of<V>("Key", "A value of the key store.", lines);
    return table;
  }
};

struct KeyQuery {
  int limit = 50;
  std::string cursor;
  std::string scope;

  static const Fields& fields() {
    static const Field lines[] = {
        field("limit", &KeyQuery::limit, "Entries per page.").range(1, 500),
        field("cursor", &KeyQuery::cursor, "next_cursor of the page before."),
        field("scope", &KeyQuery::scope, "Only keys of this scope."),
    };
    static const auto table = fields_of<KeyQuery>("KeyQuery", "", lines);
    return table;
  }
};

struct ShowQuery {
  bool decrypt = false;

  static const Fields& fields() {
    static const Field lines[] = {
        field("decrypt", &ShowQuery::decrypt, "The value in clear; needs keys:decrypt."),
    };
    static const auto table = fields_of<ShowQuery>("KeyShowQuery", "", lines);
    return table;
  }
};

auth::SealedFor owner_of(const KeyName& key, int64_t version) {
  return {key.tenant, key.scope, key.name, version};
}

Result<KeyView> view_of(const KeyRow& row, const auth::KeyRing* opens_with = nullptr) {
  KeyView view;
  view.scope = row.key.scope;
  view.name = row.key.name;
  view.encrypted = row.encrypted;
  view.version = row.version;
  view.expires = {row.expires};
  view.created = {row.created};
  view.updated = {row.updated};
  if (!row.encrypted) {
    auto value = parse_json(row.value_json, kOwnJson);
    if (value.ok()) {
      view.value = *std::move(value);
    } else {  // damaged: it must not keep the others from being listed
      view.fault = "what is stored cannot be read, " + value.error().message();
    }
  } else if (opens_with) {
    TRY(auto text, opens_with->open(owner_of(row.key, row.version), row.value_json));
    TRY(view.value, parse_json(text.reveal(), kOwnJson));
  } else {
    view.value = engine::kHiddenKey;
  }
  return view;
}

Response answer_key(const KeyRow& row, int status = 200,
                    const auth::KeyRing* opens_with = nullptr) {
  TRY(auto view, view_of(row, opens_with));
  auto response = answer_one(view, status);
  response.header("ETag", fmt::format("\"{}\"", row.version));
  return response;
}

KeyName key_of(const Call& call) {
  return {call.who.tenant, std::string(call.param(0)), std::string(call.param(1))};
}

// A cursor holds the scope and the name; neither has a '/'.
Response list_keys(Call& call, sql::Connection& db) {
  TRY(auto query, call.query<KeyQuery>());
  TRY(auto last, open_cursor("keys", query.cursor));
  size_t slash = last.find('/');
  KeyName after{call.who.tenant, last.substr(0, slash), {}};
  if (slash != std::string::npos) after.name = last.substr(slash + 1);
  TRY(auto rows, store::list_keys(db, after, query.scope, query.limit + 1));
  std::string next;
  if (rows.size() > static_cast<size_t>(query.limit)) {
    rows.resize(static_cast<size_t>(query.limit));
    const auto& key = rows.back().key;
    next = make_cursor("keys", fmt::format("{}/{}", key.scope, key.name));
  }
  std::vector<KeyView> views;
  for (const auto& row : rows) {
    if (row.is_over(call.api.now_ms())) continue;
    if (!may_reach_key(call.who, row.key.scope, row.key.name)) continue;
    TRY(auto view, view_of(row));
    views.push_back(std::move(view));
  }
  return answer_list(views, next);
}

Response show_key(Call& call, sql::Connection& db) {
  TRY(auto query, call.query<ShowQuery>());
  if (query.decrypt) TRY(require(call, Permission::KeysDecrypt));
  auto key = key_of(call);
  TRY(check_may_reach(call, key.scope, key.name));
  TRY(auto row, store::find_key(db, key));
  if (!row || row->is_over(call.api.now_ms())) return engine::no_key(key);
  return answer_key(*row, 200, query.decrypt ? &call.api.keys : nullptr);
}

Task<Response> put_key(Call& call) {
  CO_TRY(auto input, call.body<KeyInput>());
  engine::KeyWrite write{.key = key_of(call)};
  CO_TRY(check_may_reach(call, write.key.scope, write.key.name));
  write.ttl_ms = input.ttl_s * 1000;
  CO_TRY(write.if_version, call.if_match());
  Secret text(to_json(input.value));
  if (text.reveal().size() > engine::kMostKeyBytes) {
    co_return Error(
        ErrorKind::Invalid, "KEY-0005",
        fmt::format("key '{}' of {}: expected at most {} bytes of JSON, found {}", write.key.name,
                    write.key.scope, engine::kMostKeyBytes, text.reveal().size()))
        .with_problem("/value", "too large");
  }
  for (int tries = 1;; ++tries) {
    int64_t stored = 0;
    bool is_there = false;
    bool is_sealed = false;
    auto read = [&](sql::Connection& db) -> Result<void> {
      TRY(auto row, store::find_key(db, write.key));
      if (row) stored = row->version;
      is_there = row && !row->is_over(call.api.now_ms());
      is_sealed = is_there && row->encrypted;
      return {};
    };
    CO_TRY(co_await call.api.readers.run(read));
    if (call.must_exist() && !is_there) {
      co_return Error(
          ErrorKind::Stale, "KEY-0002",
          fmt::format("key '{}' of {} is not there, and If-Match: * writes only what is",
                      write.key.name, write.key.scope));
    }
    // Who says nothing of it does not lay a secret open.
    write.encrypted = input.encrypted.value_or(is_sealed);
    // What is not sealed fits any version.
    write.version = write.encrypted || write.if_version ? stored + 1 : 0;
    write.value_json = write.encrypted ? call.api.keys.seal(owner_of(write.key, write.version),
                                                            text.reveal(), call.api.options.random)
                                       : text.reveal();
    auto command = [&](auto reply) {
      call.api.engine.submit(engine::command::write_key(call.caller(), write, std::move(reply)));
    };
    auto row = co_await ask<KeyRow>(command);
    bool overtaken = !row.ok() && row.error().code() == engine::kKeyMoved;
    int most = write.if_version ? kMostTries : kMostTriesOfAnyVersion;
    if (overtaken && tries < most) continue;
    if (!row.ok()) co_return row.error();
    co_return answer_key(*row);
  }
}

Task<Response> delete_key(Call& call) {
  engine::KeyWrite write{.key = key_of(call), .remove = true};
  CO_TRY(check_may_reach(call, write.key.scope, write.key.name));
  CO_TRY(write.if_version, call.if_match());
  auto command = [&](auto reply) {
    call.api.engine.submit(
        engine::command::write_key(call.caller(), std::move(write), std::move(reply)));
  };
  CO_TRY(co_await ask<KeyRow>(command));
  net::HttpResponse response;
  response.status = 204;
  co_return response;
}

}  // namespace

std::vector<Route> key_routes() {
  const auto* key = &KeyView::fields();
  constexpr std::string_view kOne = "/api/v1/keys/{scope}/{name}";
  return {
      {.name = "list_keys",
       .method = "GET",
       .pattern = "/api/v1/keys",
       .access = Permission::KeysRead,
       .handler = list_keys,
       .summary = "List keys by scope and name; encrypted values are hidden.",
       .query = &KeyQuery::fields(),
       .answer_form = AnswerForm::List,
       .answer = key},
      {.name = "show_key",
       .method = "GET",
       .pattern = kOne,
       .access = Permission::KeysRead,
       .handler = show_key,
       .summary = "Show a key.",
       .query = &ShowQuery::fields(),
       .answer = key},
      {.name = "put_key",
       .method = "PUT",
       .pattern = kOne,
       .access = Permission::KeysWrite,
       .handler = put_key,
       .summary = "Set a key. With If-Match only that version; with If-None-Match: * only if there "
                  "is none.",
       .body_form = BodyForm::Json,
       .body = &KeyInput::fields(),
       .answer = key,
       .takes_key = true,
       .takes_revision = true,
       .may_make = true},
      {.name = "delete_key",
       .method = "DELETE",
       .pattern = kOne,
       .access = Permission::KeysWrite,
       .handler = delete_key,
       .summary = "Delete a key.",
       .answer_form = AnswerForm::Empty,
       .status = 204,
       .takes_key = true,
       .takes_revision = true},
  };
}

}  // namespace millrace::api
