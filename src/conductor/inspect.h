// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/value.h"
#include "base/yaml.h"
#include "expr/expr.h"
#include "model/pack.h"

namespace millrace::conductor {

struct Spec;

enum class FindingClass : uint8_t { Syntax, Semantics, Expressions, Context, Content };
std::string_view to_string(FindingClass cls);

// One mistake in a workflow document.
struct Finding {
  FindingClass cls;
  std::string message;
  std::string path;         // `tasks.a.next[0].do`; empty: the whole document
  std::string schema_path;  // the same place in the schema, as the reference names it
  std::string key;          // below `path`, when the mistake is a key that is unknown
  int line = 0;             // 0 when the document was no text
  // Of the classes Expressions and Context:
  expr::Language language = expr::Language::None;
  std::string expression;
};

// What a task may call by a ref.
struct Callee {
  const Action* action = nullptr;  // outlives the inspection
  bool is_unseen = false;          // its pack is not among those that are looked at
  std::string advice;              // behind the message that there is none
};
using FindAction = std::function<Callee(std::string_view ref)>;

struct InspectOptions {
  expr::Mode default_mode = expr::Mode::Native;
  // Variables that the caller's context defines besides those of the document.
  std::vector<std::string> known_variables;
  // Of the actions that tasks call; without it they are not looked at.
  FindAction find_action = {};
};

// All mistakes that can be seen without running: of shape, of names and joins, of expressions,
// variables that are read before any task on the way has set them, and calls of actions that are
// not there or do not take what they are given. By class, then by place; 100 at most, with messages
// of 1 KiB. Semantic, expression and context checks also run on documents of a wrong shape, as far
// as that can be read. A document with `chain` is an action chain (chain.h).
std::vector<Finding> inspect(const Value& document, expr::Engine& engine,
                             const InspectOptions& options);
std::vector<Finding> inspect(const YamlNode& document, expr::Engine& engine,
                             const InspectOptions& options);
// The last of these alone, of a workflow that has been read: what is asked at each start.
std::vector<Finding> inspect_content(const Spec& spec, const FindAction& find_action,
                                     const YamlNode& document);
// As a result of StackStorm's shows it: type, message, spec_path, schema_path, language,
// expression; and the line.
Value to_value(const Finding& finding);

}  // namespace millrace::conductor
