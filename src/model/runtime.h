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

// Interpreter and environment of Script actions. Data, not code.
struct Runtime {
  std::string ref;
  std::vector<std::string> interpreter;  // argv prefix; empty: the file itself is executed
  std::vector<std::pair<std::string, std::string>> env;  // set in this order
  bool operator==(const Runtime&) const = default;
};

}  // namespace millrace
