// SPDX-License-Identifier: Apache-2.0
#include "services/worker/launch_plan.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>

#include "base/files.h"
#include "base/json.h"
#include "model/env_names.h"
#include "services/worker/mask.h"
#include "services/worker/runtime_words.h"

namespace millrace::worker {
namespace {

Error cannot_run(const kernel::WorkOrder& order, std::string_view why) {
  return Error(ErrorKind::Unsupported, "WRK-0008",
               fmt::format("action '{}': {}", order.action, why));
}

constexpr const char* kBash = "/bin/bash";

bool can_run(const char* program) { return ::access(program, X_OK) == 0; }

// `#!`: the kernel reads there what runs it.
bool has_first_line(const std::string& path) {
  Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  char mark[2];
  return file && ::read(file.get(), mark, 2) == 2 && mark[0] == '#' && mark[1] == '!';
}

// Before the command that root is to run. The password is the first line of stdin.
Result<std::vector<std::string>> sudo_words(const kernel::WorkOrder& order,
                                            const RunDefaults& defaults) {
  if (!order.parameters.bool_or("sudo", false)) return std::vector<std::string>();
  if (!defaults.allow_sudo) {
    return cannot_run(order,
                      "'sudo' is off on this worker: worker.allow_sudo: true in its "
                      "configuration allows it, and /etc/sudoers has to let its user "
                      "through (NOPASSWD, SETENV)");
  }
  bool has_password = !order.parameters.string_or("sudo_password", "").empty();
  if (!has_password) return std::vector<std::string>{"sudo", "-n", "-E", "-H", "--"};
  return std::vector<std::string>{"sudo", "-S", "-k", "-p", "", "-E", "-H", "--"};
}

Result<std::vector<std::string>> shell_command(const kernel::WorkOrder& order,
                                               const RunDefaults& defaults) {
  std::string_view command = order.parameters.string_or("cmd", "");
  if (command.empty()) return cannot_run(order, "the parameter 'cmd' is empty");
  TRY(auto argv, sudo_words(order, defaults));
  bool is_of_stackstorm = order.runner_type == "local-shell-cmd";
  std::string shell = is_of_stackstorm && can_run(kBash) ? kBash : "/bin/sh";
  argv.insert(argv.end(), {std::move(shell), "-c", std::string(command), order.action});
  return argv;
}

Value own_parameters(const kernel::WorkOrder& order) {
  Value own = order.parameters.is_map() ? order.parameters : Value::map();
  for (const auto& name : order.steering) {
    if (own.find(name)) own.mutable_map().erase(name);
  }
  return own;
}

// As StackStorm gives them to a script: NAME=VALUE behind `kwarg_op`, only NAME for true, nothing
// for false, null and empty texts.
void add_named_arguments(const kernel::WorkOrder& order, std::vector<std::string>& argv) {
  std::string before(order.parameters.string_or("kwarg_op", "--"));
  for (const auto& entry : own_parameters(order).as_map()) {
    if (std::ranges::find(order.arguments, entry.name()) != order.arguments.end()) continue;
    const Value& value = entry.value;
    bool is_left_out = value.is_null() || value == Value(false) ||
                       (value.is_string() && value.as_string().empty());
    if (is_left_out) continue;
    std::string word = before + std::string(entry.name());
    if (!value.is_bool())
      word += "=" + (value.is_string() ? std::string(value.as_string()) : to_json(value));
    argv.push_back(std::move(word));
  }
}

// A script of StackStorm's is run itself, by its first line; by bash where it has none.
Result<std::vector<std::string>> stackstorm_script(const kernel::WorkOrder& order,
                                                   const RunDefaults& defaults,
                                                   const ReleaseFile& release_file) {
  TRY(std::string file, release_file(order.pack, order.release, "actions/" + order.entry_point));
  TRY(auto argv, sudo_words(order, defaults));
  if (!has_first_line(file)) argv.emplace_back(can_run(kBash) ? kBash : "/bin/sh");
  argv.push_back(std::move(file));
  add_named_arguments(order, argv);
  return argv;
}

// Without a slash at its end; `file`: one of the release's.
std::string_view release_folder(std::string_view file, std::string_view below) {
  return file.substr(0, file.size() - below.size());
}

// With the program of the environment where there is one.
std::vector<std::string> interpreter(const kernel::WorkOrder& order, const RuntimeWords& words) {
  auto argv = words.in(order.runtime.interpreter);
  const auto& own = order.runtime.environment.interpreter;
  bool has_own = !own.empty() && !words.env_dir.empty() && !argv.empty();
  if (has_own) argv[0] = words.in(own);
  return argv;
}

RuntimeWords words_of(const kernel::WorkOrder& order, const RunDefaults& defaults) {
  RuntimeWords words;
  if (order.runner != Runner::Script) return words;
  if (defaults.environment) words.env_dir = defaults.environment(order);
  if (!order.runtime.interpreter.empty()) words.interpreter = order.runtime.interpreter[0];
  return words;
}

Result<std::vector<std::string>> script_command(const kernel::WorkOrder& order,
                                                const RunDefaults& defaults,
                                                const ReleaseFile& release_file,
                                                RuntimeWords& words) {
  if (order.runner_type == "local-shell-script")
    return stackstorm_script(order, defaults, release_file);
  std::string below = "/actions/" + order.entry_point;
  TRY(std::string file, release_file(order.pack, order.release, below.substr(1)));
  words.pack_dir = release_folder(file, below);
  auto argv = interpreter(order, words);
  argv.push_back(std::move(file));
  return argv;
}

Result<std::vector<std::string>> command(const kernel::WorkOrder& order,
                                         const RunDefaults& defaults,
                                         const ReleaseFile& release_file, RuntimeWords& words) {
  switch (order.runner) {
    case Runner::Shell: return shell_command(order, defaults);
    case Runner::Script: return script_command(order, defaults, release_file, words);
    default:
      return cannot_run(order, fmt::format("runner_type '{}' is not supported by this worker",
                                           order.runner_type));
  }
}

// NAME=value of this name.
std::vector<std::string>::iterator variable(std::vector<std::string>& env, std::string_view name) {
  return std::find_if(env.begin(), env.end(), [&](std::string_view entry) {
    return entry.size() > name.size() && entry.starts_with(name) && entry[name.size()] == '=';
  });
}

// Sets NAME=value; a later value takes the place of an earlier one.
void set(std::vector<std::string>& env, std::string_view name, std::string_view value) {
  auto at = variable(env, name);
  if (at == env.end()) at = env.emplace(env.end());
  *at = fmt::format("{}={}", name, value);
}

void set(std::vector<std::string>& env, const RuntimeVariable& runtimes,
         const RuntimeWords& words) {
  if (words.env_dir.empty() && needs_environment(runtimes)) return;
  auto at = variable(env, runtimes.name);
  std::string before = at == env.end() ? std::string() : at->substr(runtimes.name.size() + 1);
  set(env, runtimes.name, value_of(runtimes, before, words));
}

Result<void> check_name(const kernel::WorkOrder& order, std::string_view name,
                        const RunDefaults& defaults) {
  auto why = why_env_is_refused(name, defaults.env_allowed);
  if (why.empty()) return {};
  return cannot_run(order, fmt::format("the variable '{}' may not be set: {}", name, why));
}

// `shell`, `python`, `node`, `native`, a pack's own runtime: StackStorm's types have other names.
bool is_of_attunes_spelling(const kernel::WorkOrder& order) {
  return order.sdk == Sdk::None && !order.runner_type.empty() &&
         !order.runner_type.starts_with("local-shell");
}

void add_attunes_names(const kernel::WorkOrder& order, std::vector<std::string>& env) {
  constexpr std::string_view kSame[] = {"ACTION",  "EXEC_ID", "RULE",
                                        "TRIGGER", "API_URL", "API_TOKEN"};
  for (const auto& [name, value] : order.env) {
    constexpr std::string_view kOurs = "MILLRACE_";
    if (!name.starts_with(kOurs) || value.empty()) continue;
    auto rest = std::string_view(name).substr(kOurs.size());
    if (std::ranges::find(kSame, rest) != std::end(kSame)) {
      set(env, fmt::format("ATTUNE_{}", rest), value);
    }
  }
  set(env, "ATTUNE_PACK_REF", order.pack);
}

Result<std::vector<std::string>> environment(const kernel::WorkOrder& order,
                                             const RunDefaults& defaults,
                                             const RuntimeWords& words) {
  std::vector<std::string> env;
  env.reserve(defaults.env.size() + order.runtime.env.size() + order.env.size() + 4);
  for (const auto& [name, value] : defaults.env) set(env, name, value);
  for (const auto& one : order.runtime.env) set(env, one, words);
  const Value& given = order.parameters["env"];  // of the other machine, where there is one
  if (given.is_map() && order.sdk != Sdk::Ssh) {
    for (const auto& entry : given.as_map()) {
      if (entry.name().empty() || entry.name().find('=') != std::string_view::npos) {
        return cannot_run(order, fmt::format("the parameter 'env' holds '{}', which is no name of "
                                             "an environment variable",
                                             entry.name()));
      }
      TRY(check_name(order, entry.name(), defaults));
      if (entry.name().starts_with("MILLRACE_")) {
        return cannot_run(order, fmt::format("the parameter 'env' may not set '{}'", entry.name()));
      }
      set(env, entry.name(), as_argument(entry.value));
    }
  }
  for (const auto& [name, value] : order.env) {
    TRY(check_name(order, name, defaults));
    set(env, name, value);
  }
  if (is_of_attunes_spelling(order)) add_attunes_names(order, env);
  return env;
}

// A name that a shell takes: other characters become '_'.
std::string variable_name(std::string_view name) {
  std::string out;
  for (char c : name) {
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    bool digit = c >= '0' && c <= '9';
    out += letter || (digit && !out.empty()) ? c : '_';
  }
  return out.empty() ? "_" : out;
}

std::string shell_quoted(std::string_view text) {
  std::string out = "'";
  for (char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c;
    }
  }
  return out += '\'';
}

std::string plain_text(const Value& value) {
  if (value.is_null()) return {};
  return value.is_string() ? std::string(value.as_string()) : to_json(value);
}

// What an SDK reads from stdin stands in sdk/python/README.md and sdk/node/README.md.
Result<void> plan_sdk(const kernel::WorkOrder& order, const RunDefaults& defaults,
                      const ReleaseFile& release_file, RuntimeWords& words, Launch& launch) {
  if (!defaults.sdk) return cannot_run(order, "this worker has no SDK");
  TRY(std::string sdk, defaults.sdk(order.sdk));
  std::string below = "/actions/" + order.entry_point;
  TRY(std::string file, release_file(order.pack, order.release, below.substr(1)));
  words.pack_dir = release_folder(file, below);
  launch.argv = interpreter(order, words);
  launch.argv.push_back(order.sdk == Sdk::Python ? sdk + "/millrace/runtime.py" : sdk);
  launch.parameters =
      to_json(Value::map({{"action", order.action},
                          {"pack", order.pack},
                          {"pack_path", words.pack_dir},
                          {"entry_point", order.entry_point},
                          {"parameters", own_parameters(order)},
                          {"config", order.config.is_map() ? order.config : Value::map()},
                          {"log_level", order.parameters.string_or("log_level", "")}}));
  launch.says_result = true;
  return {};
}

void add_to_key(std::string& key, std::string_view text) {
  key += fmt::format("{}:{}", text.size(), text);
}

// Whose calls a process may serve: all that one of them may know stands in the key, but for its
// parameters that are no secrets and the token of its run, which ends with it.
void plan_warm(const kernel::WorkOrder& order, const RunDefaults& defaults,
               const RuntimeWords& words, Launch& launch) {
  if (order.reuse == Reuse::None || order.sdk == Sdk::None || order.sdk == Sdk::Ssh ||
      defaults.warm.processes == 0)
    return;
  WarmCall& warm = launch.warm;
  static_cast<WarmTerms&>(warm) = defaults.warm;
  warm.reuse = order.reuse;
  warm.sdk = order.sdk;
  for (const auto& [name, value] : defaults.env) set(warm.env, name, value);
  for (const auto& one : order.runtime.env) set(warm.env, one, words);
  std::string_view token;
  for (const auto& [name, value] : order.env) {
    if (name == "MILLRACE_API_TOKEN") token = value;
  }
  for (const auto& text :
       {std::to_string(order.tenant.value), order.identity, order.pack, order.release,
        words.env_dir, to_json(order.config), std::to_string(static_cast<int>(order.reuse))}) {
    add_to_key(warm.key, text);
  }
  using Texts = const std::vector<std::string>*;
  for (Texts texts :
       {Texts(&launch.argv), Texts(&warm.env), Texts(&order.permissions), Texts(&order.secrets)}) {
    for (const auto& text : *texts) {
      if (text != token) add_to_key(warm.key, text);
    }
    warm.key += ';';
  }
}

// What remote_shell.py reads from stdin.
Result<void> plan_remote(const kernel::WorkOrder& order, const RunDefaults& defaults,
                         const ReleaseFile& release_file, Launch& launch) {
  if (!defaults.sdk) return cannot_run(order, "this worker has no SDK");
  TRY(std::string sdk, defaults.sdk(Sdk::Python));
  launch.argv = {"python3", "-I", "-u", sdk + "/millrace/remote_shell.py"};
  std::vector<std::string> arguments;
  Value said =
      Value::map({{"action", order.action}, {"hosts", order.parameters.string_or("hosts", "")}});
  if (order.runner == Runner::Script) {
    constexpr size_t kLargestScript = 16 << 20;
    TRY(std::string file, release_file(order.pack, order.release, "actions/" + order.entry_point));
    TRY(std::string script, read_file(file, kLargestScript));
    said.set("script", std::move(script));
    add_named_arguments(order, arguments);
  } else {
    said.set("command", order.parameters.string_or("cmd", ""));
  }
  for (const auto& name : order.arguments) {
    arguments.push_back(as_argument(order.parameters[name]));
  }
  Value options = Value::map({{"known_hosts", defaults.known_hosts}});
  for (std::string_view name : {"username", "password", "private_key", "passphrase", "port",
                                "bastion_host", "parallel", "dir", "cwd", "env", "sudo"}) {
    if (!order.parameters[name].is_null()) options.set(name, order.parameters[name]);
  }
  said.set("arguments", Value(ValueList(arguments.begin(), arguments.end())));
  said.set("options", std::move(options));
  launch.parameters = to_json(said);
  launch.says_result = true;
  return {};
}

Result<void> plan_command(const kernel::WorkOrder& order, const RunDefaults& defaults,
                          const ReleaseFile& release_file, RuntimeWords& words, Launch& launch) {
  TRY(launch.argv, command(order, defaults, release_file, words));
  for (const auto& name : order.arguments) {
    launch.argv.push_back(as_argument(order.parameters[name]));
  }
  launch.delivery = order.delivery == ParameterDelivery::File ? Delivery::File : Delivery::Stdin;
  launch.parameters = format_parameters(own_parameters(order), order.parameter_format);
  // sudo reads it byte by byte and leaves the rest to the command.
  auto password = order.parameters.string_or("sudo_password", "");
  if (!launch.argv.empty() && launch.argv[0] == "sudo" && !password.empty()) {
    launch.parameters = fmt::format("{}\n{}", password, launch.parameters);
  }
  return {};
}

bool has_nul(const std::vector<std::string>& texts) {
  return std::any_of(texts.begin(), texts.end(),
                     [](const std::string& text) { return text.find('\0') != text.npos; });
}

}  // namespace

