// SPDX-License-Identifier: Apache-2.0
#include "app/git_fetch.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <vector>

#include "agent/release_archive.h"
#include "base/files.h"
#include "base/subprocess.h"
#include "base/text.h"

namespace millrace::app {

namespace fs = std::filesystem;

namespace {

constexpr size_t kLongestUrl = 1000;
constexpr size_t kLongestRef = 250;
constexpr size_t kLongestWords = 1000;

Error not_fetched_from(std::string_view what) {
  return Error(ErrorKind::Invalid, "PCK-0014",
               fmt::format("{}: expected https://HOST/PATH, ssh://[USER@]HOST/PATH or "
                           "git@HOST:PATH, without a password",
                           what));
}

bool is_plain(std::string_view text, std::string_view more) {
  return !text.empty() && text[0] != '-' && std::ranges::all_of(text, [&](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           more.find(static_cast<char>(c)) != more.npos;
  });
}

bool is_host(std::string_view text) { return is_plain(text, ".-_:[]"); }

bool is_own_host(std::string_view host) {
  auto is = [&](std::string_view name) {
    return host == name || (host.starts_with(name) && host[name.size()] == ':');
  };
  return is("127.0.0.1") || is("localhost") || is("[::1]");
}

Result<void> check_git_url(std::string_view url) {
  auto is_odd = [](unsigned char c) { return c <= ' ' || c == 0x7f || c == '\\'; };
  if (url.empty() || url.size() > kLongestUrl || std::ranges::any_of(url, is_odd)) {
    return not_fetched_from("the URL is empty, too long, or has blanks in it");
  }
  auto scheme_end = url.find("://");
  if (scheme_end == url.npos) {
    auto colon = url.find(':');
    bool is_scp = url.starts_with("git@") && colon != url.npos &&
                  is_plain(url.substr(4, colon - 4), ".-_") && colon + 1 < url.size() &&
                  url[colon + 1] != '-' && url[colon + 1] != ':';
    if (is_scp) return {};
    return not_fetched_from("this is no URL that packs are fetched from");
  }
  auto scheme = url.substr(0, scheme_end);
  auto rest = url.substr(scheme_end + 3);
  auto authority = rest.substr(0, rest.find('/'));
  bool has_path = authority.size() + 1 < rest.size();
  auto at = authority.rfind('@');
  auto user = at == authority.npos ? std::string_view() : authority.substr(0, at);
  auto host = at == authority.npos ? authority : authority.substr(at + 1);
  if (!has_path || !is_host(host)) return not_fetched_from("the URL has no host, or no path");
  if (scheme == "ssh") {
    if (at == authority.npos || is_plain(user, "._-")) return {};
    return not_fetched_from("the URL has a password in it, or an odd user");
  }
  if (at != authority.npos) return not_fetched_from("the URL has a user or a password in it");
  bool is_taken = scheme == "https" || (scheme == "http" && is_own_host(host));
  if (!is_taken) {
    return not_fetched_from(fmt::format("packs are not fetched by {}://", scheme.substr(0, 20)));
  }
  return {};
}

std::string from_environment(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody sets any
  return value ? value : otherwise;
}

std::vector<std::string> environment_of_git(std::string_view url) {
  std::vector<std::string> env = {
      "PATH=" + from_environment("PATH", "/usr/local/bin:/usr/bin:/bin"),
      "HOME=" + from_environment("HOME", "/nonexistent"),
      "LC_ALL=C",
      "GIT_TERMINAL_PROMPT=0",
      "GIT_ASKPASS=/bin/false",
      "SSH_ASKPASS_REQUIRE=never",
      // Also where it is sent on to by a server. More than protocol.allow, which it outdoes.
      url.starts_with("http://") ? "GIT_ALLOW_PROTOCOL=http" : "GIT_ALLOW_PROTOCOL=https:ssh",
      "GIT_SSH_COMMAND=ssh -oBatchMode=yes",
  };
  auto agent = from_environment("SSH_AUTH_SOCK", "");
  if (!agent.empty()) env.push_back("SSH_AUTH_SOCK=" + agent);
  return env;
}

class GitRun {
 public:
  explicit GitRun(const GitWant& want)
      : want_(want),
        until_(std::chrono::steady_clock::now() + std::chrono::milliseconds(want.within_ms)) {}

