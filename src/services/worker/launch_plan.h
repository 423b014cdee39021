// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "kernel/work.h"
#include "services/worker/control.h"

namespace millrace::worker {

// What every run gets from its worker.
struct RunDefaults {
  std::vector<std::pair<std::string, std::string>> env;  // PATH, HOME, LANG
  int64_t grace_ms = 5'000;                              // between SIGTERM and SIGKILL
  int64_t output_cap = 10 << 20;                         // stored bytes per stream
  RunLimits limits;
  WarmTerms warm;
  bool allow_sudo = false;  // `sudo: true` of shell actions runs them as root
  std::string known_hosts;  // of ssh; empty: its own files
  // The folder of an SDK; none: actions that go through it cannot be run.
  std::function<Result<std::string>(Sdk)> sdk;
  // The environment that has what the order's release requires; empty or none: there is none.
  std::function<std::string(const kernel::WorkOrder&)> environment;
  std::vector<std::string>
      env_allowed;  // names that steer interpreters and may be set all the same
};

// PATH of a Debian login, HOME of the server's user, LANG C.UTF-8.
RunDefaults default_run_defaults();

// Where a file of a pack's release lies on this machine, after a look that the release is whole;
// an error says what is missing or was changed.
using ReleaseFile = std::function<Result<std::string>(
    const std::string& pack, const std::string& digest, const std::string& file)>;

// How an order becomes a process: command line, environment, working folder, parameters. Errors
// say why the order cannot be carried out; the run then ends as SpawnFailed.
//
//   Runner::Shell   /bin/sh -c CMD REF ARG...   CMD is the parameter `cmd`; bash where StackStorm
//                                               has it
//   Runner::Script  INTERPRETER... FILE ARG...  FILE lies in the pack's actions/ folder
//   local-shell-script  FILE --NAME=VALUE... ARG...
//   python-script   INTERPRETER... SDK          which loads FILE's class or function, and says its
//   node-script                                 result on a descriptor of its own (README.md of
//                                               sdk/python, sdk/node)
//   remote-shell-*  python3 remote_shell.py     of sdk/python, which starts ssh; all of the order
//                                               goes through stdin
//
// ARG... are the order's arguments. Environment, later ones win: the defaults, the runtime's, the
// parameter `env`, the order's own (MILLRACE_*). The working folder is the parameter `cwd`, below
// the run's temp folder when relative. Parameters that steer the run are not passed on. A caller's
// variable that steers an interpreter (model/env_names.h) refuses the order, as the engine does
// when it takes the execution: what was queued before a setting changed, or by an older server.
Result<Launch> plan_launch(const kernel::WorkOrder& order, const RunDefaults& defaults,
                           const ReleaseFile& release_file);

// The parameters as the action reads them. Json: one object. Yaml: a key per line, values in flow
// style. Dotenv: NAME='value' lines that a shell can read, lists and maps as JSON.
std::string format_parameters(const Value& parameters, ParameterFormat format);

// A parameter as one word of a command line, as StackStorm writes it: true is 1, false 0, null
// empty, a list its elements with commas between, a map JSON.
std::string as_argument(const Value& value);

}  // namespace millrace::worker
