// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/yaml.h"
#include "conductor/conductor.h"

// Rehearses a workflow without a server: what its actions would answer is written down, and so is
// what must come of it. The form is told in docs/guides/workflows.md.
//
//   workflow: deploy.yaml
//   cases:
//     - name: a test that fails once is tried again
//       inputs: {commit: abc}
//       results:
//         test: [{status: failed}, {result: {passed: 12}}]
//         approve: {answer: {approved: true}}
//       expect: {status: succeeded, sequence: [test: failed, test, approve, deploy]}
namespace millrace::conductor {

struct RehearsalCase {
  std::string name;
  int line = 0;
  Value inputs;
  Value context;       // what the caller's context defines
  Value keys;          // what st2kv() and `keystore` find, by `system.NAME`
  Value config;        // what the native name `config` stands for
  Value results;       // by task; what is not there succeeds without a result
  std::string cancel;  // cancel the run when this task has ended; empty: never
  Value expect;
};

struct Rehearsal {
  std::string workflow;  // its file, as written
  expr::Mode mode = expr::Mode::Native;
  std::vector<RehearsalCase> cases;
};

// CND-0012 with one problem per mistake, `file:line`.
Result<Rehearsal> read_rehearsal(const YamlNode& document, std::string_view file);

// What came of a case.
struct Outcome {
  struct Step {
    std::string task;
    std::string status;
  };
  std::string status;
  std::vector<Step> sequence;          // each start of a task, in order
  std::map<std::string, Value> calls;  // the input of the last start of each task; of items a list
  Value output;
  std::vector<std::string> errors;   // `task: message`
  std::vector<std::string> waiting;  // tasks without the answer or decision that they wait for
};

// Tasks end in the order in which they started, but for those that say how long they take: time is
// counted, not waited for. CND-0012: the case names an unknown task, or the run has no end.
Result<Outcome> rehearse(const DefinitionPtr& definition, const RehearsalCase& rehearsed,
                         expr::Engine& engine);

struct Difference {
  std::string what;  // "status", "sequence", "output", ...
  std::string expected;
  std::string found;
};
std::vector<Difference> differences(const Value& expect, const Outcome& outcome);

}  // namespace millrace::conductor
