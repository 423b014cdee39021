// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/value.h"

namespace re2 {
class RE2;
}

namespace millrace::rules {

// StackStorm's criteria operators; their names and short names stand in operators.cpp.
enum class Operator : uint8_t {
  Equals,
  NotEquals,
  EqualsIgnoreCase,
  Contains,
  ContainsIgnoreCase,
  ContainsNot,
  ContainsNotIgnoreCase,
  StartsWith,
  StartsWithIgnoreCase,
  EndsWith,
  EndsWithIgnoreCase,
  LessThan,
  GreaterThan,
  Wildcard,
  MatchRegex,
  Regex,
  RegexIgnoreCase,
  AgeLessThan,
  AgeGreaterThan,
  Exists,
  ExistsNot,
  Inside,
  InsideNot,
  Search,
};

// Names are not case-sensitive; `in` and `inside` are one operator.
std::optional<Operator> parse_operator(std::string_view name);
std::string_view to_string(Operator op);
// All names, short ones too: for messages.
std::span<const std::string_view> operator_names();
// Why the operator can hold for nothing with this pattern; empty: it can. Null is what StackStorm
// takes and holds for nothing.
std::string pattern_fault(Operator op, const Value& pattern);
// What a shell pattern (matchwildcard) wants as it stands: the text before its first special
// character, those between, that after the last, each perhaps empty. One: nothing is special.
std::vector<std::string_view> wildcard_literals(std::string_view pattern);

// One operator with its pattern, made ready once. Immutable: may be shared between threads.
//
// As in StackStorm (Python): a pattern of null makes every operator false but nequals, exists and
// nexists; a value of the wrong kind makes it false, also when the operator is a negation
// (`ncontains` on a number). Regexes run in linear time (RE2): no look-around, no back-references.
// Letters of all scripts compare without case; true is not 1.
class Matcher {
 public:
  // What create() costs at worst about, in steps of 50 ns. Error RUL-0002: more than a regex may.
  static Result<uint64_t> compile_steps(Operator op, const Value& pattern);
  // `op` is any but Search. Error RUL-0002: a bad regex.
  static Result<Matcher> create(Operator op, Value pattern);

  // `found` is nullptr when the event has nothing there. `now_ms` is for the ages of timediff_*.
  bool holds(const Value* found, int64_t now_ms) const;
  // What holds() costs for it at worst about, in steps of 50 ns.
  uint64_t steps(const Value* found) const;
  // Why it cannot hold for such a value at all ("cannot look inside a number"), or empty.
  std::string mismatch(const Value* found) const;
  // Of a regex: lists of texts of each of which a text that it matches has one, cases aside.
  std::vector<std::vector<std::string>> needed_texts() const;

  Operator op() const { return op_; }
  const Value& pattern() const { return pattern_; }

 private:
  Matcher(Operator op, Value pattern) : op_(op), pattern_(std::move(pattern)) {}
  bool text_holds(std::string_view text) const;
  bool age_holds(std::string_view text, int64_t now_ms) const;

  Operator op_;
  Value pattern_;
  std::shared_ptr<const re2::RE2> regex_;  // of operators that need one
  std::string folded_;                     // the pattern, of operators that look past cases
  uint64_t places_ = 0;                    // of the regex: see regex_cost.h
  uint64_t pattern_steps_ = 1;             // of comparing with the pattern
};

}  // namespace millrace::rules
