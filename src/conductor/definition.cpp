// SPDX-License-Identifier: Apache-2.0
#include "conductor/definition.h"

#include <fmt/format.h>

#include "conductor/chain.h"

namespace millrace::conductor {
namespace {

Result<void> compile_all(std::vector<Assignment>& assignments, expr::Engine& engine,
                         expr::Mode mode) {
  for (Assignment& assignment : assignments) TRY(assignment.value.compile(engine, mode));
  return {};
}

Result<void> compile_task(Task& task, expr::Engine& engine, expr::Mode mode) {
  TRY(task.action.compile(engine, mode));
  TRY(task.input.compile(engine, mode));
  TRY(task.delay.compile(engine, mode));
  TRY(task.timeout.compile(engine, mode));
  if (task.items) {
    TRY(task.items->list.compile(engine, mode));
    TRY(task.items->concurrency.compile(engine, mode));
    TRY(task.items->batch_size.compile(engine, mode));
  }
  for (Transition& transition : task.next) {
    TRY(transition.when.compile(engine, mode));
    TRY(compile_all(transition.publish, engine, mode));
  }
  return {};
}

}  // namespace

Result<DefinitionPtr> Definition::compile(const Value& document, expr::Engine& engine,
                                          expr::Mode default_mode) {
  std::shared_ptr<Definition> definition(new Definition);
  if (conductor::is_chain(document)) {
    definition->spec_ = read_chain(document);
  } else {
    expr::Mode mode = mode_of(document, default_mode);
    definition->spec_ = read_spec(normalized(document, mode), mode);
  }
  if (too_large(definition->spec_)) {
    return Error(ErrorKind::TooLarge, "CND-0002",
                 fmt::format("a workflow has at most {} tasks and {} targets of transitions",
                             kMaxTasks, kMaxTargets));
  }
  const Spec& spec = definition->spec_;
  // Of a command that led to itself one event would never come to its end.
  for (const Task& task : spec.tasks) {
    if (!is_command(task.name)) continue;
    return Error(ErrorKind::Invalid, "CND-0002",
                 fmt::format("a task is named '{}', which is a command of the engine", task.name));
  }
  if (spec.is_chain && !spec.find(spec.start)) {
    return Error(ErrorKind::Invalid, "CND-0002",
                 fmt::format("the chain begins with the undefined task '{}'", spec.start));
  }
  TRY(definition->compile_expressions(engine));
  TRY(definition->graph_, Graph::compose(Flow(definition->spec_)));
  TRY(definition->graph_.compile(engine, definition->mode()));
  return DefinitionPtr(std::move(definition));
}

Result<void> Definition::compile_expressions(expr::Engine& engine) {
  TRY(compile_all(spec_.input, engine, mode()));
  TRY(compile_all(spec_.vars, engine, mode()));
  TRY(compile_all(spec_.output, engine, mode()));
  for (Task& task : spec_.tasks) TRY(compile_task(task, engine, mode()));
  return {};
}

}  // namespace millrace::conductor
