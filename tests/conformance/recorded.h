// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/value.h"
#include "expr/expr.h"

namespace millrace::conformance {

// How one recorded case went; empty: as recorded. The text says what was expected and found first.
using Verdict = std::string;

// The outcome of one file, in one way of running it.
struct Tally {
  std::string set;
  std::string way;  // or a remark
  size_t passed = 0;
  size_t total = 0;
  std::vector<std::pair<std::string, Verdict>> failures;  // id of the case, or its line
};

// One JSON value per line; a line that cannot be read ends the program.
std::vector<Value> read_lines(const std::filesystem::path& file);
Tally run_set(std::string set, std::string way, const std::vector<Value>& cases,
              const std::function<Verdict(const Value&)>& run);

// "expected X, found Y" at `what` when the two differ.
Verdict differ(std::string_view what, const Value& expected, const Value& found);
std::string shown(const Value& value);

// Equality as JSON, numbers of the same kind, and of the two forms for what JSON cannot hold:
// {"__set__": [..]} is a list in any order, {"__repr__": ..} is anything.
bool same_recorded(const Value& expected, const Value& found);

// Answers that a recording brings along: `__state`, `__current_task`, `__current_item` of a
// context, a datastore, and the results of tasks.
class RecordedLookup final : public expr::Lookup {
 public:
  explicit RecordedLookup(Value ctx, Value kv = Value())
      : ctx_(std::move(ctx)), kv_(std::move(kv)) {}

  // What task('id') on the route gives from now on.
  void note_task(std::string_view id, int64_t route, Value task);
  const Value* noted_task(std::string_view id, int64_t route) const;

  expr::Answer kv(std::string_view key, bool decrypt) const override;
  expr::Answer task(std::optional<std::string_view> id,
                    std::optional<int64_t> route) const override;
  expr::Answer task_status(std::string_view id, std::optional<int64_t> route) const override;
  expr::Answer current_status() const override;
  expr::Answer result() const override;
  expr::Answer item() const override;

 private:
  // The nearest earlier route that the route continues.
  std::optional<int64_t> earlier_route(int64_t route) const;

  Value ctx_;
  Value kv_;
  Value tasks_ = Value::map();
};

// conduct.cpp. `written_out`: the state goes to JSON and back between every two operations, in the
// pieces that the conductor says have changed.
Verdict run_conducting(const Value& recorded, bool written_out);
// The median of the times of single operations, in microseconds: {"event": .., "next_tasks": ..}.
Value time_conducting(const std::vector<Value>& cases);

// static_sets.cpp
Verdict run_inspection(const Value& recorded);
Verdict run_graph(const Value& recorded);
// Some contexts of expressions.jsonl were written down after the very result had been published
// into them: those are taken as they were before, and counted in `mended`. Of random() only the
// kind of the result is compared.
Verdict run_expression(const Value& recorded, size_t& mended);

// Rule operators on a value and a pattern. `search` looks into criteria of its own and is told by
// the tests of the rules: its recordings hold arguments that had been changed in place.
Verdict run_operator(const Value& recorded);

}  // namespace millrace::conformance
