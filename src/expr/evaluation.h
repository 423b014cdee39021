// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "expr/cache.h"
#include "expr/eval.h"

namespace millrace::expr {

// One evaluate or render call: what all its texts share, and how the expressions of a text make its
// value in each mode.
class Evaluation {
 public:
  Evaluation(const Scope& scope, TemplateCache& cache)
      : meter_(scope.budget, scope.allowance),
        shared_{scope, meter_, cache.regexes, scope.random_seed},
        cache_(cache) {}

  Result<Value> run(const Program& program) {
    auto result = evaluate(program);
    if (shared_.needs) need_keys_of(program);
    return unless_needed(std::move(result));
  }
  Result<Value> render(const Value& tree) { return unless_needed(render_tree(tree)); }

 private:
  // What came out of an evaluation that lacked a value means nothing, an error neither.
  Result<Value> unless_needed(Result<Value> result) const {
    if (shared_.needs) return *shared_.needs;
    return result;
  }
  // Also those that it names and has not come to.
  void need_keys_of(const Program& program);
  Result<Value> evaluate(const Program& program);
  Result<Value> render_tree(const Value& tree);
  Result<Value> text(const Value& string);
  Result<Value> program(const Program& program);
  Evaluator evaluator(const Program& program);
  Result<Value> native(const Program& program);
  Result<void> append(Evaluator& eval, const Item& item, const Segment& segment,
                      const Program& program, std::string& out);
  Result<void> append_final(const Item& item, std::string& out);
  Result<Item> finalize(Evaluator& eval, const Item& item);
  Result<Value> yaql(const Program& program);
  Result<Value> yaql_segment(Evaluator& eval, const Segment& segment, bool whole);
  Result<Value> jinja(const Program& program);
  Result<Value> render_raw(const Program& program, const std::string& text);
  Result<Item> expand_text(const Value& text);
  Result<Item> expand_data(Evaluator& eval, const Value& text, bool whole);
  Result<Item> as_text(Evaluator& eval, Item item);
  Result<Item> expand(const Program& program);
  Result<Item> jinja_segment(Evaluator& eval, const Segment& segment, bool whole);

  // What `run` makes of a text that is data. One that asks for a key is left as `text`.
  template <typename T, typename Run>
  Result<T> of_data(const Value& text, Run run);
  Result<bool> has_unresolved(std::string_view output);

  Meter meter_;
  Evaluator::Shared shared_;
  TemplateCache& cache_;
  std::vector<Value> left_;  // texts that asked for a key
};

}  // namespace millrace::expr
