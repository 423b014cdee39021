// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <deque>

#include "expr/rows.h"
#include "expr/text_formats.h"
#include "expr/yaql.h"

// yaql/standard_library/queries.py. What Python computes lazily is lazy here too: the source may
// be endless.
namespace millrace::expr {
namespace {

// Steps of an iterator over the first argument, with the other arguments at hand.
template <typename Step>
Result<Item> lazily(Evaluator& eval, const Args& args, Step step) {
  TRY(Cursor cursor, Cursor::over(args[0]));
  uint16_t below = 0;
  for (const auto& arg : args.rest(0)) below = std::max(below, depth_of(arg));
  return make_iterator(
      eval.meter, below,
      [cursor = std::move(cursor), args = Args(args), step](
          Evaluator& e, Item& out) mutable -> Result<bool> { return step(e, cursor, args, out); });
}

Result<Item> iterate(Evaluator& eval, std::vector<Item> items) {
  uint16_t below = depth_of(items);
  return make_iterator(
      eval.meter, below,
      [items = std::move(items), at = size_t{0}](Evaluator&, Item& out) mutable -> Result<bool> {
        if (at >= items.size()) return false;
        out = items[at++];
        return true;
      });
}

Result<Item> where(Evaluator& eval, Args& args) {
  return lazily(eval, args, [](Evaluator& e, Cursor& source, Args& a, Item& out) -> Result<bool> {
    while (true) {
      TRY(bool more, source.next(e, out));
      if (!more) return false;
      TRY(bool keep, holds(e, a[1], out));
      if (keep) return true;
    }
  });
}

Result<Item> select(Evaluator& eval, Args& args) {
  return lazily(eval, args, [](Evaluator& e, Cursor& source, Args& a, Item& out) -> Result<bool> {
    Item item;
    TRY(bool more, source.next(e, item));
    if (!more) return false;
    TRY(out, select_from(e, a, 1, item));
    return true;
  });
}

Result<Item> skip(Evaluator& eval, Args& args) {
  int64_t count = int_of(args, 1, 0);
  if (count < 0) return value_error("the count of skip() must not be negative");
  return lazily(eval, args,
                [count](Evaluator& e, Cursor& source, Args&, Item& out) mutable -> Result<bool> {
                  for (; count > 0; --count) {
                    TRY(bool more, source.next(e, out));
                    if (!more) return false;
                  }
                  return source.next(e, out);
                });
}

Result<Item> limit(Evaluator& eval, Args& args) {
  int64_t count = int_of(args, 1, 0);
  if (count < 0) return value_error("the count of limit() must not be negative");
  return lazily(eval, args,
                [count](Evaluator& e, Cursor& source, Args&, Item& out) mutable -> Result<bool> {
                  if (count-- <= 0) return false;
                  return source.next(e, out);
                });
}

Result<Item> append(Evaluator& eval, Args& args) {
  return lazily(
      eval, args,
      [at = size_t{0}](Evaluator& e, Cursor& source, Args& a, Item& out) mutable -> Result<bool> {
        if (at == 0) {
          TRY(bool more, source.next(e, out));
          if (more) return true;
        }
        if (++at >= a.size()) return false;
        out = a[at];
        return true;
      });
}

Result<Item> distinct(Evaluator& eval, Args& args) {
  return lazily(eval, args,
                [seen = ItemTable()](Evaluator& e, Cursor& source, Args& a,
                                     Item& out) mutable -> Result<bool> {
                  while (true) {
                    TRY(bool more, source.next(e, out));
                    if (!more) return false;
                    TRY(Item key, select_from(e, a, 1, out));
                    TRY(auto at, seen.insert(e.meter, key));
                    if (at.second) return true;
                  }
                });
}

Result<Item> enumerate(Evaluator& eval, Args& args) {
  Item next = args.given(1) ? args[1] : Item(0);
  if (!python::is_integer(next)) return type_error("enumerate() wants an integer to start with");
  return lazily(eval, args,
                [next](Evaluator& e, Cursor& source, Args&, Item& out) mutable -> Result<bool> {
                  Item item;
                  TRY(bool more, source.next(e, item));
                  if (!more) return false;
                  TRY(out, make_pair_item(e.meter, Flavor::List, next, item));
                  TRY(next, python::arithmetic(python::Arithmetic::Add, next, Item(1)));
                  return true;
                });
}

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

Result<Item> concat(Evaluator& eval, Args& args) {
  std::vector<Cursor> cursors;
  uint16_t below = 0;
  for (const auto& arg : args.rest(0)) {
    TRY(Cursor cursor, Cursor::over(arg));
    cursors.push_back(std::move(cursor));
    below = std::max(below, depth_of(arg));
  }
  return make_iterator(eval.meter, below,
                       [cursors = std::move(cursors), at = size_t{0}](
                           Evaluator& e, Item& out) mutable -> Result<bool> {
                         for (; at < cursors.size(); ++at) {
                           TRY(bool more, cursors[at].next(e, out));
                           if (more) return true;
                         }
                         return false;
                       });
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

Result<Item> accumulate(Evaluator& eval, Args& args) {
  return lazily(eval, args,
                [total = Item(), started = false](Evaluator& e, Cursor& source, Args& a,
                                                  Item& out) mutable -> Result<bool> {
                  if (!started) {
                    started = true;
                    if (a.given(2)) {
                      total = a[2];
                    } else {
                      TRY(bool some, source.next(e, total));
                      if (!some) {
                        return type_error("accumulate() of empty sequence with no initial value");
                      }
                    }
                    out = total;
                    return true;
                  }
                  Item item;
                  TRY(bool more, source.next(e, item));
                  if (!more) return false;
                  const Item both[] = {total, item};
                  TRY(total, e.call_lambda(a[1], both));
                  out = total;
                  return true;
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

Result<Item> select_many(Evaluator& eval, Args& args) {
  return lazily(eval, args,
                [inner = std::optional<Cursor>()](Evaluator& e, Cursor& source, Args& a,
                                                  Item& out) mutable -> Result<bool> {
                  while (true) {
                    if (inner) {
                      TRY(bool more, inner->next(e, out));
                      if (more) return true;
                      inner.reset();
                    }
                    Item item;
                    TRY(bool more, source.next(e, item));
                    if (!more) return false;
                    TRY(out, select_from(e, a, 1, item));
                    if (!accepts(Type::Iterable, out)) return true;
                    TRY(inner, Cursor::over(out));
                  }
                });
}

// start, start + step, ... while it is before `stop`.
Result<Item> counting(Evaluator& eval, Int128 start, std::optional<Int128> stop, Int128 step) {
  return make_iterator(eval.meter, 0,
                       [at = start, stop, step](Evaluator&, Item& out) mutable -> Result<bool> {
                         bool done = stop && (step > 0 ? at >= *stop : at <= *stop);
                         if (done) return false;
                         out = make_int(at);
                         at += step;
                         return true;
                       });
}
Result<Item> range_to(Evaluator& eval, Args& args) {
  return counting(eval, 0, int_of(args, 0, 0), 1);
}
Result<Item> range(Evaluator& eval, Args& args) {
  int64_t step = int_of(args, 2, 1);
  if (step == 0) return value_error("range() arg 3 must not be zero");
  return counting(eval, int_of(args, 0, 0), int_of(args, 1, 0), step);
}
Result<Item> sequence(Evaluator& eval, Args& args) {
  return counting(eval, int_of(args, 0, 0), {}, int_of(args, 1, 1));
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
  return iterate(eval, std::move(out));
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
  return iterate(eval, std::move(out));
}

template <bool Longest>
Result<Item> zip(Evaluator& eval, Args& args) {
  std::vector<Cursor> cursors;
  uint16_t below = 0;
  for (const auto& arg : args.rest(0)) {
    TRY(Cursor cursor, Cursor::over(arg));
    cursors.push_back(std::move(cursor));
    below = std::max(below, depth_of(arg));
  }
  const Item* named = args.find_named("default");
  Item pad = named ? *named : Item();
  return make_iterator(
      eval.meter, std::max(below, depth_of(pad)),
      [cursors = std::move(cursors), pad](Evaluator& e, Item& out) mutable -> Result<bool> {
        std::vector<Item> row;
        size_t ended = 0;
        for (auto& cursor : cursors) {
          Item item;
          TRY(bool more, cursor.next(e, item));
          if (!more && !Longest) return false;
          if (!more) ++ended;
          row.push_back(more ? std::move(item) : pad);
        }
        if (ended == cursors.size()) return false;
        TRY(out, e.tuple(std::move(row)));
        return true;
      });
}

Result<Item> repeat(Evaluator& eval, Args& args) {
  int64_t times = int_of(args, 1, -1);
  bool endless = times < 0;
  return make_iterator(
      eval.meter, depth_of(args[0]),
      [value = args[0], times, endless](Evaluator&, Item& out) mutable -> Result<bool> {
        if (!endless && times-- <= 0) return false;
        out = value;
        return true;
      });
}

Result<Item> cycle(Evaluator& eval, Args& args) {
  return lazily(eval, args,
                [seen = std::vector<Item>(), at = size_t{0}, ended = false](
                    Evaluator& e, Cursor& source, Args&, Item& out) mutable -> Result<bool> {
                  if (!ended) {
                    TRY(bool more, source.next(e, out));
                    if (more) {
                      TRY(e.meter.take(sizeof(Item)));
                      seen.push_back(out);
                      return true;
                    }
                    ended = true;
                  }
                  if (seen.empty()) return false;
                  out = seen[at++ % seen.size()];
                  return true;
                });
}

Result<Item> take_while(Evaluator& eval, Args& args) {
  return lazily(
      eval, args,
      [done = false](Evaluator& e, Cursor& source, Args& a, Item& out) mutable -> Result<bool> {
        if (done) return false;
        TRY(bool more, source.next(e, out));
        if (!more) return false;
        TRY(bool keep, holds(e, a[1], out));
        done = !keep;
        return keep;
      });
}

Result<Item> skip_while(Evaluator& eval, Args& args) {
  return lazily(
      eval, args,
      [open = false](Evaluator& e, Cursor& source, Args& a, Item& out) mutable -> Result<bool> {
        while (true) {
          TRY(bool more, source.next(e, out));
          if (!more) return false;
          if (open) return true;
          TRY(bool drop, holds(e, a[1], out));
          if (drop) continue;
          open = true;
          return true;
        }
      });
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

Result<Item> slice(Evaluator& eval, Args& args) {
  int64_t length = int_of(args, 1, 0);
  if (length < 0) return value_error("the length of slice() must not be negative");
  return lazily(eval, args,
                [length](Evaluator& e, Cursor& source, Args&, Item& out) -> Result<bool> {
                  std::vector<Item> part;
                  while (static_cast<int64_t>(part.size()) < length) {
                    Item item;
                    TRY(bool more, source.next(e, item));
                    if (!more) break;
                    part.push_back(std::move(item));
                  }
                  bool some = !part.empty();
                  TRY(out, e.tuple(std::move(part)));
                  return some;
                });
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
  return iterate(eval, std::move(out));
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
  return iterate(eval, std::move(out));
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
  return iterate(eval, std::move(items));
}

Result<Item> is_iterable(Evaluator&, Args& args) { return Item(accepts(Type::Iterable, args[0])); }

Result<Item> default_if_empty(Evaluator& eval, Args& args) {
  TRY(auto items, eval.items_of(args[0]));
  if (items.empty()) return args[1];
  if (!args[0].is(ObjectKind::Iterator)) return args[0];
  return iterate(eval, std::move(items));
}

// generate(initial, predicate, producer, selector, decycle)
Result<Item> generate(Evaluator& eval, Args& args) {
  uint16_t below = 0;
  for (const auto& arg : args.rest(0)) below = std::max(below, depth_of(arg));
  return make_iterator(eval.meter, below,
                       [args = Args(args), at = args[0], seen = ItemTable(), started = false](
                           Evaluator& e, Item& out) mutable -> Result<bool> {
                         if (started) {
                           TRY(at, e.call_lambda(args[2], std::span(&at, 1)));
                         }
                         started = true;
                         TRY(bool go_on, holds(e, args[1], at));
                         if (!go_on) return false;
                         if (flag_of(args, 4, false)) {
                           TRY(auto place, seen.insert(e.meter, at));
                           if (!place.second) return false;
                         }
                         TRY(out, select_from(e, args, 3, at));
                         return true;
                       });
}

// generateMany(initial, producer, selector, decycle, depthFirst)
Result<Item> generate_many(Evaluator& eval, Args& args) {
  uint16_t below = 0;
  for (const auto& arg : args.rest(0)) below = std::max(below, depth_of(arg));
  return make_iterator(eval.meter, below,
                       [args = Args(args), queue = std::deque<Item>{args[0]}, seen = ItemTable()](
                           Evaluator& e, Item& out) mutable -> Result<bool> {
                         while (!queue.empty()) {
                           Item item = queue.front();
                           queue.pop_front();
                           if (flag_of(args, 3, false)) {
                             TRY(auto place, seen.insert(e.meter, item));
                             if (!place.second) continue;
                           }
                           TRY(out, select_from(e, args, 2, item));
                           TRY(Item produced, e.call_lambda(args[1], std::span(&item, 1)));
                           TRY(auto more, e.items_of(produced));
                           bool depth_first = flag_of(args, 4, false);
                           queue.insert(depth_first ? queue.begin() : queue.end(), more.begin(),
                                        more.end());
                           return true;
                         }
                         return false;
                       });
}

constexpr Row kRows[] = {
    {"accumulate", "collection:iter selector:lambda seed?", accumulate, Use::Method},
    {"aggregate", "collection:iter selector:lambda seed?", aggregate, Use::Method},
    {"all", "collection:iter predicate?:lambda", all, Use::Both},
    {"any", "collection:iter predicate?:lambda", any, Use::Both},
    {"append", "collection:iter *args", append, Use::Both},
    {"concat", "*collections:iter", concat, Use::Both},
    {"count", "collection:iter", count, Use::Method},
    {"cycle", "collection:iter", cycle, Use::Method},
    {"defaultIfEmpty", "collection:iter default:iter", default_if_empty, Use::Method},
    {"distinct", "collection:iter key_selector?:lambda", distinct, Use::Both},
    {"enumerate", "collection:iter start?:int", enumerate, Use::Both},
    {"filter", "collection:iter predicate:lambda", where, Use::Method},
    {"first", "collection:iter default?", first, Use::Method},
    {"generate", "initial predicate:lambda producer:lambda selector?:lambda decycle?:bool",
     generate},
    {"generateMany", "initial producer:lambda selector?:lambda decycle?:bool depth_first?:bool",
     generate_many},
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
    {"limit", "collection:iter count:int", limit, Use::Method},
    {"map", "collection:iter selector:lambda", select, Use::Method},
    {"max", "collection:iter initial?", extreme<true>, Use::Method},
    {"memorize", "collection:iter", memorize, Use::Method},
    {"min", "collection:iter initial?", extreme<false>, Use::Method},
    {"range", "stop:int", range_to},
    {"range", "start:int stop:int step?:int", range},
    {"reduce", "collection:iter selector:lambda seed?", aggregate, Use::Method},
    {"repeat", "value times?:int", repeat, Use::Method},
    {"reverse", "collection:iter", reverse, Use::Method},
    {"select", "collection:iter selector:lambda", select, Use::Method},
    {"selectMany", "collection:iter selector:lambda", select_many, Use::Method},
    {"sequence", "start?:int step?:int", sequence},
    {"single", "collection:iter", single, Use::Method},
    {"skip", "collection:iter count:int", skip, Use::Method},
    {"skipWhile", "collection:iter predicate:lambda", skip_while, Use::Method},
    {"slice", "collection:iter length:int", slice, Use::Method},
    {"sliceWhere", "collection:iter predicate:lambda", slice_where, Use::Method},
    {"splitAt", "collection:iter index:int", split_at, Use::Method},
    {"splitWhere", "collection:iter predicate:lambda", split_where, Use::Method},
    {"sum", "collection:iter initial?", sum, Use::Method},
    {"take", "collection:iter count:int", limit, Use::Method},
    {"takeWhile", "collection:iter predicate:lambda", take_while, Use::Method},
    {"where", "collection:iter predicate:lambda", where, Use::Method},
    {"zip", "*collections:iter", zip<false>, Use::Method},
    {"zipLongest", "*collections:iter **", zip<true>, Use::Method},
};

}  // namespace

std::span<const Row> yaql_query_rows() { return kRows; }

}  // namespace millrace::expr
