// SPDX-License-Identifier: Apache-2.0
#include "services/api/pack_changes.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "engine/machine/catalog.h"
#include "services/api/admission.h"
#include "services/api/call.h"
#include "services/api/operations.h"
#include "services/api/routes.h"
#include "services/api/shared.h"

namespace millrace::api {

const Fields& PackChange::fields() {
  using V = PackChange;
  static const Field lines[] = {
      field("ref", &V::ref, ""),
      field("outcome", &V::outcome, "installed, upgraded, unchanged, rolled_back."),
      field("dry_run", &V::dry_run, "Nothing was done: this is what would come of it."),
      field("version", &V::version, ""),
      field("digest", &V::digest, "SHA-256 of the content: names the release."),
      field("version_before", &V::version_before, "Of the release before; empty: there was none."),
      field("digest_before", &V::digest_before, ""),
      field("actions", &V::actions, "How many."),
      field("triggers", &V::triggers, "How many."),
      field("rules", &V::rules, "How many."),
      field("faults", &V::faults, "How many."),
      field("problems", &V::problems, "The faults, with file and line: each costs its file."),
      field("waiting", &V::waiting,
            "Rules that name what another pack has to bring: they come alive with it."),
      field("added", &V::added, "Actions, triggers and rules that the release before has not."),
      field("removed", &V::removed, "What it has no more."),
      field("changed", &V::changed, "What is another than before, or whose script is."),
      field("breaks", &V::breaks,
            "Rules and webhook endpoints of others that use what is removed. Refused without "
            "force."),
      field("missing", &V::missing, "Packs that it depends on and that are not there, as written."),
  };
  static const auto table =
      fields_of<V>("PackChange", "What comes of another release of a pack.", lines);
  return table;
}

const Fields& IndexedPackView::fields() {
  using V = IndexedPackView;
  static const Field lines[] = {
      field("ref", &V::ref, ""),
      field("version", &V::version, "As the index says."),
      field("installed", &V::installed, "The version that is in force here; empty: none."),
      field("description", &V::description, ""),
      field("keywords", &V::keywords, ""),
      field("repo_url", &V::repo_url, "Where it is fetched from."),
  };
  static const auto table = fields_of<V>("IndexedPack", "A pack that can be had.", lines);
  return table;
}

const Fields& PacksReloaded::fields() {
  using V = PacksReloaded;
  static const Field lines[] = {
      field("packs", &V::packs, "How many there are."),
      field("faults", &V::faults, "How many all of them have."),
      field("changed", &V::changed, "Packs that are new, have another release, or are gone."),
      field("problems", &V::problems, "The faults, with pack, file and line."),
  };
  static const auto table = fields_of<V>("PacksReloaded", "All folders of packs, again.", lines);
  return table;
}

namespace {

using auth::Permission;

// What may come of 128 MiB that do not shrink.
constexpr size_t kLargestUpload = 136 << 20;
constexpr size_t kLongestSource = 1000;

// What the archive was made of.
enum class UploadKind : uint8_t { Archive, Folder };
std::string_view to_string(UploadKind kind) {
  switch (kind) {
    case UploadKind::Archive: return "archive";
    case UploadKind::Folder: return "folder";
  }
  return "unknown";
}

struct GitInput {
  std::string git;
  std::string name;
  std::string ref;

  static const Fields& fields() {
    using V = GitInput;
    static const Field lines[] = {
        field("git", &V::git, "https://..., ssh://... or git@HOST:PATH."),
        field("name", &V::name, "In its place: of a pack in an index (packs.indexes)."),
        field("ref", &V::ref, "A branch, tag or commit; none: what HEAD is."),
    };
    static const auto table = fields_of<V>("GitInput", "Where a pack is fetched from.", lines);
    return table;
  }
};

struct InstallQuery {
  bool dry_run = false;
  bool force = false;
  UploadKind kind = UploadKind::Archive;
  std::string from;

  static const Fields& fields() {
    using Q = InstallQuery;
    static const Field lines[] = {
        field("dry_run", &Q::dry_run, "Tell what would come of it, and do nothing."),
        field("force", &Q::force, "Although rules of others lose what they use."),
        field("kind", &Q::kind, "What its installer had."),
        field("from", &Q::from, "Its path, for people.").length(0, kLongestSource),
    };
    static const auto table = fields_of<Q>("InstallQuery", "", lines);
    return table;
  }
};

struct SearchQuery {
  std::string search;

  static const Fields& fields() {
    static const Field lines[] = {
        field("search", &SearchQuery::search,
              "Words that all stand in the name, the description or the keywords."),
    };
    static const auto table = fields_of<SearchQuery>("SearchQuery", "", lines);
    return table;
  }
};

struct RollbackQuery {
  bool dry_run = false;
  bool force = false;

