// SPDX-License-Identifier: Apache-2.0
#include "app/pack_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>
#include <set>

#include "app/core_pack.h"
#include "app/staged_releases.h"
#include "app/write_release.h"
#include "base/files.h"
#include "base/log.h"
#include "engine/machine/catalog.h"
#include "packs/folder.h"
#include "packs/load.h"
#include "packs/parameters.h"
#include "rules/check.h"
#include "store/read.h"

namespace millrace::app {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kCorePack = "core";

struct Found {
  std::string where;   // for messages
  std::string source;  // a folder; empty: built in
  packs::PackFiles files;
  bool staged = false;  // its source is gone: this is the release that was loaded last
};

Error file_error(const std::string& path, const std::error_code& ec) {
  return Error(ErrorKind::Unavailable, "APP-0001", fmt::format("{}: {}", path, ec.message()));
}

// A folder with a pack.yaml is a pack; else its subfolders that have one are.
Result<void> find_packs(const std::string& source, std::vector<Found>& found) {
  std::error_code ec;
  std::vector<std::string> folders;
  if (fs::exists(source + "/pack.yaml", ec)) {
    folders.push_back(source);
  } else {
    for (const auto& entry : fs::directory_iterator(source, ec)) {
      if (fs::exists(entry.path() / "pack.yaml", ec)) folders.push_back(entry.path().string());
    }
    if (ec) return file_error(source, ec);
  }
  std::sort(folders.begin(), folders.end());
  for (const auto& folder : folders) {
    TRY(auto files, packs::read_pack_folder(folder));
    found.push_back({folder, folder, std::move(files)});
  }
  return {};
}

void log_changed(std::string_view pack, std::string_view digest, const Error& why,
                 std::string_view done) {
  log_error("release.changed",
            {{"pack", pack}, {"digest", digest}, {"why", why.message()}, {"done", done}});
}

// Nothing is done when the release is there already, as it was staged.
Result<void> stage(const std::string& data, const Pack& pack, const packs::PackFiles& files) {
  auto there = read_release(data, pack.ref, pack.digest);
  if (there.ok()) return {};
  if (there.error().kind() != ErrorKind::NotFound) {
    log_changed(pack.ref, pack.digest, there.error(), "staged anew from its source");
  }
  return write_release(files, pack.folder);
}

void warn_of_workflows(const Found& one, const Pack& pack, expr::Engine& engine) {
  // The pack loads, as in StackStorm: other actions of it may be all right.
  for (const auto& action : pack.actions) {
    for (const auto& problem : engine::workflow_problems(action, engine)) {
      log_warn("workflow.faulty", {{"action", action.ref},
                                   {"at", one.where + "/" + problem.path},
                                   {"problem", problem.message}});
    }
  }
}

void warn_of_secret_arguments(const Found& one, const Pack& pack) {
  for (const auto& action : pack.actions) {
    std::string name = packs::secret_argument(action);
    if (name.empty()) continue;
    log_warn("action.secret_argument",
             {{"action", action.ref},
              {"at", one.where},
              {"parameter", name},
              {"why", "it has a position, and every user of the machine can read a command line"},
              {"do", "take 'position' from it and read it from stdin; until then it is not run"}});
  }
}

// First without rules' names, to know them all; then whole, against all packs. A mistake in a
// staged release, which this binary sees and an older one did not, keeps nobody else away.
Result<std::vector<std::shared_ptr<Pack>>> check_all(const std::vector<Found>& found) {
  expr::Engine engine;
  std::vector<Problem> problems;
  std::vector<packs::Report> first;
  for (const auto& one : found) first.push_back(packs::check(one.files, engine));
  rules::Catalog names;
  for (const auto& report : first) names.add(report.pack);
  auto check_rule = [&](const RuleSpec& rule, const Pack&) {
    return rules::check_rule(rule, names, engine);
  };
  std::vector<std::shared_ptr<Pack>> packs;
  for (const auto& one : found) {
    auto report = packs::check(one.files, engine, check_rule);
    for (const auto& error : report.errors) {
      if (one.staged) {
        log_warn("pack.faulty", {{"at", one.where + "/" + error.path}, {"problem", error.message}});
      } else {
        problems.push_back({one.where + "/" + error.path, error.message});
      }
    }
    warn_of_workflows(one, report.pack, engine);
    warn_of_secret_arguments(one, report.pack);
    auto pack = std::make_shared<Pack>(std::move(report.pack));
    pack->source = one.source;
    pack->source_gone = one.staged;
    packs.push_back(std::move(pack));
  }
  if (problems.empty()) return packs;
  return Error(ErrorKind::Invalid, "APP-0002",
               fmt::format("{} problems in packs; nothing was loaded", problems.size()))
      .with_problems(std::move(problems));
}

bool holds(const std::vector<std::shared_ptr<const Pack>>& packs, std::string_view digest) {
  return std::ranges::any_of(packs, [&](const auto& pack) { return pack->digest == digest; });
}

// The ref that a pack's folder gives itself.
std::string ref_of(const Found& one, expr::Engine& engine) {
  return packs::check(one.files, engine).pack.ref;
}

}  // namespace

