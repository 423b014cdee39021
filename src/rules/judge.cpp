// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "rules/criteria.h"

namespace millrace::rules {
namespace {

constexpr std::string_view kStepsSpent = "EXP-0005";

const Value kUnresolved;  // its address marks a slot that was not looked at yet

// Verdicts are stored and shown: what came from the key store, perhaps a secret, stays out of them.
bool reads_keys(const expr::Template& expression) {
  const expr::Reads& reads = expression.reads();
  auto has = [](const std::vector<std::string>& names) {
    return std::ranges::find(names, "st2kv") != names.end();
  };
  return !reads.keys.empty() || has(reads.names) || has(reads.functions);
}

// The same for the message of a template that failed: it may quote values.
std::string note_of(const expr::Template& expression, const Error& error) {
  if (!reads_keys(expression)) return error.message();
  return fmt::format("the template cannot be evaluated ({})", error.code());
}

// The items that `search` goes through: a map stands for a list of one.
std::span<const Value> items_of(const Value* found) {
  if (!found) return {};
  if (found->is_list()) return found->as_list();
  if (found->is_map()) return {found, 1};
  return {};
}

}  // namespace

PathValues::PathValues(const Value& event, std::span<const Path* const> paths)
    : event_(event), shared_(paths), pages_(paths.size() / kPage + 1) {}
PathValues::PathValues(const Value& event, std::span<const Path> paths)
    : event_(event), own_(paths), pages_(paths.size() / kPage + 1) {}

const Value*& PathValues::at(uint32_t slot) {
  auto& page = pages_[slot / kPage];
  if (!page) {
    page = std::make_unique<Page>();
    page->fill(&kUnresolved);
  }
  return (*page)[slot % kPage];
}

const Value* PathValues::get(uint32_t slot) {
  const Value*& value = at(slot);
  if (value == &kUnresolved) {
    value = (own_.empty() ? *shared_[slot] : own_[slot]).find(event_);
  }
  return value;
}

const Value* Judge::find(const Criterion& criterion, const Value* item) {
  if (item) return criterion.path.find(*item);
  return values_.get(slots_.empty() ? criterion.slot : slots_[criterion.slot]);
}

bool Judge::holds(const Criterion& criterion, const Value* item) {
  auto part_holds = [&](const Criterion& part) { return holds(part, item); };
  switch (criterion.kind) {
    case Criterion::Kind::Test: return test(criterion, item);
    case Criterion::Kind::All: return std::ranges::all_of(criterion.parts, part_holds);
    case Criterion::Kind::Any: return std::ranges::any_of(criterion.parts, part_holds);
    case Criterion::Kind::Not: return !part_holds(criterion.parts[0]);
    case Criterion::Kind::Search: return search(criterion, item);
    case Criterion::Kind::Expression: return expression(criterion);
  }
  return false;
}

bool Judge::test(const Criterion& criterion, const Value* item) {
  const Value* found = find(criterion, item);
  if (criterion.matcher) return matches(*criterion.matcher, found);
  const auto& matcher = rendered(criterion);
  return matcher && matches(*matcher, found);
}

bool Judge::matches(const Matcher& matcher, const Value* found) {
  return may_do(matcher.steps(found)) && matcher.holds(found, scope_.now_ms);
}

bool Judge::may_do(uint64_t steps) {
  if (!spent_ && scope_.allowance && !scope_.allowance->take(steps)) {
    spent_ = Error(ErrorKind::TooLarge, "RUL-0012",
                   fmt::format("the rules took more than {} steps for one event together",
                               scope_.allowance->of));
  }
  return !spent_;
}

bool Judge::search(const Criterion& criterion, const Value* item) {
  const Value* found = find(criterion, item);
  // As in Python: `for x in None` fails, and what fails does not hold.
  if (!found || !(found->is_list() || found->is_map())) return false;
  auto items = items_of(found);
  bool all_parts = criterion.condition == Criterion::Condition::Any ||
                   criterion.condition == Criterion::Condition::All;
  bool all_items = criterion.condition == Criterion::Condition::All ||
                   criterion.condition == Criterion::Condition::All2Any;
  auto item_holds = [&](const Value& element) {
    auto part_holds = [&](const Criterion& part) { return holds(part, &element); };
    return all_parts ? std::ranges::all_of(criterion.parts, part_holds)
                     : std::ranges::any_of(criterion.parts, part_holds);
  };
  return all_items ? std::ranges::all_of(items, item_holds)
                   : std::ranges::any_of(items, item_holds);
}

bool Judge::expression(const Criterion& criterion) {
  auto value = evaluate(criterion);
  return value && expr::truthy(*value);
}

// The value of the criterion's template.
Result<Value> Judge::evaluate(const Criterion& criterion) {
  if (!may_do(1)) return *spent_;
  if (!expression_scope_) expression_scope_ = expression_scope(scope_, rule_);
  uint64_t before = scope_.allowance ? scope_.allowance->left : 0;
  auto value = engine_.evaluate(*criterion.expression, *expression_scope_);
  if (value) return value;
  expr::add_needs(need_, value.error());
  // Its own ceiling is the rule's fault: it does not hold. Less was left than that: nobody knows.
  bool was_short = scope_.allowance && before < expression_scope_->budget.steps;
  if (was_short && value.error().code() == kStepsSpent) (void)may_do(before + 1);
  return value;
}

// The template does not see the item that is searched: it gives one pattern for all.
const Result<Matcher>& Judge::rendered(const Criterion& criterion) {
  auto known = rendered_.find(&criterion);
  if (known == rendered_.end()) {
    known = rendered_.emplace(&criterion, compiled(criterion)).first;
  }
  return known->second;
}

Result<Matcher> Judge::compiled(const Criterion& criterion) {
  TRY(Value pattern, evaluate(criterion));
  TRY(uint64_t steps, Matcher::compile_steps(criterion.op, pattern));
  if (!may_do(steps)) return *spent_;
  return Matcher::create(criterion.op, std::move(pattern));
}

void Judge::explain_each(const Criterion& criterion, std::vector<Verdict>& out) {
  if (criterion.kind != Criterion::Kind::All) {
    out.push_back(explain(criterion));
    return;
  }
  for (const Criterion& part : criterion.parts) out.push_back(explain(part));
}

Verdict Judge::explain(const Criterion& criterion, const Value* item) {
  Verdict verdict{.criterion = criterion.label};
  switch (criterion.kind) {
    case Criterion::Kind::Test: {
      verdict.op = to_string(criterion.op);
      const Value* found = find(criterion, item);
      verdict.expected = criterion.pattern;
      if (found) verdict.found = *found;
      explain_test(criterion, found, verdict);
      return verdict;
    }
    case Criterion::Kind::Expression: {
      verdict.op = "expression";
      verdict.expected = Value(true);
      auto value = evaluate(criterion);
      if (!value) verdict.note = note_of(*criterion.expression, value.error());
      // Only the truth of it: verdicts are kept, and the value may have come from a secret key.
      verdict.holds = value && expr::truthy(*value);
      if (value) verdict.found = Value(verdict.holds);
      return verdict;
    }
    case Criterion::Kind::Search: {
      verdict.op = "search";
      verdict.expected = criterion.pattern;
      const Value* found = find(criterion, item);
      if (found) verdict.found = *found;
      verdict.holds = search(criterion, item);
      if (!found || !(found->is_list() || found->is_map())) {
        verdict.note = "expected a list there to search in";
      }
      return verdict;
    }
    case Criterion::Kind::All: verdict.op = "all"; break;
    case Criterion::Kind::Any: verdict.op = "any"; break;
    case Criterion::Kind::Not: verdict.op = "not"; break;
  }
  verdict.holds = holds(criterion, item);
  for (const Criterion& part : criterion.parts) verdict.parts.push_back(explain(part, item));
  return verdict;
}

void Judge::explain_test(const Criterion& criterion, const Value* found, Verdict& verdict) {
  std::optional<Matcher> matcher = criterion.matcher;
  if (!matcher) {
    const auto& made = rendered(criterion);
    if (!made) {
      verdict.note = note_of(*criterion.expression, made.error());
      return;
    }
    matcher = *made;
    if (!reads_keys(*criterion.expression)) verdict.expected = matcher->pattern();
  }
  verdict.holds = matches(*matcher, found);
  if (!verdict.holds) verdict.note = matcher->mismatch(found);
}

}  // namespace millrace::rules
