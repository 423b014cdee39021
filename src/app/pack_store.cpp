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

#include "app/embedded.h"
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

struct FoundPack {
  std::string where;   // for messages
  std::string source;  // a folder; empty: built in
  std::unique_ptr<const packs::PackFiles> files;
  std::string digest;
  std::string ref;         // of a staged one; else its folder's name: for packs that say none
  bool staged = false;     // it is the release that was loaded last
  bool held_back = false;  // since its source has faults
  bool fresh = false;      // somebody puts it in force now
  PackOrigin origin = {};
  std::vector<Problem> faults = {};
  std::unique_ptr<packs::PackReader> reader = {};
};

namespace {

constexpr std::string_view kCorePack = "core";

FoundPack make_found(std::string where, std::string source, packs::PackFiles files) {
  FoundPack found{
      .where = std::move(where), .source = std::move(source), .files = {}, .digest = {}, .ref = {}};
  found.digest = packs::digest_of(files);
  found.ref = fs::path(found.source).filename().string();
  found.files = std::make_unique<const packs::PackFiles>(std::move(files));
  return found;
}

void read(FoundPack& one, expr::Engine& engine) {
  one.reader = std::make_unique<packs::PackReader>(*one.files, engine, one.ref);
}

Error file_error(const std::string& path, const std::error_code& ec) {
  return Error(ErrorKind::Unavailable, "APP-0001", fmt::format("{}: {}", path, ec.message()));
}

void left_out(const std::string& where, std::string_view why) {
  log_warn("pack.left_out", {{"at", where}, {"why", why}});
}

// A folder with a pack.yaml is a pack; else its subfolders that have one are.
Result<void> find_packs(const std::string& source, std::vector<FoundPack>& found) {
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
    auto files = packs::read_pack_folder(folder);
    if (files.ok()) {
      found.push_back(make_found(folder, folder, *std::move(files)));
    } else {
      left_out(folder, files.error().describe());
    }
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

void warn_of_workflows(const FoundPack& one, const Pack& pack, expr::Engine& engine) {
  // The pack loads, as in StackStorm: other actions of it may be all right.
  for (const auto& action : pack.actions) {
    for (const auto& problem : engine::workflow_problems(action, engine)) {
      log_warn("workflow.faulty", {{"action", action.ref},
                                   {"at", one.where + "/" + problem.path},
                                   {"problem", problem.message}});
    }
  }
}

void warn_of_secret_arguments(const FoundPack& one, const Pack& pack) {
  for (const auto& action : pack.actions) {
    std::string name = packs::secret_argument(action);
    if (name.empty()) continue;
    log_warn(
        "action.secret_argument",
        {{"action", action.ref},
         {"at", one.where},
         {"parameter", name},
         {"why", "it becomes an argument, and every user of the machine can read a command line"},
         {"do", "take 'position' from it and read it from stdin; until then it is not run"}});
  }
}

// A mistake costs its file and keeps nobody else away: it is told, and counted on the pack.
void tell_faults(const FoundPack& one, const packs::Report& report) {
  for (const auto& error : report.errors) {
    log_warn("pack.faulty", {{"at", one.where + "/" + error.path}, {"problem", error.message}});
  }
  if (report.errors.empty()) return;
  log_warn("pack.not_whole", {{"pack", report.pack.ref},
                              {"at", one.where},
                              {"problems", report.errors.size()},
                              {"why", "each costs the file that it stands in"}});
}

// All packs are known before the rules of one are judged, which name what others have.
std::vector<std::shared_ptr<Pack>> judge(std::vector<FoundPack>& found, expr::Engine& engine) {
  rules::Catalog names;
  for (const auto& one : found) names.add(one.reader->pack());
  auto check_rule = [&](const RuleSpec& rule, const Pack&) {
    return rules::check_rule(rule, names, engine);
  };
  std::vector<std::shared_ptr<Pack>> packs;
  for (auto& one : found) {
    auto report = one.reader->finish(check_rule);
    tell_faults(one, report);
    warn_of_workflows(one, report.pack, engine);
    warn_of_secret_arguments(one, report.pack);
    auto pack = std::make_shared<Pack>(std::move(report.pack));
    pack->source = one.source;
    pack->origin = one.origin;
    pack->source_gone = one.staged && !one.held_back && !one.origin.is_installed();
    packs.push_back(std::move(pack));
  }
  return packs;
}

bool holds(const std::vector<std::shared_ptr<const Pack>>& packs, std::string_view digest) {
  return std::ranges::any_of(packs, [&](const auto& pack) { return pack->digest == digest; });
}

using Folders = std::map<std::string, std::string>;  // by the ref of the pack that each holds

// Who puts it in force is told that it cannot be, before anything of it is staged.
Result<FoundPack> take_fresh(FreshRelease& fresh, const Folders& folders, expr::Engine& engine) {
  auto one = make_found("the pack", "", fresh.files);
  one.ref = fresh.name;
  one.origin = fresh.origin;
  one.fresh = true;
  read(one, engine);
  const std::string& ref = fresh.ref = one.reader->pack().ref;
  if (!one.reader->is_usable()) {
    return Error(ErrorKind::Mismatch, "PCK-0010",
                 "its pack.yaml does not say what the pack is named")
        .with_problems(one.reader->finish({}).errors);
  }
  if (ref == kCorePack) {
    return Error(ErrorKind::Conflict, "PCK-0007",
                 fmt::format("pack '{}' is one of the system's: choose another name", ref));
  }
  auto folder = folders.find(ref);
  if (folder == folders.end()) return one;
  return Error(ErrorKind::Conflict, "PCK-0011",
               fmt::format("pack '{}' is held by {}: change it there, or take the folder from "
                           "packs.folders, reload, and uninstall it",
                           ref, folder->second));
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
  return load(reader, known.rows, why, nullptr);
}

Result<Packs> PackStore::load(sql::Connection& reader, const Releases& known, Why why,
                              FreshRelease* fresh) const {
  std::vector<FoundPack> found;
  found.push_back(make_found("core (built in)", "", core_pack()));
  for (const auto& source : sources_) TRY(find_packs(source, found));
  expr::Engine engine;
  std::set<std::string> there;
  std::vector<FoundPack> chosen;
  std::set<std::string> left;  // to the store
  Folders folders;
  for (auto& one : found) {
    read(one, engine);
    const std::string& ref = one.reader->pack().ref;
    if (!one.reader->is_usable()) {
      left_out(one.where, one.reader->finish({}).errors.front().message);
      continue;
    }
    if (!there.insert(ref).second) {
      left_out(one.where, fmt::format("pack '{}' is there already: in a folder before it", ref));
      continue;
    }
    folders.emplace(ref, fmt::format("the folder '{}'", one.where));
    TRY(bool taken, is_taken(reader, ref, one.digest, known, why));
    if (taken) {
      chosen.push_back(std::move(one));
    } else {
      left.insert(ref);
    }
  }
  for (const auto& ref : left) there.erase(ref);
  found = std::move(chosen);
  if (fresh) {
    for (const auto& row : known) {
      bool is_of_folder = row.source_json.empty() && row.state == kernel::PackState::Installed;
      if (bring_ && is_of_folder) folders.emplace(row.pack, "a folder of another server");
    }
    TRY(auto one, take_fresh(*fresh, folders, engine));
    there.insert(one.reader->pack().ref);
    found.push_back(std::move(one));
  }
  for (const auto& release : known) {
    if (!there.insert(release.pack).second) continue;
    auto files = staged(release.pack, release.digest);
    if (!files.ok()) {
      log_error("pack.gone", {{"pack", release.pack},
                              {"digest", release.digest},
                              {"why", files.error().message()},
                              {"do", "give its folder back, or millrace pack uninstall"}});
      continue;
    }
    if (!left.contains(release.pack) && release.source_json.empty()) {
      log_warn("pack.source_gone", {{"pack", release.pack},
                                    {"version", release.version},
                                    {"digest", release.digest},
                                    {"loaded_from", folder_of(release.pack, release.digest)}});
    }
    found.push_back(staged_one(release, *std::move(files)));
    read(found.back(), engine);
  }
  auto packs = judge(found, engine);
  if (hold_back(known, packs, found)) {
    for (auto& one : found) read(one, engine);
    packs = judge(found, engine);
  }
  Packs loaded;
  for (size_t i = 0; i < packs.size(); ++i) {
    auto& pack = *packs[i];
    FoundPack& one = found[i];
    pack.digest = one.digest;
    pack.folder = folder_of(pack.ref, pack.digest);
    if (one.held_back) pack.faults = std::move(one.faults);
    if (configs_) configs_->configure(pack);
    if (!one.fresh) {
      std::error_code ec;
      fs::create_directories(fs::path(pack.folder).parent_path(), ec);
      if (ec) return file_error(pack.folder, ec);
    }
    if (!one.staged && !one.fresh) {
      TRY(app::stage(data_, pack, *one.files));
    }
    loaded.push_back(std::move(packs[i]));
  }
  return loaded;
}

FoundPack PackStore::staged_one(const kernel::PackReleaseRow& release,
                                packs::PackFiles files) const {
  auto one = make_found(folder_of(release.pack, release.digest), "", std::move(files));
  one.digest = release.digest;
  one.ref = release.pack;
  one.staged = true;
  one.origin = PackOrigin::of(release.source_json, release.installer);
  return one;
}

// What is changed and has got faults by it leaves the release in force that had none. Says whether
// there was such a pack.
bool PackStore::hold_back(const Releases& known, const std::vector<std::shared_ptr<Pack>>& packs,
                          std::vector<FoundPack>& found) const {
  bool some = false;
  expr::Engine engine;
  for (size_t i = 0; i < packs.size(); ++i) {
    FoundPack& one = found[i];
    if (one.staged || one.fresh || packs[i]->faults.empty()) continue;
    auto release = std::ranges::find(known, packs[i]->ref, &kernel::PackReleaseRow::pack);
    if (release == known.end() || release->digest == one.digest) continue;
    auto files = staged(release->pack, release->digest);
    if (!files.ok() || !packs::check(*files, engine, {}, release->pack).errors.empty()) continue;
    log_warn("pack.held_back", {{"pack", release->pack},
                                {"at", one.where},
                                {"in_force", release->digest},
                                {"version", release->version},
                                {"problems", packs[i]->faults.size()},
                                {"do", "mend the files; until then the release before stays"}});
    auto kept = staged_one(*release, *std::move(files));
    kept.source = one.source;
    kept.origin = {};
    kept.faults = packs[i]->faults;
    kept.held_back = true;
    one = std::move(kept);
    some = true;
  }
  return some;
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
    if (files.ok()) *pack = packs::check(*files, engine, {}, release.pack).pack;
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
    if (configs_) configs_->configure(*pack);
    releases.found.push_back(std::move(pack));
  }
  return releases;
}

Result<void> PackStore::stage(const FreshRelease& fresh) const {
  Pack pack;
  pack.ref = fresh.ref;
  pack.digest = packs::digest_of(fresh.files);
  pack.folder = folder_of(pack.ref, pack.digest);
  return app::stage(data_, pack, fresh.files);
}

Result<FreshRelease> PackStore::release_before(sql::Store& store, TenantId tenant,
                                               const Pack& now) const {
  TRY(auto reader, store.open_reader());
  TRY(auto row, store::release_before(*reader, tenant, now.ref, now.digest));
  if (!row) {
    return Error(ErrorKind::Conflict, "PCK-0012",
                 fmt::format("pack '{}' has had no other release than {}", now.ref,
                             now.digest.substr(0, 12)));
  }
  TRY(auto files, staged(row->pack, row->digest));
  FreshRelease fresh{.files = std::move(files),
                     .origin = PackOrigin::of(row->source_json, row->installer),
                     .name = row->pack};
  if (!fresh.origin.is_installed()) fresh.origin.kind = "folder";
  return fresh;
}

Result<PackStore::Loaded> PackStore::load_all(sql::Store& store, Why why,
                                              FreshRelease* fresh) const {
  TRY(auto reader, store.open_reader());
  // Once: a release that leaves meanwhile would else be one that the store has never seen.
  TRY(auto known, store::current_releases(*reader));
  TRY(auto current, load(*reader, known.rows, why, fresh));
  auto is_gone = [&](const auto& release) {
    return std::ranges::none_of(current, [&](auto& pack) { return pack->ref == release.pack; });
  };
  auto missing = static_cast<size_t>(std::ranges::count_if(known.rows, is_gone));
  TRY(auto pinned, load_pinned(*reader, current));
  log_missing(pinned.missing);
  missing += pinned.missing.size();
  engine::PackSet set{.system = {}, .own = {}, .retired = std::move(pinned.found), .missing = {}};
  set.shared = static_cast<bool>(bring_);
  if (fresh) set.fresh = fresh->ref;
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
