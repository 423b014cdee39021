// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "expr/text_formats.h"
#include "expr/yaql.h"

namespace millrace::expr {
namespace {

using python::Arithmetic;

// null stands before everything; only it compares with values of another kind.
bool compare_null(YaqlOperator op, bool left_null, bool right_null) {
  bool both = left_null && right_null;
  switch (op) {
    case YaqlOperator::Lt: return left_null && !right_null;
    case YaqlOperator::Le: return left_null;
    case YaqlOperator::Gt: return right_null && !both;
    default: return right_null;
  }
}

Result<Item> compare(Evaluator& eval, YaqlOperator op, const Item& a, const Item& b) {
  if (a.is_null() || b.is_null()) return Item(compare_null(op, a.is_null(), b.is_null()));
  bool numbers = accepts(Type::Number, a) && accepts(Type::Number, b);
  bool strings = a.is_string() && b.is_string();
  bool sets = accepts(Type::Set, a) && accepts(Type::Set, b);
  if (!numbers && !strings && !sets) {
    constexpr std::string_view kNames[] = {"<", "<=", ">", ">="};
    auto i = static_cast<size_t>(op) - static_cast<size_t>(YaqlOperator::Lt);
    return no_match(fmt::format("#operator_{}", kNames[i]));
  }
  TRY(auto order, python::compare(eval.meter, a, b));
  switch (op) {
    case YaqlOperator::Lt: return Item(order < 0);
    case YaqlOperator::Le: return Item(order <= 0);
    case YaqlOperator::Gt: return Item(order > 0);
    default: return Item(order >= 0);
  }
}

bool is_tuple(const Item& item) {
  auto* seq = item.as<Seq>(ObjectKind::Seq);
  return (item.is_plain_list() && !item.is_raw()) || (seq && seq->flavor == Flavor::Tuple);
}
bool is_frozen_set(const Item& item) {
  auto* seq = item.as<Seq>(ObjectKind::Seq);
  return seq && (seq->flavor == Flavor::FrozenSet || seq->flavor == Flavor::Set);
}

Result<Item> chain(Meter& meter, const Item& a, const Item& b) {
  TRY(Cursor first, Cursor::over(a));
  TRY(Cursor second, Cursor::over(b));
  return make_iterator(meter, std::max(depth_of(a), depth_of(b)),
                       [first = std::move(first), second = std::move(second), done = false](
                           Evaluator& eval, Item& out) mutable -> Result<bool> {
                         if (!done) {
                           TRY(bool more, first.next(eval, out));
                           if (more) return true;
                           done = true;
                         }
                         return second.next(eval, out);
                       });
}

Result<Item> merge_maps(Evaluator& eval, const Item& a, const Item& b) {
  auto out = make<Dict>(true);
  for (const Item* map : {&a, &b}) {
    TRY(auto entries, entries_of(eval, *map));
    for (auto& [key, value] : entries) TRY(out->set(eval.meter, key, std::move(value)));
  }
  return Item(out);
}

Result<Item> union_of(Evaluator& eval, const Item& a, const Item& b) {
  ItemTable table;
  for (const Item* set : {&a, &b}) {
    TRY(auto items, eval.items_of(*set));
    for (const auto& item : items) TRY(table.insert(eval.meter, item));
  }
  return make_seq(eval.meter, Flavor::FrozenSet, table.keys());
}

Result<Item> add(Evaluator& eval, const Item& a, const Item& b) {
  if (accepts(Type::Number, a) && accepts(Type::Number, b)) {
    return python::arithmetic(Arithmetic::Add, a, b);
  }
  if (a.is_string() && b.is_string()) return eval.binary(Arithmetic::Add, a, b);
  if (accepts(Type::Iterable, a) && accepts(Type::Iterable, b)) {
    if (is_tuple(a) && is_tuple(b)) {
      TRY(auto items, eval.items_of(a));
      TRY(auto more, eval.items_of(b));
      for (auto& item : more) items.push_back(std::move(item));
      return eval.tuple(std::move(items));
    }
    if (is_frozen_set(a) && is_frozen_set(b)) return union_of(eval, a, b);
    return chain(eval.meter, a, b);
  }
  if (is_map(a) && is_map(b)) return merge_maps(eval, a, b);
  return no_match("#operator_+");
}

Result<Item> subtract(Evaluator& eval, const Item& a, const Item& b) {
  if (accepts(Type::Number, a) && accepts(Type::Number, b)) {
    return python::arithmetic(Arithmetic::Subtract, a, b);
  }
  if (!is_frozen_set(a) || !accepts(Type::Set, b)) return no_match("#operator_-");
  std::vector<Item> out;
  TRY(auto items, eval.items_of(a));
  for (const auto& item : items) {
    TRY(bool other, eval.contains(b, item));
    if (!other) out.push_back(item);
  }
  return make_seq(eval.meter, Flavor::FrozenSet, std::move(out));
}

Result<Item> multiply(Evaluator& eval, const Item& a, const Item& b) {
  if (accepts(Type::Number, a) && accepts(Type::Number, b)) {
    return python::arithmetic(Arithmetic::Multiply, a, b);
  }
  auto repeats = [](const Item& what, const Item& times) {
    return (what.is_string() || is_sequence(what)) && accepts(Type::Int, times);
  };
  if (repeats(a, b) || repeats(b, a)) return eval.binary(Arithmetic::Multiply, a, b);
  return no_match("#operator_*");
}

Result<Item> matches(Evaluator& eval, YaqlOperator op, const Item& text, const Item& pattern) {
  std::shared_ptr<const Regex> regex;
  if (auto* object = pattern.as<RegexObject>(ObjectKind::Regex)) {
    regex = object->regex;
  } else if (pattern.is_string()) {
    TRY(regex, eval.regexes().get(eval.meter, pattern.str(), {}));
  }
  if (!regex || !text.is_string()) return no_match("#operator_=~");
  TRY(auto match, regex->search(eval.meter, text.str()));
  return Item(match.has_value() == (op == YaqlOperator::Match));
}

}  // namespace

Result<Item> Evaluator::yaql_operator(YaqlOperator op, const Item& a, const Item& b) {
  bool numbers = accepts(Type::Number, a) && accepts(Type::Number, b);
  switch (op) {
    case YaqlOperator::Add: return add(*this, a, b);
    case YaqlOperator::Sub: return subtract(*this, a, b);
    case YaqlOperator::Mul: return multiply(*this, a, b);
    case YaqlOperator::Div: {
      if (!numbers) return no_match("#operator_/");
      bool whole = python::is_integer(a) && python::is_integer(b);
      return python::arithmetic(whole ? Arithmetic::FloorDivide : Arithmetic::Divide, a, b);
    }
    case YaqlOperator::Mod:
      if (!numbers) return no_match("#operator_mod");
      return python::arithmetic(Arithmetic::Modulo, a, b);
    case YaqlOperator::Eq:
    case YaqlOperator::Ne: {
      TRY(bool same, equal(a, b));
      return Item(same == (op == YaqlOperator::Eq));
    }
    case YaqlOperator::Lt:
    case YaqlOperator::Le:
    case YaqlOperator::Gt:
    case YaqlOperator::Ge: return compare(*this, op, a, b);
    case YaqlOperator::In: {
      bool fits = accepts(Type::Iterable, b) || (a.is_string() && b.is_string());
      if (!fits) return no_match("#operator_in");
      TRY(bool found, contains(b, a));
      return Item(found);
    }
    case YaqlOperator::Match:
    case YaqlOperator::NotMatch: return matches(*this, op, a, b);
    case YaqlOperator::Send: break;
  }
  return no_match("#operator_->");
}

}  // namespace millrace::expr
