// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "expr/rows.h"
#include "expr/text_formats.h"
#include "expr/yaql.h"

// The part of yaql/standard_library/queries.py that looks at a whole collection.
namespace millrace::expr {
namespace {

Result<Item> any(Evaluator& eval, Args& args) {
  TRY(Cursor cursor, Cursor::over(args[0]));
  while (true) {
    Item item;
    TRY(bool more, cursor.next(eval, item));
    if (!more) return Item(false);
    bool found = !args.given(1);
    if (!found) {
      TRY(found, holds(eval, args[1], item));
    }
    if (found) return Item(true);
  }
}

Result<Item> all(Evaluator& eval, Args& args) {
  TRY(Cursor cursor, Cursor::over(args[0]));
  while (true) {
    Item item;
    TRY(bool more, cursor.next(eval, item));
    if (!more) return Item(true);
    TRY(Item verdict, select_from(eval, args, 1, item));
    if (!python::truth(verdict)) return Item(false);
  }
}

Result<Item> count(Evaluator& eval, Args& args) {
  TRY(Cursor cursor, Cursor::over(args[0]));
  for (int64_t n = 0;; ++n) {
    Item item;
    TRY(bool more, cursor.next(eval, item));
    if (!more) return Item(n);
  }
}

Result<Item> memorize(Evaluator& eval, Args& args) {
  if (!args[0].is(ObjectKind::Iterator)) return args[0];
  TRY(auto items, eval.items_of(args[0]));
  return eval.tuple(std::move(items));
}

// functools.reduce with `step(total, item)`.
template <typename Step>
Result<Item> reduce(Evaluator& eval, const Item& collection, const Item* seed, Step step) {
  TRY(Cursor cursor, Cursor::over(collection));
  Item total;
  if (seed) {
    total = *seed;
  } else {
    TRY(bool some, cursor.next(eval, total));
    if (!some) return type_error("reduce() of empty iterable with no initial value");
  }
  while (true) {
    Item item;
    TRY(bool more, cursor.next(eval, item));
    if (!more) return total;
    TRY(total, step(total, item));
  }
}

Result<Item> sum(Evaluator& eval, Args& args) {
  return reduce(eval, args[0], args.given(1) ? &args[1] : nullptr,
                [&](const Item& total, const Item& item) {
                  return eval.yaql_operator(YaqlOperator::Add, total, item);
                });
}

template <bool Max>
Result<Item> extreme(Evaluator& eval, Args& args) {
  return reduce(eval, args[0], args.given(1) ? &args[1] : nullptr,
                [&](const Item& best, const Item& item) -> Result<Item> {
                  TRY(Item greater, eval.yaql_operator(YaqlOperator::Gt, item, best));
                  return python::truth(greater) == Max ? item : best;
                });
}

Result<Item> aggregate(Evaluator& eval, Args& args) {
  return reduce(eval, args[0], args.given(2) ? &args[2] : nullptr,
                [&](const Item& total, const Item& item) {
                  const Item both[] = {total, item};
                  return eval.call_lambda(args[1], both);
                });
}

Error stop_iteration(std::string_view what) {
  return eval_error(fmt::format("StopIteration: {}", what));
}

Result<Item> first(Evaluator& eval, Args& args) {
  TRY(Cursor cursor, Cursor::over(args[0]));
  Item item;
  TRY(bool some, cursor.next(eval, item));
  if (some) return item;
  if (args.given(1)) return args[1];
  return stop_iteration("first() of an empty collection");
}

Result<Item> single(Evaluator& eval, Args& args) {
  TRY(Cursor cursor, Cursor::over(args[0]));
  Item item;
  Item other;
  TRY(bool some, cursor.next(eval, item));
  if (!some) return stop_iteration("single() of an empty collection");
  TRY(bool more, cursor.next(eval, other));
  if (more) return stop_iteration("Collection contains more than one item");
  return item;
}

Result<Item> last(Evaluator& eval, Args& args) {
  TRY(Cursor cursor, Cursor::over(args[0]));
  Item found = args[1];
  bool some = args.given(1);
  while (true) {
    Item item;
    TRY(bool more, cursor.next(eval, item));
    if (!more) break;
    found = std::move(item);
    some = true;
  }
  if (some) return found;
  return stop_iteration("last() of an empty collection");
}

// groupBy(key, value, aggregator): pairs of a key and what has it. The aggregator takes the list of
// values; one written for the pair, as YAQL before 1.1.1 had it, is still understood.
Result<Item> aggregated(Evaluator& eval, const Item& lambda, const Item& key, const Item& values,
                        const Item& pair) {
  auto result = eval.call_lambda(lambda, std::span(&values, 1));
  if (result.ok()) return make_pair_item(eval.meter, Flavor::Tuple, key, *result);
  bool may_be_old = result.error().message().starts_with("NoMatching") ||
                    result.error().message().starts_with("IndexError");
  if (!may_be_old) return result;
  auto old = eval.call_lambda(lambda, std::span(&pair, 1));
  if (!old.ok()) return result;
  auto size = eval.length(*old);
  return size.ok() && *size == 2 ? old : result;
}

Result<Item> group_by(Evaluator& eval, Args& args) {
  ItemTable keys;
  std::vector<std::vector<Item>> groups;
  TRY(Cursor cursor, Cursor::over(args[0]));
  while (true) {
    Item item;
    TRY(bool more, cursor.next(eval, item));
    if (!more) break;
    TRY(Item value, select_from(eval, args, 2, item));
    TRY(Item key, select_from(eval, args, 1, item));
    TRY(auto at, keys.insert(eval.meter, key));
    if (at.second) groups.emplace_back();
    groups[at.first].push_back(std::move(value));
  }
  std::vector<Item> out;
  for (size_t i = 0; i < groups.size(); ++i) {
    TRY(Item values, eval.list(std::move(groups[i])));
    TRY(Item pair, make_pair_item(eval.meter, Flavor::Tuple, keys.keys()[i], values));
    if (args.given(3)) {
      TRY(pair, aggregated(eval, args[3], keys.keys()[i], values, pair));
    }
    out.push_back(std::move(pair));
  }
  return iterate_over(eval, std::move(out));
}

Result<Item> join(Evaluator& eval, Args& args) {
  TRY(auto left, eval.items_of(args[0]));
  TRY(auto right, eval.items_of(args[1]));
  std::vector<Item> out;
  for (const auto& a : left) {
    for (const auto& b : right) {
      const Item both[] = {a, b};
      TRY(Item verdict, eval.call_lambda(args[2], both));
      if (!python::truth(verdict)) continue;
      TRY(Item selected, eval.call_lambda(args[3], both));
      out.push_back(std::move(selected));
    }
  }
  return iterate_over(eval, std::move(out));
}

// The index of the first or last element that equals the argument, or for which it holds.
template <bool Last, bool ByPredicate>
Result<Item> index_of(Evaluator& eval, Args& args) {
  TRY(Cursor cursor, Cursor::over(args[0]));
  int64_t found = -1;
  for (int64_t i = 0;; ++i) {
    Item item;
    TRY(bool more, cursor.next(eval, item));
    if (!more) return Item(found);
    bool match = false;
    if (ByPredicate) {
      TRY(match, holds(eval, args[1], item));
    } else {
      TRY(match, eval.equal(item, args[1]));
    }
    if (!match) continue;
    found = i;
    if (!Last) return Item(found);
  }
}

Result<void> push_part(Evaluator& eval, std::vector<Item>& out, const std::vector<Item>& items,
                       size_t start, size_t end) {
  TRY(Item part, eval.tuple({items.begin() + static_cast<ptrdiff_t>(start),
                             items.begin() + static_cast<ptrdiff_t>(end)}));
  out.push_back(std::move(part));
  return {};
}

Result<Item> split_where(Evaluator& eval, Args& args) {
  TRY(auto items, eval.items_of(args[0]));
  std::vector<Item> out;
  size_t start = 0;
  for (size_t i = 0; i < items.size(); ++i) {
    TRY(bool cut, holds(eval, args[1], items[i]));
    if (!cut) continue;
    TRY(push_part(eval, out, items, start, i));
    start = i + 1;
  }
  if (start < items.size()) TRY(push_part(eval, out, items, start, items.size()));
  return iterate_over(eval, std::move(out));
}

Result<Item> slice_where(Evaluator& eval, Args& args) {
  TRY(auto items, eval.items_of(args[0]));
  std::vector<Item> out;
  std::optional<Item> before;
  size_t start = 0;
  for (size_t i = 0; i < items.size(); ++i) {
    TRY(Item now, eval.call_lambda(args[1], std::span(&items[i], 1)));
    bool same = true;
    if (before) {
      TRY(same, eval.equal(now, *before));
    }
    if (!same) {
      TRY(push_part(eval, out, items, start, i));
      start = i;
    }
    before = std::move(now);
  }
  if (start < items.size()) TRY(push_part(eval, out, items, start, items.size()));
  return iterate_over(eval, std::move(out));
}

Result<Item> split_at(Evaluator& eval, Args& args) {
  TRY(auto items, eval.items_of(args[0]));
  auto size = static_cast<int64_t>(items.size());
  int64_t index = int_of(args, 1, 0);
  auto at = static_cast<size_t>(std::clamp<int64_t>(index < 0 ? index + size : index, 0, size));
  std::vector<Item> out;
  TRY(push_part(eval, out, items, 0, at));
  TRY(push_part(eval, out, items, at, items.size()));
  return eval.list(std::move(out));
}

Result<Item> reverse(Evaluator& eval, Args& args) {
  TRY(auto items, eval.items_of(args[0]));
  std::reverse(items.begin(), items.end());
  return iterate_over(eval, std::move(items));
}

Result<Item> is_iterable(Evaluator&, Args& args) { return Item(accepts(Type::Iterable, args[0])); }

Result<Item> default_if_empty(Evaluator& eval, Args& args) {
  TRY(auto items, eval.items_of(args[0]));
  if (items.empty()) return args[1];
  if (!args[0].is(ObjectKind::Iterator)) return args[0];
  return iterate_over(eval, std::move(items));
}

constexpr Row kRows[] = {
    {"aggregate", "collection:iter selector:lambda seed?", aggregate, Use::Method},
    {"all", "collection:iter predicate?:lambda", all, Use::Both},
    {"any", "collection:iter predicate?:lambda", any, Use::Both},
    {"count", "collection:iter", count, Use::Method},
    {"defaultIfEmpty", "collection:iter default:iter", default_if_empty, Use::Method},
    {"first", "collection:iter default?", first, Use::Method},
    {"groupBy", "collection:iter key_selector:lambda value_selector?:lambda aggregator?:lambda",
     group_by, Use::Method},
    {"indexOf", "collection:iter item", index_of<false, false>, Use::Method},
    {"indexWhere", "collection:iter predicate:lambda", index_of<false, true>, Use::Method},
    {"isIterable", "value", is_iterable},
    {"join", "collection1:iter collection2:iter predicate:lambda selector:lambda", join,
     Use::Method},
    {"last", "collection:iter default?", last, Use::Method},
    {"lastIndexOf", "collection:iter item", index_of<true, false>, Use::Method},
    {"lastIndexWhere", "collection:iter predicate:lambda", index_of<true, true>, Use::Method},
    {"len", "collection:iterator", count, Use::Both},
    {"max", "collection:iter initial?", extreme<true>, Use::Method},
    {"memorize", "collection:iter", memorize, Use::Method},
    {"min", "collection:iter initial?", extreme<false>, Use::Method},
    {"reduce", "collection:iter selector:lambda seed?", aggregate, Use::Method},
    {"reverse", "collection:iter", reverse, Use::Method},
    {"single", "collection:iter", single, Use::Method},
    {"sliceWhere", "collection:iter predicate:lambda", slice_where, Use::Method},
    {"splitAt", "collection:iter index:int", split_at, Use::Method},
    {"splitWhere", "collection:iter predicate:lambda", split_where, Use::Method},
    {"sum", "collection:iter initial?", sum, Use::Method},
};

}  // namespace

std::span<const Row> yaql_query_rows() { return kRows; }

}  // namespace millrace::expr
