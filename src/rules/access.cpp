// SPDX-License-Identifier: Apache-2.0
#include "rules/access.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "expr/unicode.h"
#include "rules/fold.h"

namespace millrace::rules {
namespace {

AccessPlan one_of(std::vector<Access> accesses) {
  return {.kind = AccessPlan::Kind::AnyOf, .accesses = std::move(accesses)};
}

// A part of a letter is found where its letter is not: only whole ones can be looked for folded.
bool has_whole_letters(std::string_view text) {
  for (size_t i = 0, width = 0; i < text.size(); i += width) {
    width = expr::unicode::width(text, i);
    if (width == 1 && (text[i] & 0x80) != 0) return false;
  }
  return true;
}

// The plan of one test whose pattern is known.
class TestPlan {
 public:
  explicit TestPlan(const Criterion& test)
      : test_(test), pattern_(test.pattern), is_text_(test.pattern.is_string()) {}

  AccessPlan plan() const {
    switch (test_.op) {
      case Operator::Exists: return exists();
      case Operator::ExistsNot: return one_of({access(Way::Absent)});
      case Operator::NotEquals: return {};
      default: break;
    }
    if (pattern_.is_null()) return one_of({});
    switch (test_.op) {
      case Operator::Equals: return equals();
      case Operator::EqualsIgnoreCase: return by_text(Way::FoldedEqual);
      case Operator::Contains: return contains();
      case Operator::ContainsIgnoreCase: return by_text(Way::Holds);
      case Operator::StartsWith:
      case Operator::StartsWithIgnoreCase: return by_text(Way::Begins);
      case Operator::EndsWith:
      case Operator::EndsWithIgnoreCase: return by_text(Way::Ends);
      case Operator::LessThan: return bound(Way::UpTo);
      case Operator::GreaterThan: return bound(Way::From);
      case Operator::AgeLessThan:
      case Operator::AgeGreaterThan: return age();
      case Operator::Wildcard: return wildcard();
      case Operator::MatchRegex:
      case Operator::Regex:
      case Operator::RegexIgnoreCase: return regex();
      case Operator::Inside: return inside();
      case Operator::InsideNot: return {};
      default: return exists();  // ncontains, incontains: of nothing they do not hold either
    }
  }

 private:
  Access access(Way way) const { return {.way = way, .slot = test_.slot}; }
  Access with_value(Way way, Value value) const {
    Access out = access(way);
    out.value = std::move(value);
    return out;
  }
  Access with_text(Way way, std::string text) const {
    Access out = access(way);
    out.text = std::move(text);
    return out;
  }
  AccessPlan exists() const { return one_of({access(Way::Exists)}); }

  static bool can_be_found(std::string_view text) {
    return !text.empty() && has_whole_letters(text);
  }

  AccessPlan by_text(Way way) const {
    if (!is_text_) return exists();
    if (way != Way::FoldedEqual && !can_be_found(pattern_.as_string())) return exists();
    return one_of({with_text(way, fold(pattern_.as_string()))});
  }

  AccessPlan equals() const {
    return is_scalar(pattern_) ? one_of({with_value(Way::Equal, pattern_)}) : exists();
  }

  AccessPlan contains() const {
    if (!is_scalar(pattern_)) return exists();
    if (is_text_ && !can_be_found(pattern_.as_string())) return exists();
    AccessPlan plan = one_of({with_value(Way::Item, pattern_)});
    if (is_text_) plan.accesses.push_back(with_text(Way::Holds, fold(pattern_.as_string())));
    return plan;
  }

  AccessPlan inside() const {
    AccessPlan plan = one_of({});
    if (pattern_.is_map()) {
      for (const auto& [key, value] : pattern_.as_map()) {
        plan.accesses.push_back(with_value(Way::Equal, key));
      }
      return plan;
    }
    if (!pattern_.is_list()) return exists();
    for (const Value& item : pattern_.as_list()) {
      if (item.is_null()) {
        plan.accesses.push_back(access(Way::Absent));
      } else if (is_scalar(item)) {
        plan.accesses.push_back(with_value(Way::Equal, item));
      } else {
        return {};
      }
    }
    return plan;
  }

  AccessPlan bound(Way of_texts) const {
    if (is_text_) return one_of({with_text(of_texts, std::string(pattern_.as_string()))});
    return interval(Way::Number, of_texts == Way::UpTo);
  }
  AccessPlan age() const { return interval(Way::Age, test_.op == Operator::AgeLessThan); }

