// SPDX-License-Identifier: Apache-2.0
#include "app/pack_commands.h"

#include <fmt/format.h>

#include <filesystem>
#include <functional>

#include "base/files.h"
#include "cli/context.h"
#include "cli/report.h"
#include "net/content_coding.h"
#include "net/http.h"
#include "packs/archive.h"
#include "packs/folder.h"

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

Result<Value> send_git(Context& context, bool is_trial) {
  std::string query = is_trial ? "?dry_run=true" : "?dry_run=false";
  if (context.in.has("--force")) query += "&force=true";
  Value body = Value::map({{"git", context.in.get("PACK")}, {"ref", context.in.get("--ref")}});
  TRY(auto operation,
      context.session.send({.path = std::string(kPacks) + query, .body = std::move(body)}));
  return follow_operation(context, std::move(operation));
}

// A pack on its way to a server: as often as it is asked for.
using Send = std::function<Result<Value>(bool is_trial)>;

Result<Send> sender_of(Context& context) {
  const auto& source = context.in.get("PACK");
  if (is_git(source))
    return Send([&context](bool is_trial) { return send_git(context, is_trial); });
  if (context.in.has("--ref")) {
    return cli::usage_error("--ref is of a git repository, and this is a folder or an archive");
  }
  TRY(auto upload, upload_of(source));
  return Send([&context, upload = std::move(upload)](bool is_trial) {
    return send_upload(context, upload, is_trial);
  });
}

Result<int> install(Context& context) {
  TRY(auto send, sender_of(context));
  TRY(auto done, send(context.in.has("--dry-run")));
  show_change(context, done);
  return cli::kOk;
}

// What changes is seen first.
Result<int> upgrade(Context& context) {
  TRY(auto send, sender_of(context));
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
  const cli::Argument pack{"PACK", "A folder that holds pack.yaml, a .tar.gz of one, or a git URL"};
  const cli::Option ref{"--ref", "REF", "Of a git repository: a branch, tag or commit"};
  const cli::Option dry_run{"--dry-run", "", "Tell what would come of it, and do nothing"};
  const cli::Option force{"--force", "", "Although rules of others lose what they use"};
  return {
      {.path = "pack install",
       .help = "Install a pack; the server keeps it, its folder may go",
       .arguments = {pack},
       .options = {ref, dry_run, force},
       .remote = install},
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
