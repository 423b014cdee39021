// SPDX-License-Identifier: Apache-2.0
#include "cli/st2_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <tuple>
#include <utility>

#include "async/loop.h"
#include "base/files.h"
#include "base/json.h"
#include "base/yaml.h"
#include "net/http.h"
#include "net/http_client.h"

namespace millrace::cli {
namespace {

namespace fs = std::filesystem;

constexpr size_t kSt2Page = 100;  // what StackStorm gives to who is no administrator
constexpr size_t kMostSt2Rows = 1'000'000;
constexpr size_t kLargestList = 256 << 20;

struct List {
  std::string_view name;  // of the route, and of the file
  ValueList Stackstorm::* into;
  bool is_needed;
};

constexpr List kLists[] = {
    {"packs", &Stackstorm::packs, true},          {"configs", &Stackstorm::configs, true},
    {"actionalias", &Stackstorm::aliases, false}, {"policies", &Stackstorm::policies, false},
    {"apikeys", &Stackstorm::api_keys, false},
};

std::string base_of(std::string url) {
  while (url.ends_with('/')) url.pop_back();
  if (url.ends_with("/v1")) return url;
  return url + (url.ends_with("/api") ? "/v1" : "/api/v1");
}

class Reader {
 public:
  explicit Reader(const StackstormOptions& options)
      : options_(options),
        base_(base_of(options.url)),
        client_({.max_response_bytes = kLargestList, .ca_file = options.ca_file}) {}

  Result<Value> get(const std::string& path) {
    net::ClientRequest request{"GET", base_ + path, {{"Accept", "application/json"}}, {}};
    if (!options_.token.empty()) {
      request.headers.emplace_back(options_.token_header, options_.token.reveal());
    }
    TRY(auto answer, loop_.block_on(client_.send(std::move(request))));
    auto parsed = parse_json(answer.body, kOwnJson);
    if (answer.status == 200 && parsed.ok()) return parsed;
    auto said = parsed.ok() ? parsed->string_or("faultstring", "") : std::string_view();
    bool is_denied = answer.status == 401 || answer.status == 403;
    return Error(is_denied ? ErrorKind::Forbidden : ErrorKind::Unavailable, "CLI-0009",
                 fmt::format("StackStorm's {}{}: {} {}", base_, path.substr(0, path.find('?')),
                             answer.status, said.empty() ? "is no answer of its API" : said));
  }

  // Page by page: its API has no cursor.
  Result<ValueList> list(std::string_view name, std::string_view query) {
    ValueList rows;
    while (rows.size() < kMostSt2Rows) {
      TRY(auto page,
          get(fmt::format("/{}?limit={}&offset={}{}", name, kSt2Page, rows.size(), query)));
      if (!page.is_list()) break;
      for (const Value& row : page.as_list()) rows.push_back(row);
      if (page.size() < kSt2Page) break;
    }
    return rows;
  }

