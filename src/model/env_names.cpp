// SPDX-License-Identifier: Apache-2.0
#include "model/env_names.h"

#include <fmt/format.h>

#include <algorithm>

namespace millrace {
namespace {

constexpr std::string_view kLinker = "changes what code the dynamic linker loads";
constexpr std::string_view kLibc = "changes what the C library reads";
constexpr std::string_view kShell = "changes what a shell runs";
constexpr std::string_view kSearch = "changes where programs or their settings are looked for";
constexpr std::string_view kPython = "changes what code Python runs";
constexpr std::string_view kNode = "changes what code Node.js runs";
constexpr std::string_view kPerl = "changes what code Perl runs";
constexpr std::string_view kRuby = "changes what code Ruby runs";
constexpr std::string_view kJava = "changes what code Java runs";
constexpr std::string_view kDotnet = "changes what code .NET runs";
constexpr std::string_view kOther = "changes what code its interpreter runs";
constexpr std::string_view kStarts = "names a program that others start";
constexpr std::string_view kGit = "changes what programs git starts or where it writes";

bool matches(std::string_view pattern, std::string_view name) {
  if (!pattern.ends_with('*')) return pattern == name;
  return name.starts_with(pattern.substr(0, pattern.size() - 1));
}

}  // namespace

const std::vector<SteeringName>& steering_env_names() {
  static const std::vector<SteeringName> kNames = {
      {"LD_*", kLinker},
      // What glibc itself drops for programs with more rights than their caller.
      {"GCONV_PATH", kLibc},
      {"GETCONF_DIR", kLibc},
      {"GLIBC_TUNABLES", kLibc},
      {"HOSTALIASES", kLibc},
      {"LOCALDOMAIN", kLibc},
      {"LOCPATH", kLibc},
      {"MALLOC_*", kLibc},
      {"NIS_PATH", kLibc},
      {"NLSPATH", kLibc},
      {"RESOLV_HOST_CONF", kLibc},
      {"RES_OPTIONS", kLibc},
      {"TZDIR", kLibc},
      {"OPENSSL_*", "changes what code OpenSSL loads"},
      {"BASH*", kShell},  // BASH_ENV, BASH_FUNC_name%%, BASHOPTS, BASH_LOADABLES_PATH
      {"ENV", kShell},
      {"SHELLOPTS", kShell},
      {"IFS", kShell},
      {"PS4", kShell},
      {"PROMPT_COMMAND", kShell},
      {"CDPATH", kShell},
      {"GLOBIGNORE", kShell},
      {"FPATH", kShell},
      {"ZDOTDIR", kShell},
      {"SHELL", kStarts},
      {"PATH", kSearch},
      {"HOME", kSearch},
      {"XDG_*", kSearch},
      {"PYTHON*", kPython},
      {"NODE_OPTIONS", kNode},
      {"NODE_PATH", kNode},
      {"NODE_REPL_EXTERNAL_MODULE", kNode},
      {"NODE_EXTRA_CA_CERTS", "changes whom Node.js trusts"},
      {"NODE_TLS_REJECT_UNAUTHORIZED", "changes whom Node.js trusts"},
      {"NPM_CONFIG_*", kNode},
      {"npm_config_*", kNode},
      {"BUN_OPTIONS", kNode},
      {"PERL*", kPerl},  // PERL5LIB, PERL5OPT, PERL5DB, PERLLIB, PERLIO
      {"RUBY*", kRuby},
      {"GEM_*", kRuby},
      {"BUNDLE_*", kRuby},
      {"JAVA_TOOL_OPTIONS", kJava},
      {"_JAVA_OPTIONS", kJava},
      {"JDK_JAVA_OPTIONS", kJava},
      {"JAVA_OPTS", kJava},
      {"JAVA_HOME", kJava},
      {"CLASSPATH", kJava},
      {"DOTNET_STARTUP_HOOKS", kDotnet},
      {"DOTNET_ADDITIONAL_DEPS", kDotnet},
      {"DOTNET_SHARED_STORE", kDotnet},
      {"DOTNET_ROOT*", kDotnet},
      {"CORECLR_*", kDotnet},
      {"COR_*", kDotnet},
      {"COMPlus_*", kDotnet},
      {"PHPRC", kOther},
      {"PHP_INI_SCAN_DIR", kOther},
      {"LUA_*", kOther},
      {"TCLLIBPATH", kOther},
      {"TCL_LIBRARY", kOther},
      {"R_PROFILE*", kOther},
      {"R_ENVIRON*", kOther},
      {"R_HOME", kOther},
      {"R_LIBS*", kOther},
      {"ERL_*", kOther},
      {"AWKPATH", kOther},
      {"AWKLIBPATH", kOther},
      {"VIMINIT", kOther},
      {"EXINIT", kOther},
      {"GOFLAGS", kOther},
      {"MAKEFLAGS", kOther},
      {"MAKEFILES", kOther},
      {"GNUMAKEFLAGS", kOther},
      {"PAGER", kStarts},
      {"MANPAGER", kStarts},
      {"SYSTEMD_PAGER", kStarts},
      {"LESSOPEN", kStarts},
      {"LESSCLOSE", kStarts},
      {"EDITOR", kStarts},
      {"VISUAL", kStarts},
      {"BROWSER", kStarts},
      {"SUDO_ASKPASS", kStarts},
      {"SSH_ASKPASS", kStarts},
      {"RSYNC_RSH", kStarts},
      {"CVS_RSH", kStarts},
      {"SVN_SSH", kStarts},
      // GIT_AUTHOR_NAME, GIT_COMMITTER_DATE and what builders call GIT_BRANCH are free.
      {"GIT_SSH*", kGit},
      {"GIT_CONFIG*", kGit},
      {"GIT_TRACE*", kGit},
      {"GIT_EXTERNAL_DIFF", kGit},
      {"GIT_EXEC_PATH", kGit},
      {"GIT_PROXY_COMMAND", kGit},
      {"GIT_ASKPASS", kGit},
      {"GIT_PAGER", kGit},
      {"GIT_EDITOR", kGit},
      {"GIT_SEQUENCE_EDITOR", kGit},
      {"GIT_TEMPLATE_DIR", kGit},
      {"GIT_DIR", kGit},
      {"GIT_COMMON_DIR", kGit},
      {"GIT_WORK_TREE", kGit},
      {"GIT_INDEX_FILE", kGit},
      {"GIT_OBJECT_DIRECTORY", kGit},
      {"GIT_ALTERNATE_OBJECT_DIRECTORIES", kGit},
      {"GIT_ATTR_*", kGit},
  };
  return kNames;
}

std::string why_env_is_refused(std::string_view name, const std::vector<std::string>& allowed) {
  auto is_it = [&](std::string_view pattern) { return matches(pattern, name); };
  auto steering = std::ranges::find_if(steering_env_names(), is_it, &SteeringName::name);
  if (steering == steering_env_names().end() || std::ranges::any_of(allowed, is_it)) return {};
  return fmt::format(
      "it {}; set it in the action's own file or script, or let callers set it by the server's "
      "worker.env_allowed",
      steering->why);
}

}  // namespace millrace
