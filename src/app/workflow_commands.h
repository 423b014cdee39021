// SPDX-License-Identifier: Apache-2.0
// Workflow files on this machine, without a server: inspect, draw, rehearse. And the graph of a
// run.
#pragma once

#include <string>

#include "base/result.h"
#include "cli/context.h"
#include "cli/output.h"

namespace millrace::app {

struct WorkflowOptions {
  std::string file;
  std::string language;  // of a file that does not say: "native" or "orquesta"
  cli::Format format = cli::Format::Table;
};

// Each prints what it has to say; 1 when something is wrong with the workflow. An Error: the file
// cannot be read at all.
Result<int> workflow_inspect(const WorkflowOptions& options);
Result<int> workflow_graph(const WorkflowOptions& options, bool dot);
// `file` is a rehearsal (conductor/rehearsal.h); its workflow stands relative to it.
Result<int> workflow_test(const WorkflowOptions& options);

// The graph of a run on the server, with the status of each task.
Result<int> execution_graph(cli::Context& context);

}  // namespace millrace::app