 private:
  const StackstormOptions& options_;
  std::string base_;
  async::Loop loop_;
  net::HttpClient client_;
};

// Its list of rules has no offset: an administrator is given all at once, others one page.
Result<void> read_rules(Reader& reader, const StackstormOptions& options, Stackstorm& into) {
  std::string_view clear = options.decrypt ? "&show_secrets=true" : "";
  auto all = reader.get(fmt::format("/rules?limit=-1{}", clear));
  bool is_denied = !all.ok() && all.error().kind() == ErrorKind::Forbidden;
  if (is_denied) all = reader.get(fmt::format("/rules?limit={}{}", kSt2Page, clear));
  if (!all.ok()) return std::move(all).error();
  if (all->is_list()) into.rules = all->as_list();
  if (is_denied && into.rules.size() >= kSt2Page) {
    into.unread.push_back(
        fmt::format("rules: only {} could be read; an administrator's token reads all", kSt2Page));
  }
  return {};
}

// The same key may come twice: as one's own, and as that of a named user.
void add_keys(ValueList rows, ValueList& into) {
  auto id = [](const Value& key) {
    return std::tuple(key.string_or("scope", ""), key.string_or("user", ""),
                      key.string_or("name", ""));
  };
  for (Value& row : rows) {
    bool is_there =
        std::ranges::any_of(into, [&](const Value& other) { return id(other) == id(row); });
    if (!is_there) into.push_back(std::move(row));
  }
}

Result<void> read_keys(Reader& reader, const StackstormOptions& options, Stackstorm& into) {
  std::string clear = options.decrypt ? "&decrypt=true" : "";
  TRY(into.keys, reader.list("keys", "&scope=system" + clear));
  TRY(auto own, reader.list("keys", "&scope=user" + clear));
  add_keys(std::move(own), into.keys);
  for (const auto& user : options.users) {
    TRY(auto others, reader.list("keys", fmt::format("&scope=user&user={}{}",
                                                     net::percent_encode(user), clear)));
    add_keys(std::move(others), into.keys);
  }
  return {};
}

// Where the packs of its index come from: it does not keep where it installed one from.
void read_pack_urls(Reader& reader, Stackstorm& into) {
  auto found = reader.get("/packs/index");
  if (!found.ok()) {
    into.unread.push_back(fmt::format("the index of packs: {}", found.error().message()));
    return;
  }
  const Value& index = (*found)["index"];
  if (!index.is_map()) return;
  for (const auto& entry : index.as_map()) {
    std::string url(entry.value.string_or("repo_url", ""));
    if (!url.empty()) into.pack_urls.emplace(entry.name(), std::move(url));
  }
}

// DIR/configs/PACK.yaml, as StackStorm keeps them in /opt/stackstorm/configs.
Result<void> read_config_files(const fs::path& folder, Stackstorm& into) {
  std::error_code ec;
  for (const auto& entry : fs::directory_iterator(folder, ec)) {
    if (entry.path().extension() != ".yaml") continue;
    TRY(auto text, read_file(entry.path().string(), kLargestList));
    TRY(auto file, parse_yaml(text, entry.path().string()));
    into.configs.push_back(
        Value::map({{"pack", entry.path().stem().string()}, {"values", file.value}}));
  }
  return {};
}

}  // namespace

Result<Stackstorm> read_stackstorm(const StackstormOptions& options) {
  Reader reader(options);
  Stackstorm found;
  for (const List& list : kLists) {
    bool shows_secrets = options.decrypt && list.name == "configs";
    auto rows = reader.list(list.name, shows_secrets ? "&show_secrets=true" : "");
    if (rows.ok()) {
      found.*list.into = *std::move(rows);
    } else if (list.is_needed) {
      return std::move(rows).error();
    } else {
      found.unread.push_back(fmt::format("{}: {}", list.name, rows.error().message()));
    }
  }
  TRY(read_rules(reader, options, found));
  TRY(read_keys(reader, options, found));
  read_pack_urls(reader, found);
  return found;
}

Result<Stackstorm> read_stackstorm_dump(const std::string& folder) {
  Stackstorm found;
  bool has_any = false;
  auto read = [&](std::string_view name, ValueList& into) -> Result<void> {
    std::string path = fmt::format("{}/{}.json", folder, name);
    if (!fs::exists(path)) return {};
    TRY(auto text, read_file(path, kLargestList));
    TRY(auto rows, parse_json(text, kOwnJson));
    if (!rows.is_list()) {
      return Error(ErrorKind::Invalid, "CLI-0009",
                   fmt::format("{}: expected a list, as StackStorm's API answers it, found {}",
                               path, rows.type_name()));
    }
    into = rows.as_list();
    has_any = true;
    return {};
  };
  for (const List& list : kLists) TRY(read(list.name, found.*list.into));
  TRY(read("keys", found.keys));
  TRY(read("rules", found.rules));
  TRY(read_config_files(fs::path(folder) / "configs", found));
  TRY(find_pack_folders(folder + "/packs", found));
  if (has_any || !found.configs.empty() || !found.pack_folders.empty()) return found;
  return Error(ErrorKind::NotFound, "CLI-0009",
               fmt::format("'{}': expected keys.json, rules.json, packs.json or a folder packs of "
                           "StackStorm there",
                           folder));
}

Result<void> find_pack_folders(const std::string& folder, Stackstorm& into) {
  std::error_code ec;
  for (const auto& entry : fs::directory_iterator(folder, ec)) {
    if (!fs::exists(entry.path() / "pack.yaml")) continue;
    TRY(auto text, read_file((entry.path() / "pack.yaml").string(), 1 << 20));
    auto file = parse_yaml(text, "pack.yaml");
    std::string name = entry.path().filename().string();
    std::string ref(file.ok() ? file->value.string_or("ref", name) : name);
    into.pack_folders[ref] = entry.path().string();
    bool is_listed = std::ranges::any_of(into.packs, [&](const Value& pack) {
      return pack.string_or("ref", pack.string_or("name", "")) == ref;
    });
    if (!is_listed) into.packs.push_back(Value::map({{"ref", ref}}));
  }
  return {};
}

}  // namespace millrace::cli
