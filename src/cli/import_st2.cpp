// SPDX-License-Identifier: Apache-2.0
#include "cli/import_st2.h"

#include <fmt/format.h>

#include <memory>
#include <utility>

#include "base/time.h"
#include "cli/output.h"
#include "cli/report.h"
#include "cli/st2_plan.h"
#include "cli/st2_source.h"
#include "cli/stdout.h"
#include "cli/target.h"
#include "cli/values.h"

namespace millrace::cli {
namespace {

constexpr size_t kAll = 1'000'000;

constexpr Column kItemColumns[] = {
    {"KIND", "kind"},
    {"NAME", "name"},
    {"OUTCOME", "outcome"},
    {"WHY", "why"},
};

// --to and --to-token-file are what other commands call --url and --token-file.
Result<std::unique_ptr<Session>> open_own(const Invocation& in) {
  Invocation own;
  constexpr std::pair<std::string_view, std::string_view> kNames[] = {
      {"--to", "--url"}, {"--to-token-file", "--token-file"}, {"--data", "--data"}};
  for (auto [given, name] : kNames) {
    if (in.has(given)) own.set(std::string(name), {in.get(given)});
  }
  return Session::open([own] { return find_target(own, process_environment); });
}

Result<StackstormOptions> options_of_api(const Invocation& in) {
  if (in.has("--token-file") && in.has("--api-key-file")) {
    return usage_error("expected --token-file or --api-key-file, found both");
  }
  StackstormOptions options{.url = in.get("--url"),
                            .token_header = in.has("--token-file") ? "X-Auth-Token" : "St2-Api-Key",
                            .token = {},
                            .users = in.all("--user"),
                            .decrypt = in.has("--decrypt"),
                            .ca_file = in.get("--cacert")};
  const auto& file = in.has("--token-file") ? in.get("--token-file") : in.get("--api-key-file");
  if (!file.empty()) {
    TRY(auto token, read_line_text(file));
    options.token = Secret(std::move(token));
  }
  return options;
}

Result<Stackstorm> read_source(const Invocation& in) {
  if (in.has("--url") == in.has("--dump")) return usage_error("expected either --url or --dump");
  Stackstorm from;
  if (in.has("--dump")) {
    for (std::string_view option : {"--token-file", "--api-key-file", "--user", "--decrypt"}) {
      if (in.has(option)) return usage_error(fmt::format("{} goes with --url", option));
    }
    TRY(from, read_stackstorm_dump(in.get("--dump")));
  } else {
    TRY(auto options, options_of_api(in));
    TRY(from, read_stackstorm(options));
  }
  if (in.has("--packs")) TRY(find_pack_folders(in.get("--packs"), from));
  return from;
}

Result<St2Known> read_known(Session& session) {
  St2Known known;
  TRY(auto packs, session.list("/api/v1/packs", kAll));
  TRY(auto keys, session.list("/api/v1/keys", kAll));
  TRY(auto rules, session.list("/api/v1/rules", kAll));
  for (const Value& pack : packs) known.packs.emplace(pack.string_or("ref", ""));
  for (const Value& rule : rules) known.rules.emplace(rule.string_or("ref", ""));
  for (const Value& key : keys) {
    known.keys.insert(fmt::format("{} {}", key.string_or("scope", ""), key.string_or("name", "")));
  }
  return known;
}

// A pack of a git repository is fetched by the server: until that has ended.
Result<void> install_git(Session& session, const Value& source) {
  TRY(auto operation, session.send({.path = "/api/v1/packs", .body = source}));
  auto id = std::string(operation.string_or("id", ""));
  while (operation.string_or("status", "") == "running") {
    TRY(operation, session.get(path_of("/api/v1/operations", id, "?wait=20s")));
  }
  if (operation.string_or("status", "") == "succeeded") return {};
  return Error(ErrorKind::Conflict, operation.string_or("error_code", ""),
               std::string(operation.string_or("error", "")));
}

Result<void> write(Session& session, const St2Item& item, const InstallFolder& install) {
  if (item.kind == "pack") {
    return item.folder.empty() ? install_git(session, item.body) : install(session, item.folder);
  }
  Session::Request request{.method = item.path.empty() ? "POST" : "PUT",
                           .path = item.path.empty() ? "/api/v1/rules" : item.path,
                           .body = item.body,
                           .takes_key = true};
  TRY(session.send(std::move(request)));
  return {};
}

// What went wrong, with the places that the server names.
std::string reason_of(const Error& error) {
  std::string reason = error.message();
  for (const auto& problem : error.problems()) {
    reason += fmt::format("; {}: {}", problem.path, problem.message);
  }
  return reason;
}

struct Counts {
  int moved = 0, there = 0, stay = 0, failed = 0;
};

Value row_of(const St2Item& item, std::string_view outcome, std::string_view why) {
  return Value::map({{"kind", item.kind}, {"name", item.name}, {"outcome", outcome}, {"why", why}});
}

Result<int> import_st2(const Invocation& in, const InstallFolder& install) {
  TRY(auto from, read_source(in));
  TRY(auto session, open_own(in));
  TRY(auto known, read_known(*session));
  bool applies = in.has("--apply");
  Counts counts;
  ValueList rows;
  for (const St2Item& item : plan_import(from, known, unix_ms())) {
    counts.there += item.fate == Fate::IsThere || item.fate == Fate::Comes;
    counts.stay += item.fate == Fate::Stays;
    if (item.fate != Fate::Moves) {
      rows.push_back(row_of(item, to_string(item.fate), item.why));
      continue;
    }
    auto done = applies ? write(*session, item, install) : Result<void>();
    counts.moved += done.ok();
    counts.failed += !done.ok();
    std::string_view outcome = !done.ok() ? "failed" : applies ? "moved" : to_string(item.fate);
    rows.push_back(row_of(item, outcome, done.ok() ? item.why : reason_of(done.error())));
  }
  for (const auto& unread : from.unread) {
    rows.push_back(Value::map({{"kind", "list"},
                               {"name", unread.substr(0, unread.find(':'))},
                               {"outcome", "not read"},
                               {"why", unread}}));
  }
  Style style{parse_format(in.get("--output"))};
  put("{}", style.rows(kItemColumns, rows));
  if (style.format == Format::Table) {
    put("{} {}, {} here already or with their pack, {} stay, {} failed\n", counts.moved,
        applies ? "moved" : "would move", counts.there, counts.stay, counts.failed);
    if (!applies) put("nothing was changed: --apply does it\n");
  }
  return counts.failed == 0 ? kOk : kFailed;
}

}  // namespace

CommandTable import_commands(InstallFolder install) {
  return {
      {.path = "import st2",
       .help = "Move packs, configurations, keys and rules of a StackStorm here; without --apply "
               "tell what would become of each",
       .options = {{"--url", "URL", "StackStorm's address: https://HOST, as for `st2`"},
                   {"--dump", "DIR", "Files of its API instead: keys.json, rules.json, packs.json"},
                   {"--token-file", "FILE", "Holds a token of StackStorm (st2 auth -t USER)"},
                   {"--api-key-file", "FILE", "Holds an API key of StackStorm"},
                   {.name = "--user",
                    .value = "NAME",
                    .help = "Keys of this user too; may be given several times",
                    .repeats = true},
                   {"--decrypt", "", "Ask for encrypted keys and hidden values in clear"},
                   {"--packs", "DIR", "A copy of /opt/stackstorm/packs: packs come from there"},
                   {"--cacert", "FILE", "Certificates to trust besides the system's"},
                   {"--apply", "", "Do it"},
                   {"--to", "URL", "This server's address, where it is not found by itself"},
                   {"--to-token-file", "FILE", "Holds a token of this server"},
                   {.name = "--output",
                    .value = "FORMAT",
                    .help = "table, json, yaml, jsonl",
                    .letter = 'o',
                    .choices = {"table", "json", "yaml", "jsonl"}}},
       .local = [install =
                     std::move(install)](const Invocation& in) { return import_st2(in, install); }},
  };
}

}  // namespace millrace::cli
