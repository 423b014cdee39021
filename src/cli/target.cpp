// SPDX-License-Identifier: Apache-2.0
#include "cli/target.h"

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>

#include "base/files.h"
#include "base/text.h"
#include "base/yaml.h"

namespace millrace::cli {
namespace {

constexpr size_t kMaxFile = 1 << 20;

Result<std::string> read_line(const std::string& path) {
  TRY(auto text, read_file(path, kMaxFile));
  return std::string(trim(text));
}

std::string profiles_path(const Environment& env) {
  auto folder = env("XDG_CONFIG_HOME");
  if (folder.empty()) folder = env("HOME") + "/.config";
  return folder + "/millrace/config.yaml";
}

// profiles: {NAME: {url: ..., token_file: ...}}
Result<Value> read_profile(const Environment& env, const std::string& name, bool must_exist) {
  auto path = profiles_path(env);
  if (!must_exist && !std::filesystem::exists(path)) return Value();
  TRY(auto text, read_file(path, kMaxFile));
  TRY(auto file, parse_yaml(text, path));
  const auto& profiles = file.value["profiles"];
  if (const auto* found = profiles.find(name)) return *found;
  if (!must_exist) return Value();
  std::vector<std::string> names;
  if (profiles.is_map()) {
    for (const auto& entry : profiles.as_map()) names.emplace_back(entry.name());
  }
  return Error(ErrorKind::NotFound, "CLI-0003",
               fmt::format("{}: no profile '{}'{}", path, name, did_you_mean(name, names)));
}

// Where a server is, and the file with the token for it.
struct Place {
  std::string url;
  std::string token_file;     // empty: none
  bool is_asked_for = false;  // by an option, so that its token comes before the environment's
};

Place of_profile(const Value& profile, const Environment& env) {
  Place place{std::string(profile.string_or("url", "")),
              std::string(profile.string_or("token_file", ""))};
  if (place.token_file.starts_with("~/"))
    place.token_file = env("HOME") + place.token_file.substr(1);
  return place;
}

Result<Place> of_data_folder(const std::string& data) {
  if (!std::filesystem::exists(data + "/url")) {
    return Error(ErrorKind::Unavailable, "CLI-0002",
                 fmt::format("no server is known: '{}/url' does not exist", data));
  }
  Place place{{}, data + "/admin.token"};
  TRY(place.url, read_line(data + "/url"));
  return place;
}

// Each of them names a server; one would be ignored.
Result<void> check_options(const Invocation& in) {
  if (!in.has("--url") || !in.has("--profile")) return {};
  return usage_error("expected one server, found --url and --profile");
}

Result<Place> first_known(const Invocation& in, const Environment& env) {
  Place place;
  if (in.has("--url")) return Place{in.get("--url"), {}};
  if (in.has("--profile")) {
    TRY(auto profile, read_profile(env, in.get("--profile"), true));
    place = of_profile(profile, env);
    place.is_asked_for = true;
    return place;
  }
  if (in.has("--data")) {
    TRY(place, of_data_folder(in.get("--data")));
    place.is_asked_for = true;
    return place;
  }
  if (!env("MILLRACE_URL").empty()) return Place{env("MILLRACE_URL"), {}};
  TRY(auto profile, read_profile(env, "default", false));
  if (!profile.is_null()) return of_profile(profile, env);
  return of_data_folder(data_folder(in, env));
}

// The token of a place that nobody asked for is the last to be taken: who sets MILLRACE_TOKEN to a
// token that may do little must not be an administrator because of the folder that he stands in.
Result<Secret> token_for(const Place& place, const Invocation& in, const Environment& env) {
  Secret of_environment(env("MILLRACE_TOKEN"));
  std::string file = place.token_file;
  if (in.has("--token-file")) {
    file = in.get("--token-file");
  } else if (!of_environment.empty() && (file.empty() || !place.is_asked_for)) {
    return of_environment;
  }
  if (file.empty()) return Secret();
  TRY(auto token, read_line(file));
  return Secret(std::move(token));
}

}  // namespace

std::string process_environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

std::string data_folder(const Invocation& in, const Environment& env) {
  if (in.has("--data")) return in.get("--data");
  auto named = env("MILLRACE_DATA");
  return named.empty() ? "./millrace-data" : named;
}

Result<Target> find_target(const Invocation& in, const Environment& env) {
  TRY(check_options(in));
  TRY(auto place, first_known(in, env));
  Target target{std::move(place.url), {}};
  TRY(target.token, token_for(place, in, env));
  if (target.url.find_first_of("?#") != std::string::npos) {
    return usage_error(
        fmt::format("the server's URL: expected http://HOST:PORT, found '{}'", target.url));
  }
  while (target.url.ends_with('/')) target.url.pop_back();
  return target;
}

}  // namespace millrace::cli
