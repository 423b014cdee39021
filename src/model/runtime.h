// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace millrace {

// How an action is executed.
enum class Runner : uint8_t {
  Builtin,   // inside the server: core.noop, core.echo, core.sleep, core.inject_trigger, core.fail
  Http,      // inside the worker: core.http
  Shell,     // a shell command: `sh -c CMD`
  Script,    // a file of the pack, started through its runtime's interpreter
  Workflow,  // orquesta or action-chain: run by the conductor
  Unsupported  // loads, and fails with a clear message when it is run (winrm-cmd, ...)
};
enum class ParameterDelivery : uint8_t { Stdin, File };
enum class ParameterFormat : uint8_t { Json, Dotenv, Yaml };
enum class OutputFormat : uint8_t { Text, Json, Yaml, Jsonl };

// What loads the action's file and calls it, and says the result on a descriptor of its own; Ssh:
// what runs it on other machines; None: the file is a program.
enum class Sdk : uint8_t { None, Python, Node, Ssh };
// Whose process a call through an SDK has: its own, a fork of one that is there, or one that
// serves one call after another.
enum class Reuse : uint8_t { None, Fork, Process };

// A variable of a runtime: set, or put before or behind what is there.
struct RuntimeVariable {
  enum class How : uint8_t { Set, Prepend, Append };
  std::string name;
  std::string value;
  How how = How::Set;
  std::string separator = ":";
  bool operator==(const RuntimeVariable&) const = default;
};

// How what a pack's actions require is installed, once, into a folder of its own. The words of its
// commands may hold {env_dir}, {pack_dir}, {manifest_path} and {interpreter}.
struct EnvironmentRecipe {
  std::string manifest;              // a file of the pack; without it nothing is installed
  std::vector<std::string> create;   // a command; may be empty
  std::vector<std::string> install;  // a command; empty: there is no environment
  std::string interpreter;           // the program of its own; empty: the runtime's
  bool operator==(const EnvironmentRecipe&) const = default;
};

// Interpreter and environment of Script actions. Data, not code.
struct Runtime {
  std::string ref;
  std::vector<std::string> interpreter;  // argv prefix; empty: the file itself is executed
  // In this order. Those that name {env_dir} are there with an environment only.
  std::vector<RuntimeVariable> env;
  EnvironmentRecipe environment;
  bool operator==(const Runtime&) const = default;
};

}  // namespace millrace
