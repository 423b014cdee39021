// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/value.h"
#include "conductor/renderable.h"

namespace millrace::conductor {

// The engine's own commands: usable as targets of a transition, reserved as task names.
inline constexpr std::string_view kCommands[] = {"continue", "fail", "noop", "retry"};
bool is_command(std::string_view task_name);

// What native expressions may name beside ctx().
inline constexpr std::string_view kRootNames[] = {"parameters", "workflow", "task",  "config",
                                                  "keystore",   "item",     "index", "system"};

// NAME: VALUE of input, vars, publish and output. Rendered in order; later ones see earlier ones.
struct Assignment {
  std::string name;
  Renderable value;
};

struct Transition {
  Renderable when;       // null: always
  bool is_else = false;  // native: when no other transition of the task holds
  std::vector<Assignment> publish;
  std::vector<std::string> targets;
};

struct WithItems {
  std::string clause;  // as written: `x, y in <% ctx(xs) %>`
  Renderable list;
  std::vector<std::string> names;  // none: item() is the element itself
  Renderable concurrency;          // null: all at once
  Renderable batch_size;           // native: elements per action; null: one
};

enum class Backoff : uint8_t { Constant, Linear, Exponential };

struct Retry {
  Renderable when;  // null: when the task abended
  Renderable count;
  Renderable delay;
  bool is_command = false;  // made by `do: retry`
  // Native:
  Backoff backoff = Backoff::Constant;
  Renderable max_delay;  // null: none
  double jitter = 0;     // part of the delay that chance adds or takes, 0 to 1
};

struct Task {
  std::string name;
  Renderable action;
  Renderable input;
  Renderable delay;
  Value join;  // null, "all", a number, or (native) "settled"
  std::optional<WithItems> items;
  std::optional<Retry> retry;
  std::vector<Transition> next;
  // Native:
  Renderable timeout;             // seconds; null: none
  bool first = false;             // stop at the first transition that holds
  bool waits_for_answer = false;  // `wait_for: inquiry`: no action, a question
  bool holds_on_failure = false;  // wait for an operator instead of failing the run
  std::string compensate;         // the task that undoes this one; empty: none

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
  // Of an action chain (chain.h):
  bool is_chain = false;
  std::string start;                      // empty: the tasks that nothing leads to
  std::set<std::string> chain_variables;  // its vars and what its tasks publish

  const Task* find(std::string_view name) const;
};

// The language of a document: what its key `language` says, else `default_mode`.
expr::Mode mode_of(const Value& document, expr::Mode default_mode);

// The document with its short forms written out: `with: EXPR` becomes `with: {items: EXPR}`. In
// Native mode also Attune's spelling: `parameters`, `output_map` and a list of tasks become
// `input`, `output` and a map of tasks.
Value normalized(const Value& document, expr::Mode mode);

Spec read_spec(const Value& normalized, expr::Mode mode);

// Bounds what composing and inspecting a hostile document can cost; the largest workflow known has
// 23 tasks.
inline constexpr size_t kMaxTasks = 1'000;
inline constexpr size_t kMaxTargets = 5'000;
bool too_large(const Spec& spec);

}  // namespace millrace::conductor
