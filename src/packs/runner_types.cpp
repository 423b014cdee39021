// SPDX-License-Identifier: Apache-2.0
#include "packs/runner_types.h"

#include <algorithm>

#include "base/text.h"

namespace millrace::packs {
namespace {

constexpr std::string_view kShellParameters =
    "cmd:string cwd:string env:object timeout:integer sudo:boolean sudo_password:string";
constexpr std::string_view kScriptParameters =
    "cwd:string env:object timeout:integer sudo:boolean sudo_password:string kwarg_op:string";
constexpr std::string_view kPythonParameters = "env:object timeout:integer log_level:string";
constexpr std::string_view kNodeParameters = "env:object timeout:integer log_level:string";
constexpr std::string_view kHttpParameters =
    "url:string method:string headers:object body:any params:object cookies:object "
    "username:string password:string timeout:number allow_redirects:boolean verify:boolean "
    "verify_ssl_cert:boolean";
constexpr std::string_view kInquiryParameters =
    "route:string schema:object roles:array users:array ttl:integer";

constexpr std::string_view kRemoteParameters =
    "cmd:string hosts:string username:string password:string private_key:string "
    "passphrase:string port:integer bastion_host:string parallel:boolean cwd:string env:object "
    "timeout:integer sudo:boolean";
constexpr std::string_view kRemoteScriptParameters =
    "hosts:string username:string password:string private_key:string passphrase:string "
    "port:integer bastion_host:string parallel:boolean dir:string cwd:string env:object "
    "timeout:integer sudo:boolean kwarg_op:string";
constexpr std::string_view kWindowsParameters =
    "cmd:string host:string username:string password:string port:integer scheme:string "
    "transport:string verify_ssl_cert:boolean params:string share:string cwd:string env:object "
    "timeout:integer kwarg_op:string";

constexpr RunnerType kTypes[] = {
    // Of our own packs: handlers inside the server, named by the action's ref.
    {"builtin", Runner::Builtin, "", ""},
    // Attune's.
    {"shell", Runner::Script, "shell", "cwd:string env:object"},
    {"python", Runner::Script, "python", ""},
    {"node", Runner::Script, "node", ""},
    {"nodejs", Runner::Script, "node", ""},
    {"node.js", Runner::Script, "node", ""},
    {"native", Runner::Script, "native", ""},
    {"workflow", Runner::Workflow, "", ""},
    // Ours, of the shape of python-script.
    {"node-script", Runner::Script, "node", kNodeParameters, Sdk::Node},
    // StackStorm's.
    {"local-shell-cmd", Runner::Shell, "", kShellParameters},
    {"local-shell-script", Runner::Script, "shell", kScriptParameters},
    {"python-script", Runner::Script, "python", kPythonParameters, Sdk::Python},
    {"orquesta", Runner::Workflow, "", ""},
    {"action-chain", Runner::Workflow, "", ""},
    {"http-request", Runner::Http, "", kHttpParameters},
    {"noop", Runner::Builtin, "", ""},
    {"inquirer", Runner::Builtin, "", kInquiryParameters},
    {"announcement", Runner::Builtin, "", "route:string"},
    {"remote-shell-cmd", Runner::Shell, "", kRemoteParameters, Sdk::Ssh},
    {"remote-shell-script", Runner::Script, "shell", kRemoteScriptParameters, Sdk::Ssh},
    {"run-remote-script", Runner::Script, "shell", kRemoteScriptParameters, Sdk::Ssh},
    {"winrm-cmd", Runner::Unsupported, "", kWindowsParameters},
    {"winrm-ps-cmd", Runner::Unsupported, "", kWindowsParameters},
    {"winrm-ps-script", Runner::Unsupported, "", kWindowsParameters},
    {"windows-cmd", Runner::Unsupported, "", kWindowsParameters},
    {"windows-script", Runner::Unsupported, "", kWindowsParameters},
    {"mistral-v2", Runner::Unsupported, "", ""},
    {"cloudslang", Runner::Unsupported, "", ""},
};

}  // namespace

const RunnerType* find_runner_type(std::string_view name) {
  auto found = std::ranges::find(kTypes, to_lower_ascii(name), &RunnerType::name);
  return found == std::end(kTypes) ? nullptr : found;
}

std::vector<std::string_view> runner_type_names() {
  std::vector<std::string_view> names;
  for (const RunnerType& type : kTypes) names.push_back(type.name);
  return names;
}

void add_runner_parameters(const RunnerType& type, std::vector<Parameter>& parameters) {
  for (std::string_view word : split(type.parameters, ' ')) {
    if (word.empty()) continue;
    size_t colon = word.find(':');
    std::string_view name = word.substr(0, colon), value_type = word.substr(colon + 1);
    auto known = std::ranges::find(parameters, name, &Parameter::name);
    if (known == parameters.end()) {
      known = parameters.insert(known, {.name = std::string(name)});
      known->schema = Value::map();
    }
    // What an action itself says of the values is not changed. `any`: the runner takes all.
    constexpr std::string_view kSays[] = {"type",  "enum",  "const", "anyOf",
                                          "oneOf", "allOf", "$ref"};
    bool is_said = std::ranges::any_of(
        kSays, [&](std::string_view key) { return known->schema.find(key) != nullptr; });
    if (!is_said && value_type != "any") known->schema.set("type", value_type);
    bool steers_the_run = type.runner != Runner::Http && name != "cmd";
    known->of_runner = steers_the_run;
    known->secret = known->secret || name == "sudo_password" || name == "password" ||
                    name == "private_key" || name == "passphrase";
  }
}

}  // namespace millrace::packs
