// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "model/labels.h"
#include "packs/parameters.h"
#include "packs/parameters_reader.h"
#include "packs/readers.h"
#include "packs/runner_types.h"

namespace millrace::packs {
namespace {

constexpr int64_t kLongestTimeoutS = 366 * 86'400;

// What StackStorm's python-script actions count on without asking: the datastore, other actions.
constexpr std::string_view kOfPythonScript[] = {"actions:read", "executions:read", "executions:run",
                                                "keys:read", "keys:write"};

// Reads one actions/*.yaml.
class ActionReader {
 public:
  ActionReader(Reading& reading, Section& section) : reading_(reading), section_(section) {}

  Action read() {
    action_.ref = read_ref(reading_, section_, "action");
    action_.description = section_.text("description");
    action_.enabled = section_.flag("enabled", true);
    action_.parameters = read_parameters(
        section_, section_.find_any({"parameters", "param_schema"}), reading_.engine);
    action_.output_schema =
        read_object_schema(section_, section_.find_any({"output_schema", "output", "out_schema"}));
    read_runner();
    read_reuse();
    read_timeout();
    read_delivery();
    action_.permissions = section_.texts("permissions");
    if (action_.sdk == Sdk::Python && !section_.find("permissions")) {
      action_.permissions.assign(std::begin(kOfPythonScript), std::end(kOfPythonScript));
    }
    action_.notify = section_.map("notify");
    read_labels();
    section_.ignore({"label", "tags", "examples", "meta", "metadata_file", "output_key",
                     "runtime_version", "deprecated"});
    section_.not_supported({"log_retention_policy", "log_retention_limit", "worker_selector",
                            "worker_tolerations", "worker_affinity",
                            "default_execution_permission_set_refs", "content_version"});
    warn_of_secret_argument();
    section_.finish();
    return std::move(action_);
  }

 private:
  void warn_of_secret_argument() {
    std::string name = secret_argument(action_);
    if (name.empty()) return;
    const YamlNode* parameters = section_.find_any({"parameters", "param_schema"});
    const YamlNode* parameter = parameters ? parameters->find(name) : nullptr;
    section_.warning(
        (parameter ? *parameter : section_.node()).line,
        fmt::format("parameter '{}': it is secret and becomes an argument, and every user "
                    "of the machine can read a command line: the action is not run; "
                    "take 'position' from it, and let the script read it from its "
                    "parameters on stdin (parameter_delivery)",
                    name));
  }

  void read_labels() {
    action_.runs_on = section_.texts("runs_on");
    const YamlNode* at = section_.find("runs_on");
    if (action_.runs_on.size() > kMostLabels) {
      section_.error(*at, fmt::format("'runs_on': expected at most {} labels", kMostLabels));
    }
    for (const auto& label : action_.runs_on) {
      if (auto fits = check_label(label); !fits.ok()) section_.error(*at, fits.error().message());
    }
    bool on_worker = action_.runner != Runner::Builtin && action_.runner != Runner::Workflow;
    if (!action_.runs_on.empty() && !on_worker) {
      section_.error(*at, "'runs_on': the server itself runs this action, not a worker");
    }
  }

  void read_runner() {
    const YamlNode* type = section_.find("runner_type");
    const YamlNode* workflow = section_.find("workflow_file");
    const YamlNode* entry_point = section_.find("entry_point");
    if (workflow) entry_point = workflow;
    action_.runner_type = type ? type->text : workflow ? "workflow" : "";
    action_.entry_point = entry_point ? entry_point->text : "";
    const RunnerType* known = find_runner_type(action_.runner_type);
    const Runtime* own =
        reading_.pack.ref == "core" ? nullptr : find_own_runtime(reading_, action_.runner_type);
    // A pack's own Python is what its actions mean by that, where the type is a runtime's name.
    bool is_runtime = !known || known->name == known->runtime || known->runtime == "node";
    bool is_own = own && is_runtime && (!known || known->sdk == Sdk::None);
    if (known && !is_own) {
      use(*known, workflow != nullptr);
      if (known->runner == Runner::Unsupported) {
        section_.warning(type->line,
                         fmt::format("runner type '{}' is not supported: the action loads, "
                                     "and fails when it is run",
                                     action_.runner_type));
      }
    } else if (is_own) {
      action_.runner = Runner::Script;
      action_.runtime = own->ref;
    } else if (!type) {
      section_.error(section_.node(), "expected 'runner_type'");
      return;
    } else {
      std::string hint = did_you_mean(action_.runner_type, runner_type_names());
      section_.error(*type, fmt::format("unknown runner type '{}'{}", action_.runner_type, hint));
      return;
    }
    bool runs_a_file = action_.runner == Runner::Script || action_.runner == Runner::Workflow;
    if (!runs_a_file) {
      action_.entry_point.clear();
    } else if (action_.entry_point.empty()) {
      section_.error(section_.node(), "expected 'entry_point', a file below actions/");
    } else {
      auto when = action_.runner == Runner::Workflow ? WhenMissing::Refuse : WhenMissing::Warn;
      check_entry_point(reading_, section_, *entry_point, "actions", action_.entry_point, when);
    }
    if (action_.runner == Runner::Workflow) read_workflow();
  }

