// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <deque>

#include "expr/rows.h"
#include "expr/text_formats.h"
#include "expr/yaql.h"

// The part of yaql/standard_library/queries.py that gives iterators. What Python computes lazily is
// lazy here too: the source may be endless.
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
    {"append", "collection:iter *args", append, Use::Both},
    {"concat", "*collections:iter", concat, Use::Both},
    {"cycle", "collection:iter", cycle, Use::Method},
    {"distinct", "collection:iter key_selector?:lambda", distinct, Use::Both},
    {"enumerate", "collection:iter start?:int", enumerate, Use::Both},
    {"filter", "collection:iter predicate:lambda", where, Use::Method},
    {"generate", "initial predicate:lambda producer:lambda selector?:lambda decycle?:bool",
     generate},
    {"generateMany", "initial producer:lambda selector?:lambda decycle?:bool depth_first?:bool",
     generate_many},
    {"limit", "collection:iter count:int", limit, Use::Method},
    {"map", "collection:iter selector:lambda", select, Use::Method},
    {"range", "stop:int", range_to},
    {"range", "start:int stop:int step?:int", range},
    {"repeat", "value times?:int", repeat, Use::Method},
    {"select", "collection:iter selector:lambda", select, Use::Method},
    {"selectMany", "collection:iter selector:lambda", select_many, Use::Method},
    {"sequence", "start?:int step?:int", sequence},
    {"skip", "collection:iter count:int", skip, Use::Method},
    {"skipWhile", "collection:iter predicate:lambda", skip_while, Use::Method},
    {"slice", "collection:iter length:int", slice, Use::Method},
    {"take", "collection:iter count:int", limit, Use::Method},
    {"takeWhile", "collection:iter predicate:lambda", take_while, Use::Method},
    {"where", "collection:iter predicate:lambda", where, Use::Method},
    {"zip", "*collections:iter", zip<false>, Use::Method},
    {"zipLongest", "*collections:iter **", zip<true>, Use::Method},
};

}  // namespace

std::span<const Row> yaql_stream_rows() { return kRows; }

}  // namespace millrace::expr
