// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/value.h"
#include "base/yaml.h"
#include "expr/expr.h"

namespace millrace::conductor {

enum class FindingClass : uint8_t { Syntax, Semantics, Expressions, Context };
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

struct InspectOptions {
  expr::Mode default_mode = expr::Mode::Native;
  // Variables that the caller's context defines besides those of the document.
  std::vector<std::string> known_variables;
};

// All mistakes that can be seen without running: of shape, of names and joins, of expressions, and
// variables that are read before any task on the way has set them. By class, then by place; 100 at
// most, with messages of 1 KiB.
// Semantic, expression and context checks also run on documents of a wrong shape, as far as that
// can be read. A document with `chain` is an action chain (chain.h).
std::vector<Finding> inspect(const Value& document, expr::Engine& engine,
                             const InspectOptions& options);
std::vector<Finding> inspect(const YamlNode& document, expr::Engine& engine,
                             const InspectOptions& options);

}  // namespace millrace::conductor