std::string PackStore::folder_of(std::string_view pack, std::string_view digest) const {
  return release_path(data_, pack, digest);
}

// From another machine, when it is not on this one, or is not what was staged here.
Result<packs::PackFiles> PackStore::staged(const std::string& pack,
                                           const std::string& digest) const {
  auto files = read_release(data_, pack, digest);
  if (files.ok() || !bring_) return files;
  auto brought = bring_(pack, digest);
  if (files.error().kind() == ErrorKind::NotFound) {
    TRY(brought);
  } else {
    log_changed(pack, digest, files.error(),
                brought.ok() ? "brought from another machine" : brought.error().message());
    if (!brought.ok()) return files;
  }
  return read_release(data_, pack, digest);
}

// Whether a pack is loaded as it was found here, or left to what the store says of it.
Result<bool> PackStore::is_taken(sql::Connection& reader, const std::string& ref,
                                 const std::string& digest, const Releases& known, Why why) const {
  if (!bring_ || why == Why::Asked || ref == kCorePack) return true;
  auto in_force = std::ranges::find(known, ref, &kernel::PackReleaseRow::pack);
  bool is_known = in_force != known.end();
  if (is_known && in_force->digest == digest) return true;
  if (why == Why::Start) {
    TRY(bool seen, store::has_release(reader, ref, digest));
    if (!seen) return true;
  }
  log_warn("pack.other_in_force", {{"pack", ref},
                                   {"here", digest},
                                   {"in_force", is_known ? in_force->digest : "none"},
                                   {"do",
                                    "give the folder the files of the others, or reload "
                                    "this server to put its own in force"}});
  return false;
}

Result<Packs> PackStore::load(sql::Connection& reader, Why why) const {
  TRY(auto known, store::current_releases(reader));
  return load(reader, known.rows, why);
}

Result<Packs> PackStore::load(sql::Connection& reader, const Releases& known, Why why) const {
  std::vector<Found> found;
  found.push_back({"core (built in)", "", core_pack()});
  for (const auto& source : sources_) TRY(find_packs(source, found));
  expr::Engine engine;
  std::set<std::string> there;
  std::vector<Found> chosen;
  std::set<std::string> left;  // to the store
  for (auto& one : found) {
    auto ref = ref_of(one, engine);
    if (!there.insert(ref).second) {
      return Error(ErrorKind::Conflict, "APP-0003",
                   fmt::format("pack '{}' is there twice: in {} and before it", ref, one.where));
    }
    TRY(bool taken, is_taken(reader, ref, packs::digest_of(one.files), known, why));
    if (taken) {
      chosen.push_back(std::move(one));
    } else {
      left.insert(ref);
    }
  }
  for (const auto& ref : left) there.erase(ref);
  found = std::move(chosen);
  std::map<std::string, std::string> digests;  // of staged releases, by pack
  for (const auto& release : known) {
    if (!there.insert(release.pack).second) continue;
    std::string folder = folder_of(release.pack, release.digest);
    auto files = staged(release.pack, release.digest);
    if (!files.ok()) {
      log_error("pack.gone", {{"pack", release.pack},
                              {"digest", release.digest},
                              {"why", files.error().message()},
                              {"do", "give its folder back, or millrace pack uninstall"}});
      continue;
    }
    if (!left.contains(release.pack)) {
      log_warn("pack.source_gone", {{"pack", release.pack},
                                    {"version", release.version},
                                    {"digest", release.digest},
                                    {"loaded_from", folder}});
    }
    found.push_back({folder, "", std::move(*files), true});
    digests.emplace(release.pack, release.digest);
  }
  TRY(auto packs, check_all(found));
  Packs loaded;
  for (size_t i = 0; i < packs.size(); ++i) {
    auto& pack = *packs[i];
    pack.digest = pack.source_gone ? digests[pack.ref] : packs::digest_of(found[i].files);
    pack.folder = folder_of(pack.ref, pack.digest);
    std::error_code ec;
    fs::create_directories(fs::path(pack.folder).parent_path(), ec);
    if (ec) return file_error(pack.folder, ec);
    if (!pack.source_gone) TRY(stage(data_, pack, found[i].files));
    loaded.push_back(std::move(packs[i]));
  }
  return loaded;
}