  static const Fields& fields() {
    using Q = RollbackQuery;
    static const Field lines[] = {
        field("dry_run", &Q::dry_run, "Tell what would come of it, and do nothing."),
        field("force", &Q::force, "Although rules of others lose what they use."),
    };
    static const auto table = fields_of<Q>("RollbackQuery", "", lines);
    return table;
  }
};

Result<void> check_may_change(const Call& call) {
  if (call.api.options.packs.install) return {};
  return Error(ErrorKind::Conflict, "PCK-0013", "packs are not changed here: nobody loads them");
}

template <typename T>
Result<T> in_time(Result<T> done) {
  if (!done.ok() && done.error().code() == "ASY-0001") return outcome_unknown();
  return done;
}

Task<Response> install_pack(Call& call) {
  CO_TRY(auto query, call.query<InstallQuery>());
  CO_TRY(check_may_change(call));
  if (media_type(call.http.headers.find("content-type")) == "application/json") {
    CO_TRY(auto input, call.body<GitInput>());
    if (input.git.empty() == input.name.empty()) {
      co_return Error(ErrorKind::Invalid, "PCK-0014",
                      "expected either `git`, a URL, or `name`, of a pack in an index")
          .with_problem("/git", "expected it, or `name`");
    }
    PackFetch fetch{.caller = call.caller(),
                    .url = input.git,
                    .name = input.name,
                    .ref = input.ref,
                    .is_trial = query.dry_run,
                    .force = query.force};
    CO_TRY(auto row, co_await call.api.options.packs.fetch(std::move(fetch)));
    co_return answer_operation(row, 202);
  }
  PackInstall install{.caller = call.caller(),
                      .archive = std::move(call.http.body),
                      .kind = std::string(to_string(query.kind)),
                      .from = query.from,
                      .is_trial = query.dry_run,
                      .force = query.force};
  CO_TRY(auto done, in_time(co_await call.api.options.packs.install(std::move(install))));
  co_return answer_one(done);
}

Task<Response> roll_back_pack(Call& call) {
  CO_TRY(auto query, call.query<RollbackQuery>());
  auto catalog = call.api.engine.catalog(call.who.tenant);
  std::vector<std::string_view> names;
  for (const auto& pack : catalog->packs()) names.push_back(pack->ref);
  if (std::ranges::find(names, call.param()) == names.end()) {
    co_return Error(ErrorKind::NotFound, "API-0070",
                    fmt::format("no pack '{}'{}", call.param(), did_you_mean(call.param(), names)));
  }
  CO_TRY(check_may_change(call));
  PackRollback rollback{.caller = call.caller(),
                        .ref = std::string(call.param()),
                        .is_trial = query.dry_run,
                        .force = query.force};
  CO_TRY(auto done, in_time(co_await call.api.options.packs.roll_back(std::move(rollback))));
  co_return answer_one(done);
}

Task<Response> search_packs(Call& call) {
  CO_TRY(auto query, call.query<SearchQuery>());
  const auto& search = call.api.options.packs.search;
  if (!search) co_return answer_list(std::vector<IndexedPackView>());  // nobody loads packs here
  CO_TRY(auto found, co_await search(query.search));
  auto catalog = call.api.engine.catalog(call.who.tenant);
  for (auto& pack : found) {
    const Pack* here = catalog->find_pack(pack.ref);
    if (here) pack.installed = here->version;
  }
  co_return answer_list(found);
}

Task<Response> reload_packs(Call& call) {
  CO_TRY(check_may_change(call));
  CO_TRY(auto done, in_time(co_await call.api.options.packs.reload(call.caller())));
  co_return answer_one(done);
}

}  // namespace

std::vector<Route> pack_change_routes() {
  return {
      {.name = "install_pack",
       .method = "POST",
       .pattern = "/api/v1/packs",
       .access = Permission::PacksWrite,
       .handler = install_pack,
       .summary = "Install a pack, or another release of it.",
       .query = &InstallQuery::fields(),
       .body_form = BodyForm::Archive,
       .answer = &PackChange::fields(),
       .max_body = kLargestUpload},
      {.name = "search_packs",
       .method = "GET",
       .pattern = "/api/v1/pack-index",
       .access = Permission::PacksRead,
       .handler = search_packs,
       .summary = "Search the packs that can be had, in the indexes of this server.",
       .query = &SearchQuery::fields(),
       .answer_form = AnswerForm::List,
       .answer = &IndexedPackView::fields()},
      {.name = "reload_packs",
       .method = "POST",
       .pattern = "/api/v1/packs/reload",
       .access = Permission::PacksWrite,
       .handler = reload_packs,
       .summary = "Read all folders of packs again.",
       .answer = &PacksReloaded::fields()},
      {.name = "roll_back_pack",
       .method = "POST",
       .pattern = "/api/v1/packs/{ref}/rollback",
       .access = Permission::PacksWrite,
       .handler = roll_back_pack,
       .summary = "Put the release of an installed pack in force that it had before.",
       .query = &RollbackQuery::fields(),
       .answer = &PackChange::fields()},
  };
}

}  // namespace millrace::api
