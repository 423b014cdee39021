// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/value.h"
#include "expr/expr.h"
#include "rules/event.h"
#include "rules/operators.h"
#include "rules/path.h"

namespace millrace::rules {

// How one criterion came out. What has parts: all, any, not, search.
struct Verdict {
  std::string criterion;  // as written: "trigger.body.ref", "any", an expression
  std::string op;         // the operator; "expression", "all", "any", "not"
  bool holds = false;
  Value expected;
  Value found;
  std::string note;  // why it cannot hold for what was found
  std::vector<Verdict> parts;
};
// Values above 1 KiB of JSON by their beginning.
Value to_value(const Verdict& verdict);

// One node of compiled criteria. Built by compile_criteria(), then only read.
struct Criterion {
  enum class Kind : uint8_t { All, Any, Not, Test, Search, Expression };
  enum class Condition : uint8_t { Any, All, All2Any, Any2Any };  // of Search

  Kind kind = Kind::All;
  std::string label;               // as written
  std::vector<Criterion> parts;    // of All, Any, Not (one), Search (criteria on each item)
  Path path;                       // of Test and Search
  uint32_t slot = 0;               // of paths into the event: their number in the rule
  Operator op = Operator::Equals;  // of Test
  Value pattern;                   // of Test, as written
  std::optional<Matcher> matcher;  // of Test, unless its pattern is a template
  expr::TemplatePtr expression;    // of Expression, and of Test with a template as pattern
  Condition condition = Condition::Any;
};

// Reads the three spellings of criteria and mixtures of them:
//   {"trigger.body.ref": {type: equals, pattern: main}, ...}       all must hold
//   {any: [...], all: [...], not: ...}                             of such maps or expressions
//   "{{ trigger.body.ref == 'main' }}"                             one expression
// null and {} always hold. A rule has at most 1,000 criteria. Every mistake is added to `problems`,
// at JSON pointers below `at`. `paths` receives the distinct places of the event that the criteria
// look at.
Criterion compile_criteria(const Value& criteria, const std::string& at, expr::Engine& engine,
                           std::vector<Path>& paths, std::vector<Problem>& problems);

// The criterion `event.parameters.NAME` equals `value`; without a name: all parameters.
Criterion parameter_criterion(std::string_view name, Value value, std::vector<Path>& paths);

// The values of the places that rules look at in one event, each found once, on first use.
class PathValues {
 public:
  // By slot: the places of many rules.
  PathValues(const Value& event, std::span<const Path* const> paths);
  // Those of one rule.
  PathValues(const Value& event, std::span<const Path> paths);
  // nullptr: the event has nothing there.
  const Value* get(uint32_t slot);
  // What get() would find.
  void set(uint32_t slot, const Value& value) { at(slot) = &value; }

 private:
  static constexpr uint32_t kPage = 128;
  using Page = std::array<const Value*, kPage>;
  const Value*& at(uint32_t slot);

  const Value& event_;
  std::span<const Path* const> shared_;
  std::span<const Path> own_;
  std::vector<std::unique_ptr<Page>> pages_;  // made when they are needed: few of many places are
};

// Judges the criteria of one rule against one event.
class Judge {
 public:
  // `slots` turns the slot of a criterion into that of `values`; empty: they are the same. All
  // arguments must outlive this.
  Judge(const EventScope& scope, RuleName rule, PathValues& values, std::span<const uint32_t> slots,
        expr::Engine& engine)
      : scope_(scope), rule_(rule), values_(values), slots_(slots), engine_(engine) {}

  bool holds(const Criterion& criterion) { return holds(criterion, nullptr); }
  // The same with reasons; looks at every part.
  Verdict explain(const Criterion& criterion) { return explain(criterion, nullptr); }
  // The parts of an All one by one, any other criterion as it is.
  void explain_each(const Criterion& criterion, std::vector<Verdict>& out);

  // Set when a value from outside is missing (expr::needed_key): what came out means nothing.
  const std::optional<Error>& need() const { return need_; }
  // Set when the event's allowance did not suffice (RUL-0012): the same.
  const std::optional<Error>& spent() const { return spent_; }

 private:
  bool holds(const Criterion& criterion, const Value* item);
  bool test(const Criterion& criterion, const Value* item);
  bool search(const Criterion& criterion, const Value* item);
  bool expression(const Criterion& criterion);
  Verdict explain(const Criterion& criterion, const Value* item);
  void explain_test(const Criterion& criterion, const Value* found, Verdict& verdict);
  const Value* find(const Criterion& criterion, const Value* item);
  // False when the event's rules have done too much already.
  bool may_do(uint64_t steps);
  bool matches(const Matcher& matcher, const Value* found);
  const Result<Matcher>& rendered(const Criterion& criterion);
  Result<Matcher> compiled(const Criterion& criterion);
  Result<Value> evaluate(const Criterion& criterion);

  const EventScope& scope_;
  RuleName rule_;
  PathValues& values_;
  std::span<const uint32_t> slots_;
  expr::Engine& engine_;
  std::optional<expr::Scope> expression_scope_;
  std::unordered_map<const Criterion*, Result<Matcher>> rendered_;  // whose pattern is a template
  std::optional<Error> need_;
  std::optional<Error> spent_;
};

}  // namespace millrace::rules