Result<PinnedReleases> PackStore::load_pinned(sql::Connection& reader, const Packs& current) const {
  TRY(auto pinned, store::pinned_releases(reader));
  PinnedReleases releases;
  expr::Engine engine;
  for (const auto& release : pinned) {
    if (holds(current, release.digest) || holds(releases.found, release.digest)) continue;
    std::string folder = folder_of(release.pack, release.digest);
    auto files = staged(release.pack, release.digest);
    auto pack = std::make_shared<Pack>();
    if (files.ok()) *pack = packs::check(*files, engine).pack;
    if (pack->ref != release.pack) {
      TRY(int64_t executions, store::executions_of_release(reader, release.tenant, release.digest));
      std::string why = files.ok() ? fmt::format("{} holds no pack '{}'", folder, release.pack)
                                   : files.error().message();
      releases.missing.push_back({release.tenant, release.pack, release.version, release.digest,
                                  std::move(why), executions});
      continue;
    }
    pack->digest = release.digest;
    pack->folder = folder;
    releases.found.push_back(std::move(pack));
  }
  return releases;
}

Result<PackStore::Loaded> PackStore::load_all(sql::Store& store, Why why) const {
  TRY(auto reader, store.open_reader());
  // Once: a release that leaves meanwhile would else be one that the store has never seen.
  TRY(auto known, store::current_releases(*reader));
  TRY(auto current, load(*reader, known.rows, why));
  auto is_gone = [&](const auto& release) {
    return std::ranges::none_of(current, [&](auto& pack) { return pack->ref == release.pack; });
  };
  auto missing = static_cast<size_t>(std::ranges::count_if(known.rows, is_gone));
  TRY(auto pinned, load_pinned(*reader, current));
  log_missing(pinned.missing);
  missing += pinned.missing.size();
  engine::PackSet set{.system = {}, .own = {}, .retired = std::move(pinned.found), .missing = {}};
  set.shared = static_cast<bool>(bring_);
  if (set.shared) {
    set.known.emplace();
    for (const auto& release : known.rows) set.known->insert(release.digest);
    set.newest = known.newest;
    // The core pack is the binary's: servers of two versions do not argue about it.
    for (const auto& pack : current) {
      if (pack->ref == kCorePack && why == Why::News) set.known->insert(pack->digest);
    }
  }
  // What comes with the binary is seen by every tenant.
  for (auto& pack : current) {
    auto& to = pack->ref == kCorePack ? set.system : set.own;
    to.push_back(std::move(pack));
  }
  for (auto& gone : pinned.missing) {
    set.missing.push_back({.tenant = gone.tenant,
                           .pack = std::move(gone.pack),
                           .version = std::move(gone.version),
                           .digest = std::move(gone.digest)});
  }
  return Loaded{.set = std::move(set), .gone = missing};
}

void log_missing(const std::vector<MissingRelease>& missing) {
  for (const auto& release : missing) {
    log_error("pack.release_gone", {{"pack", release.pack},
                                    {"version", release.version},
                                    {"digest", release.digest},
                                    {"executions", release.executions},
                                    {"why", release.why},
                                    {"do", "put the folder back and send SIGHUP"}});
  }
}

}  // namespace millrace::app
