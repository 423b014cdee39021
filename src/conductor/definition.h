// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "base/result.h"
#include "base/value.h"
#include "conductor/graph.h"
#include "conductor/spec.h"

namespace millrace::conductor {

// A workflow ready to run: its document read, its graph composed, its expressions compiled.
// Immutable; shared by all runs of the workflow and between threads.
class Definition {
 public:
  // Takes what inspect() would complain about as far as it can run; a run should only be started
  // when inspect() finds nothing. A document with `chain` is an action chain (chain.h), in Native
  // mode whatever `default_mode` says. CND-0002: a task leads to an undefined task. EXP-0001: a
  // malformed expression (Native mode).
  static Result<std::shared_ptr<const Definition>> compile(const Value& document,
                                                           expr::Engine& engine,
                                                           expr::Mode default_mode);
  Definition(const Definition&) = delete;
  Definition& operator=(const Definition&) = delete;

  const Spec& spec() const { return spec_; }
  const Graph& graph() const { return graph_; }
  expr::Mode mode() const { return spec_.mode; }
  bool native() const { return spec_.mode == expr::Mode::Native; }
  // Whether it was written as an action chain; it runs on the native language.
  bool is_chain() const { return spec_.is_chain; }
  // Whether a task that waits for an answer pauses the workflow, as StackStorm has it, or holds up
  // its own branch only.
  bool questions_pause() const { return !native() || is_chain(); }

 private:
  Definition() = default;
  Result<void> compile_expressions(expr::Engine& engine);

  Spec spec_;  // the graph points into it
  Graph graph_;
};
using DefinitionPtr = std::shared_ptr<const Definition>;

}  // namespace millrace::conductor
