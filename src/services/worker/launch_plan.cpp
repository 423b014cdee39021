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

Result<std::vector<std::string>> shell_command(const kernel::WorkOrder& order) {
  std::string_view command = order.parameters.string_or("cmd", "");
  if (command.empty()) return cannot_run(order, "the parameter 'cmd' is empty");
  if (order.parameters.bool_or("sudo", false)) {
    return cannot_run(order, "the parameter 'sudo' is not supported; write sudo into the command");
  }
  bool is_of_stackstorm = order.runner_type == "local-shell-cmd";
  std::string shell = is_of_stackstorm && can_run(kBash) ? kBash : "/bin/sh";
  return std::vector<std::string>{std::move(shell), "-c", std::string(command), order.action};
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
                                                   const ReleaseFile& release_file) {
  TRY(std::string file, release_file(order.pack, order.release, "actions/" + order.entry_point));
  std::vector<std::string> argv;
  if (!has_first_line(file)) argv.emplace_back(can_run(kBash) ? kBash : "/bin/sh");
  argv.push_back(std::move(file));
  add_named_arguments(order, argv);
  return argv;
}

std::vector<std::string> interpreter(const kernel::WorkOrder& order, const RunDefaults& defaults) {
  auto words = order.runtime.interpreter;
  std::string own = defaults.python ? defaults.python(order) : std::string();
  if (!own.empty() && !words.empty()) words[0] = std::move(own);
  return words;
}

Result<std::vector<std::string>> script_command(const kernel::WorkOrder& order,
                                                const RunDefaults& defaults,
                                                const ReleaseFile& release_file) {
  if (order.runner_type == "local-shell-script") return stackstorm_script(order, release_file);
  // Here runtimes that are kept warm (python, node) will take an order instead of a new process.
  TRY(std::string file, release_file(order.pack, order.release, "actions/" + order.entry_point));
  auto argv = interpreter(order, defaults);
  argv.push_back(std::move(file));
  return argv;
}

Result<std::vector<std::string>> command(const kernel::WorkOrder& order,
                                         const RunDefaults& defaults,
                                         const ReleaseFile& release_file) {
  switch (order.runner) {
    case Runner::Shell: return shell_command(order);
    case Runner::Script: return script_command(order, defaults, release_file);
    default:
      return cannot_run(order, fmt::format("runner_type '{}' is not supported by this worker",
                                           order.runner_type));
  }
}

// Sets NAME=value; a later value takes the place of an earlier one.
void set(std::vector<std::string>& env, std::string_view name, std::string_view value) {
  auto is_same = [&](std::string_view entry) {
    return entry.size() > name.size() && entry.starts_with(name) && entry[name.size()] == '=';
  };
  auto at = std::find_if(env.begin(), env.end(), is_same);
  if (at == env.end()) at = env.emplace(env.end());
  *at = fmt::format("{}={}", name, value);
}

Result<void> check_name(const kernel::WorkOrder& order, std::string_view name,
                        const RunDefaults& defaults) {
  auto why = why_env_is_refused(name, defaults.env_allowed);
  if (why.empty()) return {};
  return cannot_run(order, fmt::format("the variable '{}' may not be set: {}", name, why));
}

Result<std::vector<std::string>> environment(const kernel::WorkOrder& order,
                                             const RunDefaults& defaults) {
  std::vector<std::string> env;
  env.reserve(defaults.env.size() + order.runtime.env.size() + order.env.size() + 4);
  for (const auto& [name, value] : defaults.env) set(env, name, value);
  for (const auto& [name, value] : order.runtime.env) set(env, name, value);
  const Value& given = order.parameters["env"];
  if (given.is_map()) {
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

// What the SDK reads from stdin: sdk/python/README.md.
Result<void> plan_python(const kernel::WorkOrder& order, const RunDefaults& defaults,
                         const ReleaseFile& release_file, Launch& launch) {
  if (!defaults.python_sdk) return cannot_run(order, "this worker has no Python SDK");
  TRY(std::string sdk, defaults.python_sdk());
  std::string below = "/actions/" + order.entry_point;
  TRY(std::string file, release_file(order.pack, order.release, below.substr(1)));
  launch.argv = interpreter(order, defaults);
  launch.argv.push_back(sdk + "/millrace/runtime.py");
  launch.parameters = to_json(
      Value::map({{"action", order.action},
                  {"pack", order.pack},
                  {"pack_path", std::string_view(file).substr(0, file.size() - below.size())},
                  {"entry_point", order.entry_point},
                  {"parameters", own_parameters(order)},
                  {"config", order.config.is_map() ? order.config : Value::map()},
                  {"log_level", order.parameters.string_or("log_level", "")}}));
  launch.says_result = true;
  return {};
}

Result<void> plan_command(const kernel::WorkOrder& order, const RunDefaults& defaults,
                          const ReleaseFile& release_file, Launch& launch) {
  TRY(launch.argv, command(order, defaults, release_file));
  for (const auto& name : order.arguments) {
    launch.argv.push_back(as_argument(order.parameters[name]));
  }
  launch.delivery = order.delivery == ParameterDelivery::File ? Delivery::File : Delivery::Stdin;
  launch.parameters = format_parameters(own_parameters(order), order.parameter_format);
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
  if (order.python_runner) {
    TRY(plan_python(order, defaults, release_file, launch));
  } else {
    TRY(plan_command(order, defaults, release_file, launch));
  }
  TRY(launch.env, environment(order, defaults));
  launch.cwd = order.parameters.string_or("cwd", "");
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
