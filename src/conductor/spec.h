// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/value.h"
#include "conductor/renderable.h"

namespace millrace::conductor {

// The engine's own commands: usable as targets of a transition, reserved as task names.
inline constexpr std::string_view kCommands[] = {"continue", "fail", "noop", "retry"};
bool is_command(std::string_view task_name);

// NAME: VALUE of input, vars, publish and output. Rendered in order; later ones see earlier ones.
struct Assignment {
  std::string name;
  Renderable value;
};

struct Transition {
  Renderable when;  // null: always
  std::vector<Assignment> publish;
  std::vector<std::string> targets;
};

struct WithItems {
  std::string clause;  // as written: `x, y in <% ctx(xs) %>`
  Renderable list;
  std::vector<std::string> names;  // none: item() is the element itself
  Renderable concurrency;          // null: all at once
};

struct Retry {
  Renderable when;  // null: when the task abended
  Renderable count;
  Renderable delay;
  bool is_command = false;  // made by `do: retry`
};

struct Task {
  std::string name;
  Renderable action;
  Renderable input;
  Renderable delay;
  Value join;  // null, "all" or a number
  std::optional<WithItems> items;
  std::optional<Retry> retry;
  std::vector<Transition> next;

  bool is_join() const { return !join.is_null(); }
};

// What a workflow document says. Read with tolerance: a part of the wrong shape is left out, and
// inspect() tells about it.
struct Spec {
  expr::Mode mode = expr::Mode::Native;
  std::vector<Assignment> input;  // the value is the default
  std::vector<Assignment> vars;
  std::vector<Task> tasks;  // in the order of the file
  std::vector<Assignment> output;

  const Task* find(std::string_view name) const;
};

// The document with its short forms written out: `with: EXPR` becomes `with: {items: EXPR}`.
Value normalized(const Value& document);

// `default_mode` counts where the document names no `language`.
Spec read_spec(const Value& normalized, expr::Mode default_mode);

}  // namespace millrace::conductor
