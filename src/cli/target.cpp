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

Result<Target> of_profile(const Value& profile, const Environment& env) {
  Target target{std::string(profile.string_or("url", "")), {}};
  std::string file(profile.string_or("token_file", ""));
  if (file.starts_with("~/")) file = env("HOME") + file.substr(1);
  if (!file.empty()) {
    TRY(auto token, read_line(file));
    target.token = Secret(std::move(token));
  }
  return target;
}

Result<Target> of_data_folder(const std::string& data) {
  if (!std::filesystem::exists(data + "/url")) {
    return Error(ErrorKind::Unavailable, "CLI-0002",
                 fmt::format("no server is known: '{}/url' does not exist", data));
  }
  Target target;
  TRY(target.url, read_line(data + "/url"));
  TRY(auto token, read_line(data + "/admin.token"));
  target.token = Secret(std::move(token));
  return target;
}

Result<Target> first_known(const Invocation& in, const Environment& env) {
  auto data = data_folder(in, env);
  if (in.has("--profile")) {
    TRY(auto profile, read_profile(env, in.get("--profile"), true));
    return of_profile(profile, env);
  }
  if (in.has("--url")) return Target{in.get("--url"), Secret(env("MILLRACE_TOKEN"))};
  if (in.has("--data")) return of_data_folder(data);
  if (!env("MILLRACE_URL").empty()) {
    return Target{env("MILLRACE_URL"), Secret(env("MILLRACE_TOKEN"))};
  }
  TRY(auto profile, read_profile(env, "default", false));
  if (!profile.is_null()) return of_profile(profile, env);
  return of_data_folder(data);
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
  TRY(auto target, first_known(in, env));
  if (in.has("--token-file")) {
    TRY(auto token, read_line(in.get("--token-file")));
    target.token = Secret(std::move(token));
  }
  while (target.url.ends_with('/')) target.url.pop_back();
  return target;
}

}  // namespace millrace::cli