RunDefaults default_run_defaults() {
  RunDefaults defaults;
  const passwd* user = getpwuid(geteuid());
  defaults.env = {{"PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
                  {"HOME", user && user->pw_dir ? user->pw_dir : "/"},
                  {"LANG", "C.UTF-8"}};
  return defaults;
}

Result<Launch> plan_launch(const kernel::WorkOrder& order, const RunDefaults& defaults,
                           const ReleaseFile& release_file) {
  Launch launch;
  launch.tenant = order.tenant;
  launch.key = order.key;
  RuntimeWords words = words_of(order, defaults);
  if (order.sdk == Sdk::Ssh) {
    TRY(plan_remote(order, defaults, release_file, launch));
  } else if (order.sdk != Sdk::None) {
    TRY(plan_sdk(order, defaults, release_file, words, launch));
    plan_warm(order, defaults, words, launch);
  } else {
    TRY(plan_command(order, defaults, release_file, words, launch));
  }
  TRY(launch.env, environment(order, defaults, words));
  if (order.sdk != Sdk::Ssh) launch.cwd = order.parameters.string_or("cwd", "");
  // The server refuses these where it is asked; here they would be cut short.
  if (has_nul(launch.argv)) return cannot_run(order, "a word of its command holds a NUL byte");
  if (has_nul(launch.env)) return cannot_run(order, "a variable of 'env' holds a NUL byte");
  if (has_nul({launch.cwd})) return cannot_run(order, "the parameter 'cwd' holds a NUL byte");
  size_t secret_bytes = 0;
  for (const auto& secret : order.secrets) secret_bytes += secret.size();
  if (secret_bytes > kMostSecretBytes) {
    return cannot_run(order, fmt::format("its secrets have {} bytes together, at most {} can be "
                                         "kept out of its output",
                                         secret_bytes, kMostSecretBytes));
  }
  launch.secrets = order.secrets;
  launch.timeout_ms = order.timeout_ms;
  launch.grace_ms = defaults.grace_ms;
  launch.output_cap = defaults.output_cap;
  launch.limits = defaults.limits;
  return launch;
}

std::string format_parameters(const Value& parameters, ParameterFormat format) {
  if (format == ParameterFormat::Json) return to_json(parameters);
  std::string out;
  for (const auto& entry : parameters.as_map()) {
    if (format == ParameterFormat::Yaml) {
      append_json_string(out, entry.name());
      out += ": ";
      append_json(out, entry.value);
    } else {
      out += variable_name(entry.name());
      out += '=';
      out += shell_quoted(plain_text(entry.value));
    }
    out += '\n';
  }
  return out;
}

std::string as_argument(const Value& value) {
  switch (value.kind()) {
    case Value::Kind::Null: return {};
    case Value::Kind::Bool: return value.as_bool() ? "1" : "0";
    case Value::Kind::String: return std::string(value.as_string());
    case Value::Kind::List: {
      std::string out;
      for (const auto& element : value.as_list()) {
        if (!out.empty()) out += ',';
        out += as_argument(element);
      }
      return out;
    }
    default: return to_json(value);
  }
}

}  // namespace millrace::worker
