// SPDX-License-Identifier: Apache-2.0
#include "app/pack_commands.h"

#include <fmt/format.h>

#include <filesystem>
#include <functional>
#include <set>

#include "base/files.h"
#include "cli/context.h"
#include "cli/report.h"
#include "net/content_coding.h"
#include "net/http.h"
#include "packs/archive.h"
#include "packs/folder.h"
#include "packs/index.h"

namespace millrace::app {
namespace {

namespace fs = std::filesystem;
using cli::Context;

constexpr size_t kLargestArchiveFile = 136 << 20;  // what the server takes
constexpr std::string_view kPacks = "/api/v1/packs";

struct Upload {
  std::string archive;
  std::string kind;
  std::string from;  // absolute
};

Result<Upload> upload_of(const std::string& path) {
  auto whole = fs::absolute(path).lexically_normal();
  std::error_code ec;
  if (!fs::is_directory(whole, ec)) {
    TRY(auto bytes, read_file(path, kLargestArchiveFile));
    return Upload{std::move(bytes), "archive", whole.string()};
  }
  if (!whole.has_filename()) whole = whole.parent_path();
  TRY(auto files, packs::read_pack_folder(whole.string()));
  TRY(auto archive, net::gzip(packs::write_tar(files, whole.filename().string())));
  return Upload{std::move(archive), "folder", whole.string()};
}

Result<Value> send_upload(Context& context, const Upload& upload, bool is_trial) {
  auto query = fmt::format("?kind={}&from={}", upload.kind, net::percent_encode(upload.from));
  if (is_trial) query += "&dry_run=true";
  if (context.in.has("--force")) query += "&force=true";
  return context.session.send({.path = std::string(kPacks) + query,
                               .bytes = upload.archive,
                               .content_type = "application/gzip"});
}

std::string short_digest(const Value& change, std::string_view name) {
  return std::string(change.string_or(name, "").substr(0, 12));
}

void put_lines(std::string& text, const Value& change, std::string_view name,
               std::string_view before) {
  const Value* list = change.find(name);
  if (!list || !list->is_list()) return;
  for (const auto& one : list->as_list()) text += fmt::format("  {} {}\n", before, one.as_string());
}

// "upgraded pack 'tea' 1.0 (0a1b2c3d4e5f) -> 1.1 (5f4e3d2c1b0a): 3 actions, 1 triggers, 2 rules"
std::string told(const Value& change, std::string_view outcome) {
  auto before = short_digest(change, "digest_before");
  auto text = fmt::format("{} pack '{}' ", outcome, change.string_or("ref", ""));
  if (!before.empty()) {
    text += fmt::format("{} ({}) -> ", change.string_or("version_before", ""), before);
  }
  text += fmt::format("{} ({}): {} actions, {} triggers, {} rules, {} faults\n",
                      change.string_or("version", ""), short_digest(change, "digest"),
                      change.int_or("actions", 0), change.int_or("triggers", 0),
                      change.int_or("rules", 0), change.int_or("faults", 0));
  return text;
}

std::string changes_of(const Value& change) {
  std::string text;
  if (!change.string_or("digest_before", "").empty()) {
    put_lines(text, change, "added", "+");
    put_lines(text, change, "removed", "-");
    put_lines(text, change, "changed", "~");
  }
  put_lines(text, change, "breaks", "breaks:");
  put_lines(text, change, "problems", "fault:");
  put_lines(text, change, "waiting", "waits:");
  put_lines(text, change, "missing", "needs the pack:");
  return text;
}

void show_change(Context& context, const Value& change) {
  if (!context.is_table()) return context.print_object(change);
  std::string outcome(change.string_or("outcome", ""));
  if (change["dry_run"] == Value(true)) outcome = "would be: " + outcome;
  context.print(told(change, outcome) + changes_of(change));
}

bool is_git(std::string_view source) {
  return source.find("://") != source.npos || source.starts_with("git@");
}

// Until it has ended.
Result<Value> follow_operation(Context& context, Value operation) {
  std::string id(operation.string_or("id", ""));
  while (operation.string_or("status", "") == "running") {
    TRY(operation, context.session.get(cli::path_of("/api/v1/operations", id, "?wait=20s")));
  }
  if (operation.string_or("status", "") == "succeeded") return operation["result"];
  return Error(ErrorKind::Conflict, operation.string_or("error_code", ""),
               fmt::format("operation {}: {}", id, operation.string_or("error", "")));
}

// A git URL, or a name in an index.
Result<Value> send_git(Context& context, const Value& what, bool is_trial) {
  std::string query = is_trial ? "?dry_run=true" : "?dry_run=false";
  if (context.in.has("--force")) query += "&force=true";
  TRY(auto operation, context.session.send({.path = std::string(kPacks) + query, .body = what}));
  return follow_operation(context, std::move(operation));
}

// A pack on its way to a server: as often as it is asked for.
using Send = std::function<Result<Value>(bool is_trial)>;

Result<Send> sender_of(Context& context, const std::string& source, const std::string& ref) {
  Value what;
  std::error_code ec;
  if (is_git(source)) {
    what = Value::map({{"git", source}, {"ref", ref}});
  } else if (packs::is_wanted_pack(source) && !fs::exists(source, ec)) {
    auto wanted = packs::wanted_pack(source);
    what = Value::map({{"name", wanted.name}, {"ref", ref.empty() ? wanted.ref : ref}});
  }
  if (!what.is_null()) {
    return Send([&context, what](bool is_trial) { return send_git(context, what, is_trial); });
  }
  if (!ref.empty()) {
    return cli::usage_error("--ref is of a git repository, and this is a folder or an archive");
  }
  TRY(auto upload, upload_of(source));
  return Send([&context, upload = std::move(upload)](bool is_trial) {
    return send_upload(context, upload, is_trial);
  });
}

// Where a pack that `source` depends on comes from: as it is written, or from where that one came:
// a folder beside it, else an index.
std::string source_of(const std::string& dependency, const std::string& source) {
  std::error_code ec;
  if (is_git(dependency) || !fs::is_directory(source, ec)) return dependency;
  auto beside = fs::absolute(source).lexically_normal();
  if (!beside.has_filename()) beside = beside.parent_path();
  beside = beside.parent_path() / packs::wanted_pack(dependency).name;
  return fs::exists(beside / "pack.yaml", ec) ? beside.string() : dependency;
}

// The ref behind a git URL, as StackStorm writes it: URL=REF.
std::pair<std::string, std::string> split_ref(const std::string& source) {
  auto equals = is_git(source) ? source.rfind('=') : std::string::npos;
  if (equals == std::string::npos) return {source, {}};
  return {source.substr(0, equals), source.substr(equals + 1)};
}

Result<void> install_missing(Context& context, const Value& change, const std::string& source,
                             std::set<std::string>& tried) {
  constexpr size_t kMostPacks = 100;
  const Value& missing = change["missing"];
  if (!missing.is_list()) return {};
  for (const Value& dependency : missing.as_list()) {
    auto from = source_of(std::string(dependency.as_string()), source);
    if (!tried.insert(from).second || tried.size() > kMostPacks) continue;
    auto [place, ref] = split_ref(from);
    TRY(auto send, sender_of(context, place, ref));
    TRY(auto done, send(context.in.has("--dry-run")));
    show_change(context, done);
    TRY(install_missing(context, done, from, tried));
  }
  return {};
}

Result<int> install(Context& context) {
  const auto& source = context.in.get("PACK");
  TRY(auto send, sender_of(context, source, context.in.get("--ref")));
  TRY(auto done, send(context.in.has("--dry-run")));
  show_change(context, done);
  std::set<std::string> tried;
  if (context.in.has("--with-dependencies")) {
    TRY(install_missing(context, done, source, tried));
  }
  return cli::kOk;
}

constexpr cli::Column kIndexColumns[] = {{"REF", "ref"},
                                         {"VERSION", "version"},
                                         {"INSTALLED", "installed"},
                                         {"DESCRIPTION", "description"}};

Result<int> search(Context& context) {
  auto path = "/api/v1/pack-index?search=" + net::percent_encode(context.in.get("TEXT"));
  TRY(auto found, context.session.get(path));
  context.print(context.style.rows(kIndexColumns, found.as_list()));
  return cli::kOk;
}

// What changes is seen first.
Result<int> upgrade(Context& context) {
  TRY(auto send, sender_of(context, context.in.get("PACK"), context.in.get("--ref")));
  TRY(auto trial, send(true));
  auto outcome = trial.string_or("outcome", "");
  if (outcome == "installed") {
    return Error(ErrorKind::NotFound, "PCK-0004",
                 fmt::format("no pack '{}' to upgrade: millrace pack install {}",
                             trial.string_or("ref", ""), context.in.get("PACK")));
  }
  if (context.in.has("--dry-run") || outcome == "unchanged") {
    show_change(context, trial);
    return cli::kOk;
  }
  if (context.is_table()) context.print(changes_of(trial));
  TRY(auto done, send(false));
  if (context.is_table()) {
    context.print(told(done, done.string_or("outcome", "")));
  } else {
    context.print_object(done);
  }
  return cli::kOk;
}

Result<int> roll_back(Context& context) {
  std::string query = context.in.has("--dry-run") ? "/rollback?dry_run=true" : "/rollback";
  if (context.in.has("--force")) query += query.contains('?') ? "&force=true" : "?force=true";
  TRY(auto done,
      context.session.send({.path = cli::path_of(kPacks, context.in.get("PACK"), query)}));
  show_change(context, done);
  return cli::kOk;
}

Result<int> reload(Context& context) {
  TRY(auto done, context.session.send({.path = std::string(kPacks) + "/reload"}));
  if (!context.is_table()) {
    context.print_object(done);
    return cli::kOk;
  }
  std::string text = fmt::format("{} packs are loaded, {} faults\n", done.int_or("packs", 0),
                                 done.int_or("faults", 0));
  put_lines(text, done, "changed", "~");
  put_lines(text, done, "problems", "fault:");
  context.print(text);
  return cli::kOk;
}

}  // namespace

cli::CommandTable pack_change_commands() {
  const cli::Argument pack{
      "PACK",
      "A folder that holds pack.yaml, a .tar.gz of one, a git URL, or NAME or NAME=REF of "
      "an index"};
  const cli::Option ref{"--ref", "REF", "Of a git repository: a branch, tag or commit"};
  const cli::Option dry_run{"--dry-run", "", "Tell what would come of it, and do nothing"};
  const cli::Option force{"--force", "", "Although rules of others lose what they use"};
  return {
      {.path = "pack install",
       .help = "Install a pack; the server keeps it, its folder may go",
       .arguments = {pack},
       .options = {ref,
                   dry_run,
                   force,
                   {"--with-dependencies", "", "Then what it depends on, from the same source"}},
       .remote = install},
      {.path = "pack search",
       .help = "Search the indexes of packs that the server knows (packs.indexes)",
       .arguments = {{.name = "TEXT", .help = "Words that all must stand there", .optional = true}},
       .remote = search},
      {.path = "pack upgrade",
       .help = "Put another release of an installed pack in force; shows what changes first",
       .arguments = {pack},
       .options = {ref, dry_run, force},
       .remote = upgrade},
      {.path = "pack rollback",
       .help = "Put the release of an installed pack in force that it had before",
       .arguments = {{"PACK", ""}},
       .options = {dry_run, force},
       .remote = roll_back},
      {.path = "pack reload",
       .help = "Let the server read all folders of packs again",
       .remote = reload},
  };
}

}  // namespace millrace::app
