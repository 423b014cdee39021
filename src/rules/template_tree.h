// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "base/problems.h"
#include "base/value.h"
#include "expr/expr.h"

namespace millrace::rules {

// A nested value whose strings may hold expressions, compiled once. Immutable.
class TemplateTree {
 public:
  TemplateTree() = default;
  // Syntax errors are added to `problems`, at JSON pointers below `at`.
  TemplateTree(Value source, const std::string& at, expr::Engine& engine,
               std::vector<Problem>& problems);

  const Value& source() const { return source_; }
  bool has_expressions() const { return !expressions_.empty(); }

  // The value with its expressions evaluated. Failures are added to `problems` (pointers below
  // `at`), up to the limit of these. What must be loaded first (expr::needed_keys), for all
  // expressions together, is the Error.
  Result<Value> render(const expr::Scope& scope, const std::string& at, expr::Engine& engine,
                       Problems& problems) const;

 private:
  struct Walk;
  void compile(const Value& value, const std::string& at, expr::Engine& engine,
               std::vector<Problem>& problems);

  Value source_;
  std::vector<expr::TemplatePtr> expressions_;  // in the order of the walk
};

}  // namespace millrace::rules