  // Its last words.
  Result<std::string> git(std::vector<std::string> words) const {
    std::vector<std::string> argv = {"git",
                                     "-c",
                                     "core.hooksPath=/dev/null",
                                     "-c",
                                     "transfer.unpackLimit=1",
                                     "-c",
                                     "fetch.unpackLimit=1",
                                     "-c",
                                     "gc.auto=0",
                                     "-c",
                                     "credential.helper="};
    argv.insert(argv.end(), words.begin(), words.end());
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        until_ - std::chrono::steady_clock::now());
    auto end = run_command({.argv = std::move(argv),
                            .env = environment_of_git(want_.url),
                            .cwd = want_.folder,
                            .within_ms = std::max<int64_t>(left.count(), 1),
                            .stop = want_.stop,
                            .most_file_bytes = agent::kLargestArchive});
    if (!end.ok() && want_.stop && *want_.stop) return failed("the server stops");
    if (!end.ok() && end.error().kind() == ErrorKind::NotFound) {
      return failed("there is no program 'git' on the server");
    }
    if (!end.ok()) return failed(fmt::format("it was not done in {} s", want_.within_ms / 1000));
    if (end->exit_code == 0) return std::string(trim(end->tail));
    auto said = trim(end->tail);
    return failed(said.substr(said.size() - std::min(said.size(), kLongestWords)));
  }

 private:
  Error failed(std::string_view why) const {
    return Error(ErrorKind::Unavailable, "PCK-0015",
                 fmt::format("'{}' was not fetched: {}", want_.url, why));
  }
  const GitWant& want_;
  std::chrono::steady_clock::time_point until_;
};

// What the repository says of its files for archives is of no account here.
Result<void> write_attributes(const std::string& folder) {
  std::error_code ec;
  fs::create_directories(folder + "/info", ec);
  return replace_file(folder + "/info/attributes", "* -export-ignore -export-subst\n", 0600);
}

std::string name_in(std::string_view url) {
  while (url.ends_with('/')) url.remove_suffix(1);
  auto name = url.substr(url.find_last_of("/:") + 1);
  return std::string(name.ends_with(".git") ? name.substr(0, name.size() - 4) : name);
}

Result<GitPack> fetch_into(const GitWant& want) {
  GitRun run(want);
  TRY(run.git({"init", "--quiet", "--bare", "."}));
  TRY(write_attributes(want.folder));
  TRY(run.git({"fetch", "--quiet", "--depth", "1", "--no-tags", "--no-recurse-submodules", "--",
               want.url, want.ref.empty() ? "HEAD" : want.ref}));
  TRY(auto commit, run.git({"rev-parse", "--verify", "FETCH_HEAD^{commit}"}));
  TRY(run.git({"archive", "--format=tar", "--output=pack.tar", commit}));
  TRY(auto tar, read_file(want.folder + "/pack.tar", agent::kLargestArchive));
  TRY(auto pack, packs::read_tar(tar));
  pack.folder = name_in(want.url);
  return GitPack{std::move(pack), std::move(commit)};
}

}  // namespace

Result<void> check_git_source(const std::string& url, const std::string& ref) {
  TRY(check_git_url(url));
  bool is_ref = ref.empty() ||
                (ref.size() <= kLongestRef && is_plain(ref, "._/+-") && ref.find("..") == ref.npos);
  if (is_ref) return {};
  return Error(ErrorKind::Invalid, "PCK-0014",
               "the ref is none: expected a branch, a tag or a commit");
}

Result<GitPack> fetch_git(const GitWant& want) {
  TRY(check_git_source(want.url, want.ref));
  std::error_code ec;
  fs::remove_all(want.folder, ec);
  fs::create_directories(want.folder, ec);
  if (ec) {
    return Error(ErrorKind::Unavailable, "APP-0001",
                 fmt::format("{}: {}", want.folder, ec.message()));
  }
  auto fetched = fetch_into(want);
  fs::remove_all(want.folder, ec);
  return fetched;
}

}  // namespace millrace::app
