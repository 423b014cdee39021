// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/value.h"
#include "expr/expr.h"

namespace millrace::conductor {

// A value of a workflow document whose strings, keys too, may hold expressions. Compiled once with
// the definition; parts without expressions are shared by every result.
class Renderable {
 public:
  Renderable() = default;
  explicit Renderable(Value source) : source_(std::move(source)) {}

  const Value& source() const { return source_; }
  bool is_null() const { return source_.is_null(); }

  // NAME of each `task.NAME` and `keystore.NAME` in the expressions: what has to be looked up for
  // the root names of the native language.
  const std::set<std::string>& named_tasks() const { return named_tasks_; }
  const std::set<std::string>& named_keys() const { return named_keys_; }
  // Of an action chain: the root names that the templates read, and each `system.NAME`.
  const std::set<std::string>& names() const { return names_; }
  const std::set<std::string>& system_keys() const { return system_keys_; }

  // Must be called before render(). EXP-0001 in Native mode only: the reference's language reports
  // a malformed expression when it is evaluated.
  Result<void> compile(expr::Engine& engine, expr::Mode mode);

  // Errors as of expr::Engine::evaluate; a value that must be loaded first comes as EXP-0004.
  Result<Value> render(expr::Engine& engine, const expr::Scope& scope) const;

 private:
  Result<Value> render_list(expr::Engine& engine, const expr::Scope& scope) const;
  Result<Value> render_map(expr::Engine& engine, const expr::Scope& scope) const;

  Value source_;
  expr::TemplatePtr text_;            // of a string that holds an expression
  std::vector<Renderable> children_;  // of a list; of a map: key, value, key, value...
  std::set<std::string> named_tasks_;
  std::set<std::string> named_keys_;
  std::set<std::string> names_;
  std::set<std::string> system_keys_;
  bool constant_ = true;
};

}  // namespace millrace::conductor