  void read_reuse() {
    bool has_sdk = action_.sdk == Sdk::Python || action_.sdk == Sdk::Node;
    bool can_fork = action_.sdk == Sdk::Python;
    if (has_sdk && (can_fork || reading_.reuse != Reuse::Fork)) action_.reuse = reading_.reuse;
    auto own = section_.choice("reuse", kReuse);
    if (!own) return;
    action_.reuse = static_cast<Reuse>(*own);
    if (action_.reuse == Reuse::None) return;
    const YamlNode& at = *section_.find("reuse");
    if (!has_sdk) {
      section_.error(at,
                     "'reuse': processes of python-script and node-script actions alone are "
                     "kept");
    } else if (action_.reuse == Reuse::Fork && !can_fork) {
      section_.error(at, "'reuse': Node.js cannot fork: expected none or process");
    }
  }

  void read_workflow() {
    action_.timeout_ms = 0;
    std::string path = "actions/" + action_.entry_point;
    auto file = reading_.files.find(path);
    if (file == reading_.files.end()) return;  // told before
    auto document = parse_yaml(file->second, path);
    if (document.ok()) {
      action_.workflow = std::make_shared<const YamlNode>(std::move(*document));
      return;
    }
    for (const auto& problem : document.error().problems()) {
      reading_.findings.errors.push_back(problem);
    }
  }

  void use(const RunnerType& type, bool has_workflow_file) {
    action_.runner = has_workflow_file ? Runner::Workflow : type.runner;
    action_.runtime = type.runtime;
    action_.sdk = type.sdk;
    bool has_command =
        std::ranges::find(action_.parameters, "cmd", &Parameter::name) != action_.parameters.end();
    bool is_command = type.name == "shell" && action_.entry_point.empty() && has_command;
    if (is_command) action_.runner = Runner::Shell;
    add_runner_parameters(type, action_.parameters);
  }

  // `timeout` in seconds; in StackStorm it is the default of the runner's parameter `timeout`.
  void read_timeout() {
    auto parameter = std::ranges::find(action_.parameters, "timeout", &Parameter::name);
    if (auto seconds = section_.number("timeout", 1)) {
      set_timeout(*section_.find("timeout"), *seconds);
    } else if (parameter != action_.parameters.end() && parameter->of_runner &&
               parameter->default_value && parameter->default_value->is_int()) {
      set_timeout(*section_.find("parameters"), parameter->default_value->as_int());
    }
  }

  void set_timeout(const YamlNode& at, int64_t seconds) {
    if (seconds < 1 || seconds > kLongestTimeoutS) {
      section_.error(at, fmt::format("'timeout': expected 1 to {} seconds, found {}",
                                     kLongestTimeoutS, seconds));
      return;
    }
    action_.timeout_ms = seconds * 1000;
  }

  void read_delivery() {
    if (auto effect =
            section_.choice("effect_class", {"at_most_once", "idempotent", "keyed", "pure"})) {
      action_.effect_class = static_cast<EffectClass>(*effect);
    }
    if (auto delivery = section_.choice("parameter_delivery", {"stdin", "file"})) {
      action_.delivery = static_cast<ParameterDelivery>(*delivery);
    }
    if (auto format = section_.choice("parameter_format", {"json", "dotenv", "yaml"})) {
      action_.parameter_format = static_cast<ParameterFormat>(*format);
    }
    if (auto kept = section_.choice("output_errors", {"fail", "keep"})) {
      action_.keeps_output_errors = *kept == 1;
    }
    if (auto format = section_.choice("output_format", {"text", "json", "yaml", "jsonl"})) {
      action_.output_format = static_cast<OutputFormat>(*format);
    }
  }

  Reading& reading_;
  Section& section_;
  Action action_;
};

}  // namespace

const Runtime* find_own_runtime(const Reading& reading, const std::string& name) {
  auto at = reading.runtime_names.find(to_lower_ascii(name));
  if (at == reading.runtime_names.end()) return nullptr;
  auto found = std::ranges::find(reading.pack.runtimes, at->second, &Runtime::ref);
  return found == reading.pack.runtimes.end() ? nullptr : &*found;
}

void read_action(Reading& reading, Section& section) {
  Action action = ActionReader(reading, section).read();
  if (!action.ref.empty()) reading.pack.actions.push_back(std::move(action));
}

}  // namespace millrace::packs