  // Closed and of doubles, which may hold a little more.
  AccessPlan interval(Way way, bool is_upper) const {
    if (!pattern_.is_number() && !pattern_.is_bool()) return exists();
    double end = pattern_.is_bool() ? (pattern_.as_bool() ? 1 : 0) : pattern_.as_float();
    if (std::isnan(end)) return exists();
    Access out = access(way);
    (is_upper ? out.high : out.low) = end;
    return one_of({std::move(out)});
  }

  AccessPlan wildcard() const {
    if (!is_text_) return exists();
    auto literals = wildcard_literals(pattern_.as_string());
    if (literals.size() == 1) return by_text(Way::FoldedEqual);
    AccessPlan plan{.kind = AccessPlan::Kind::BestOf, .parts = {exists()}};
    for (size_t i = 0; i < literals.size(); ++i) {
      if (!can_be_found(literals[i])) continue;
      Way way = i == 0 ? Way::Begins : i + 1 == literals.size() ? Way::Ends : Way::Holds;
      plan.parts.push_back(one_of({with_text(way, fold(literals[i]))}));
    }
    return plan;
  }

  AccessPlan regex() const {
    AccessPlan plan{.kind = AccessPlan::Kind::BestOf, .parts = {exists()}};
    for (const auto& texts : test_.matcher->needed_texts()) {
      std::vector<Access> accesses;
      for (const std::string& text : texts) {
        accesses.push_back(with_text(Way::Holds, fold(text)));
      }
      plan.parts.push_back(one_of(std::move(accesses)));
    }
    return plan;
  }

  const Criterion& test_;
  const Value& pattern_;
  bool is_text_;
};

// Its pattern is a template: whatever comes out of it, most operators hold for nothing absent.
AccessPlan template_plan(const Criterion& test) {
  switch (test.op) {
    case Operator::NotEquals:
    case Operator::Inside:
    case Operator::InsideNot: return {};
    case Operator::ExistsNot: return one_of({{.way = Way::Absent, .slot = test.slot}});
    default: return one_of({{.way = Way::Exists, .slot = test.slot}});
  }
}

AccessPlan plan_of(const Criterion& criterion);

// Two bounds of one place are one interval.
class Conjunction {
 public:
  void add(AccessPlan plan) {
    if (plan.kind == AccessPlan::Kind::None) return;
    if (plan.kind == AccessPlan::Kind::BestOf) {
      for (AccessPlan& part : plan.parts) add(std::move(part));
      return;
    }
    if (plan.accesses.size() == 1) {
      const Access& more = plan.accesses[0];
      if (more.way == Way::Number || more.way == Way::Age) {
        auto [known, is_new] = bounds_.try_emplace({more.way, more.slot}, plan_.parts.size());
        if (!is_new) {
          Access& both = plan_.parts[known->second].accesses[0];
          both.low = std::max(both.low, more.low);
          both.high = std::min(both.high, more.high);
          return;
        }
      }
    }
    plan_.parts.push_back(std::move(plan));
  }
  AccessPlan take() && {
    if (plan_.parts.empty()) return {};
    if (plan_.parts.size() == 1) {
      AccessPlan only = std::move(plan_.parts[0]);
      return only;
    }
    return std::move(plan_);
  }

 private:
  AccessPlan plan_{.kind = AccessPlan::Kind::BestOf};
  std::map<std::pair<Way, uint32_t>, size_t> bounds_;
};

AccessPlan any_part(const Criterion& any) {
  AccessPlan plan{.kind = AccessPlan::Kind::EachOf};
  for (const Criterion& part : any.parts) {
    plan.parts.push_back(plan_of(part));
    if (plan.parts.back().kind == AccessPlan::Kind::None) return {};
  }
  return plan;
}

AccessPlan plan_of(const Criterion& criterion) {
  switch (criterion.kind) {
    case Criterion::Kind::All: {
      Conjunction all;
      for (const Criterion& part : criterion.parts) all.add(plan_of(part));
      return std::move(all).take();
    }
    case Criterion::Kind::Any: return any_part(criterion);
    case Criterion::Kind::Test:
      return criterion.matcher ? TestPlan(criterion).plan() : template_plan(criterion);
    case Criterion::Kind::Search: return one_of({{.way = Way::Exists, .slot = criterion.slot}});
    case Criterion::Kind::Not:
    case Criterion::Kind::Expression: return {};
  }
  return {};
}

}  // namespace

AccessPlan access_plan(std::span<const Criterion* const> all) {
  Conjunction out;
  for (const Criterion* criterion : all) out.add(plan_of(*criterion));
  return std::move(out).take();
}

}  // namespace millrace::rules
