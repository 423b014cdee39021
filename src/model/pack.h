// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/value.h"
#include "base/yaml.h"
#include "model/execution.h"
#include "model/policy.h"
#include "model/runtime.h"

namespace millrace {

namespace packs {
class AliasFormat;
}

// One parameter of an action or a trigger.
struct Parameter {
  std::string name;
  Value schema;  // JSON Schema keywords only (type, enum, ...), as a map
  std::optional<Value> default_value;
  std::string description;
  std::optional<int> position;  // becomes an argv element of shell actions, in this order
  bool required = false;
  bool secret = false;     // masked in the API and in output
  bool immutable = false;  // a caller may not set it
  bool of_runner = false;  // comes from the runner type (cwd, env, ...): steers the run and is
                           // not passed on to the action
};

struct Action {
  std::string ref;  // pack.name
  std::string description;
  std::string runner_type;  // as written in the file; for people
  Runner runner = Runner::Script;
  std::string runtime;      // of Script: "shell", "python", "node", "native", or a ref
  std::string entry_point;  // path below the pack's actions/ folder; of Script and Workflow
  std::shared_ptr<const YamlNode> workflow;  // of Workflow: what the file at entry_point says
  std::vector<Parameter> parameters;
  Value output_schema;           // JSON Schema; null: anything
  int64_t timeout_ms = 600'000;  // 0: none, the default of workflows
  EffectClass effect_class = EffectClass::AtMostOnce;
  ParameterDelivery delivery = ParameterDelivery::Stdin;
  ParameterFormat parameter_format = ParameterFormat::Json;
  OutputFormat output_format = OutputFormat::Text;
  std::vector<std::string> runs_on;      // labels that its worker has to offer
  std::vector<std::string> permissions;  // asks for an API token with these
  Value
      notify;  // whom to tell at its end, as StackStorm has it: a map of on-complete, ...; or null
  bool keeps_output_errors = false;  // an output that is not what was declared fails no run
  bool enabled = true;
  Sdk sdk = Sdk::None;        // Python of python-script, Node of node-script, Ssh of remote-*
  Reuse reuse = Reuse::None;  // of one with an SDK
  bool says_result() const { return sdk != Sdk::None; }
};

struct Trigger {
  std::string ref;
  std::string description;
  std::vector<Parameter> parameters;
  Value payload_schema;  // JSON Schema; null: anything
};

// A process that looks outside, and makes events of what it sees.
struct Sensor {
  std::string ref;  // pack.name
  std::string description;
  std::string class_name;             // of one with an SDK: its class, or the name of a function
  std::string runtime;                // as of an action; empty: there is none for it
  std::string entry_point;            // path below the pack's sensors/ folder
  std::vector<std::string> triggers;  // refs: it may make events of no others
  int64_t poll_interval_s = 0;        // 0: as its class says
  bool enabled = true;
  Sdk sdk = Sdk::None;
};

// One way to say what an alias stands for.
struct AliasForm {
  std::string display;  // for people
  std::vector<std::string> representations;
  bool match_multiple = false;  // it may stand several times in one command
  std::vector<std::shared_ptr<const packs::AliasFormat>> formats;  // of each representation
};

// What is told when a command is taken, and when it has ended.
struct AliasMessage {
  bool enabled = true;
  bool append_url = true;
  std::string format;  // Jinja; empty: as the server says it
  Value extra;         // a map of templates, for the chat's own look; or null
};

// Words of a chat that run an action, as StackStorm has them.
struct Alias {
  std::string ref;  // pack.name
  std::string name;
  std::string description;
  std::string action;  // ref
  std::vector<AliasForm> forms;
  AliasMessage ack, result;
  Value immutable_parameters;  // map of templates that no command may set; or null
  Value extra;
  bool enabled = true;
};

// A rule as a pack's file or the API gives it.
struct RuleSpec {
  std::string ref;
  std::string description;
  std::string trigger;
  Value trigger_parameters;  // map
  Value criteria;            // map, tree or expression, as spec section 4; null: always true
  std::string action;
  Value action_parameters;  // templates
  std::string trace_tag;    // template; may be empty
  bool enabled = true;
  bool backstop = false;  // counts only for events that no other rule matched

  bool operator==(const RuleSpec&) const = default;
};

// Where a release came from that was installed. Without a kind it was not: a folder of packs or the
// binary has it.
struct PackOrigin {
  std::string kind;         // "folder", "archive", "git"
  std::string from;         // the path or URL that its installer gave
  std::string installer;    // the identity that put it in force
  std::string ref = {};     // of git: what was asked for
  std::string commit = {};  // of git: what that was
  bool is_installed() const { return !kind.empty(); }

  // All but the installer, as the store keeps it; empty, of one that was not installed.
  std::string source_json() const;
  static PackOrigin of(std::string_view source_json, std::string installer);
};

// The whole content of one pack folder, checked. Immutable once loaded.
struct Pack {
  std::string ref;
  std::string label;
  std::string description;
  std::string version;
  std::string author;
  std::vector<std::string> keywords;
  std::vector<std::string> dependencies;  // on packs, as written
  std::string digest;                     // SHA-256 of the content, hex: names the release
  std::string folder;                     // where the files of this release lie, absolute
  std::string source;                     // the folder it was read from, for people
  bool source_gone = false;               // no folder holds it any more: `folder` does
  PackOrigin origin;                      // of one that was installed
  Value config_schema;                    // JSON Schema of an object; null: there is none
  Value config;  // what the pack and the server's files say; a tenant's own values are not in it
  std::string build;  // the line that makes what its actions run, of `millrace pack build`
  std::vector<Runtime> runtimes;
  std::vector<Trigger> triggers;
  std::vector<Action> actions;
  std::vector<Sensor> sensors;
  std::vector<RuleSpec> rules;
  std::vector<PolicySpec> policies;
  std::vector<Alias> aliases;
  std::vector<Problem> faults;   // what was left out of it, and why; paths are `file:line`
  std::vector<Problem> waiting;  // rules that are left out until another pack has what they name

  const Action* find_action(std::string_view action_ref) const;
  const Trigger* find_trigger(std::string_view trigger_ref) const;
};

}  // namespace millrace
