// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "expr/eval.h"
#include "expr/rows.h"
#include "expr/sorting.h"
#include "expr/text_formats.h"
#include "expr/unicode.h"

// Filters of Jinja 3.1 over lists, maps and numbers.
namespace millrace::expr {
namespace {

Error filter_error(std::string message) {
  return eval_error("FilterArgumentError: " + std::move(message));
}

Result<void> check_attribute(const Item& text) {
  constexpr size_t kLongest = 1024;
  if (!text.is_string() || text.str().size() <= kLongest) return {};
  return filter_error(fmt::format("expected an attribute of at most {} bytes, found {}", kLongest,
                                  text.str().size()));
}

// "a.b.0", cut once for all items; null is the item itself.
class AttributePath {
 public:
  static Result<AttributePath> parse(const Item& path) {
    AttributePath parsed;
    TRY(check_attribute(path));
    if (path.is_string()) {
      parsed.add(path.str());
    } else if (!path.is_null()) {
      parsed.parts_.push_back(path);
    }
    return parsed;
  }
  // sort's "a,b"
  static Result<std::vector<AttributePath>> parse_list(const Item& paths) {
    std::vector<AttributePath> out;
    TRY(check_attribute(paths));
    if (!paths.is_string()) {
      TRY(AttributePath one, parse(paths));
      out.push_back(std::move(one));
      return out;
    }
    for (std::string_view path : split(paths.str(), ',')) out.emplace_back().add(path);
    return out;
  }

  // `otherwise` stands for what is undefined on the way.
  Result<Item> of(Evaluator& eval, Item item, const Item* otherwise = nullptr) const {
    for (const Item& part : parts_) {
      TRY(eval.meter.step());
      TRY(item, eval.subscript(item, part));
      bool missing = parts_are_names_ && item.is_undefined();
      if (missing && otherwise && !otherwise->is_null()) item = *otherwise;
    }
    return item;
  }

 private:
  void add(std::string_view path) {
    parts_are_names_ = true;
    for (std::string_view part : split(path, '.')) {
      Item index;
      bool number = !part.empty() && part.find_first_not_of("0123456789") == part.npos &&
                    python::parse_int(part, 10, index);
      parts_.push_back(number ? index : Item(part));
    }
  }
  std::vector<Item> parts_;
  bool parts_are_names_ = false;
};

// The lower-cased copy is paid for before it is made.
Result<Item> ignore_case(Evaluator& eval, Item item, bool case_sensitive) {
  if (case_sensitive || !item.is_string()) return item;
  TRY(eval.meter.step(1 + item.str().size() / 16));  // made small letter by letter
  TRY(eval.meter.take(item.str().size()));
  return Item(unicode::lower(item.str()));
}

bool flag(const Args& args, size_t i) { return args.given(i) && python::truth(args[i]); }

Result<bool> less(Evaluator& eval, const Item& a, const Item& b) {
  TRY(auto order, python::compare(eval.meter, a, b));
  return order < 0;
}

Result<Item> sorted(Evaluator& eval, const std::vector<Item>& items, const std::vector<Item>& keys,
                    bool reverse) {
  TRY(auto order, stable_order(eval.meter, items.size(), [&](size_t a, size_t b) {
        return reverse ? less(eval, keys[b], keys[a]) : less(eval, keys[a], keys[b]);
      }));
  std::vector<Item> out;
  for (size_t i : order) out.push_back(items[i]);
  return eval.list(std::move(out));
}

// sort(reverse, case_sensitive, attribute): "a,b" sorts by several attributes.
Result<Item> sort(Evaluator& eval, Args& args) {
  TRY(auto items, eval.items_of(args[0]));
  std::vector<Item> keys;
  TRY(auto paths, AttributePath::parse_list(args[3]));
  for (const auto& item : items) {
    std::vector<Item> key;
    for (const auto& path : paths) {
      TRY(Item part, path.of(eval, item));
      TRY(part, ignore_case(eval, std::move(part), flag(args, 2)));
      key.push_back(std::move(part));
    }
    TRY(Item tuple, eval.tuple(std::move(key)));
    keys.push_back(std::move(tuple));
  }
  return sorted(eval, items, keys, flag(args, 1));
}

Result<Item> dictsort(Evaluator& eval, Args& args) {
  if (!is_map(args[0])) return type_error("dictsort wants a mapping");
  bool by_value = args.given(2) && args[2].is_string() && args[2].str() == "value";
  bool by_key = !args.given(2) || (args[2].is_string() && args[2].str() == "key");
  if (!by_key && !by_value) {
    return filter_error("You can only sort by either \"key\" or \"value\"");
  }
  TRY(auto entries, entries_of(eval, args[0]));
  std::vector<Item> pairs;
  std::vector<Item> keys;
  for (const auto& [key, value] : entries) {
    TRY(Item folded, ignore_case(eval, by_value ? value : key, flag(args, 1)));
    keys.push_back(std::move(folded));
    TRY(Item pair, make_pair_item(eval.meter, Flavor::Tuple, key, value));
    pairs.push_back(std::move(pair));
  }
  return sorted(eval, pairs, keys, flag(args, 3));
}

Result<Item> unique(Evaluator& eval, Args& args) {
  TRY(auto items, eval.items_of(args[0]));
  TRY(AttributePath path, AttributePath::parse(args[2]));
  ItemTable seen;
  std::vector<Item> out;
  for (const auto& item : items) {
    TRY(Item key, path.of(eval, item));
    TRY(key, ignore_case(eval, std::move(key), flag(args, 1)));
    TRY(auto at, seen.insert(eval.meter, key));
    if (at.second) out.push_back(item);
  }
  return iterate_over(eval, std::move(out));
}

template <bool Max>
Result<Item> extreme(Evaluator& eval, Args& args) {
  TRY(auto items, eval.items_of(args[0]));
  if (items.empty()) {
    return Item(make<Undefined>("No aggregated item, sequence was empty."));
  }
  TRY(AttributePath path, AttributePath::parse(args[2]));
  size_t best = 0;
  Item best_key;
  for (size_t i = 0; i < items.size(); ++i) {
    TRY(Item key, path.of(eval, items[i]));
    TRY(key, ignore_case(eval, std::move(key), flag(args, 1)));
    bool better = i == 0;
    if (i > 0) {
      TRY(better, Max ? less(eval, best_key, key) : less(eval, key, best_key));
    }
    if (better) {
      best = i;
      best_key = std::move(key);
    }
  }
  return items[best];
}

Result<Item> group_by(Evaluator& eval, Args& args) {
  TRY(auto items, eval.items_of(args[0]));
  const Item* otherwise = args.given(2) ? &args[2] : nullptr;
  TRY(AttributePath path, AttributePath::parse(args[1]));
  std::vector<Item> keys;
  for (const auto& item : items) {
    TRY(Item key, path.of(eval, item, otherwise));
    TRY(key, ignore_case(eval, std::move(key), flag(args, 3)));
    keys.push_back(std::move(key));
  }
  TRY(auto order, stable_order(eval.meter, items.size(),
                               [&](size_t a, size_t b) { return less(eval, keys[a], keys[b]); }));
  std::vector<Item> groups;
  for (size_t i = 0; i < order.size();) {
    std::vector<Item> members;
    size_t first = order[i];
    for (; i < order.size(); ++i) {
      TRY(bool same, eval.equal(keys[first], keys[order[i]]));
      if (!same) break;
      members.push_back(items[order[i]]);
    }
    TRY(Item name, path.of(eval, members[0], otherwise));
    TRY(Item list, eval.list(std::move(members)));
    TRY(Item pair, make_pair_item(eval.meter, Flavor::Tuple, std::move(name), std::move(list)));
    pair.as<Seq>(ObjectKind::Seq)->is_group = true;
    groups.push_back(std::move(pair));
  }
  return eval.list(std::move(groups));
}

Result<Item> sum(Evaluator& eval, Args& args) {
  TRY(auto items, eval.items_of(args[0]));
  Item total = args.given(2) ? args[2] : Item(0);
  if (total.is_string()) return type_error("sum() can't sum strings [use ''.join(seq) instead]");
  TRY(AttributePath path, AttributePath::parse(args[1]));
  for (const auto& item : items) {
    TRY(Item part, path.of(eval, item));
    if (part.is_undefined()) return undefined_use(part);
    TRY(total, eval.binary(python::Arithmetic::Add, total, part));
  }
  return total;
}

Result<Item> first(Evaluator& eval, Args& args) {
  TRY(Cursor cursor, Cursor::over(args[0]));
  Item item;
  TRY(bool found, cursor.next(eval, item));
  if (found) return item;
  return Item(make<Undefined>("No first item, sequence was empty."));
}

Result<Item> last(Evaluator& eval, Args& args) {
  if (args[0].is(ObjectKind::Iterator)) return type_error("'generator' object is not reversible");
  TRY(auto items, eval.items_of(args[0]));
  if (!items.empty()) return items.back();
  return Item(make<Undefined>("No last item, sequence was empty."));
}

Result<Item> random_item(Evaluator& eval, Args& args) {
  TRY(int64_t size, eval.length(args[0]));
  if (size == 0) return Item(make<Undefined>("No random item, sequence was empty."));
  auto pick = static_cast<int64_t>(eval.random() % static_cast<uint64_t>(size));
  return eval.subscript(args[0], Item(pick));
}

Result<Item> length(Evaluator& eval, Args& args) {
  TRY(int64_t n, eval.length(args[0]));
  return Item(n);
}

Result<Item> list(Evaluator& eval, Args& args) {
  TRY(auto items, eval.items_of(args[0]));
  return eval.list(std::move(items));
}

Result<Item> items(Evaluator& eval, Args& args) {
  if (args[0].is_undefined()) return iterate_over(eval, {});
  if (!is_map(args[0])) return type_error("Can only get item pairs from a mapping.");
  TRY(auto entries, entries_of(eval, args[0]));
  std::vector<Item> pairs;
  for (auto& [key, value] : entries) {
    TRY(Item pair, make_pair_item(eval.meter, Flavor::Tuple, key, value));
    pairs.push_back(std::move(pair));
  }
  return iterate_over(eval, std::move(pairs));
}

Result<Item> reverse(Evaluator& eval, Args& args) {
  if (args[0].is_string()) {
    TRY(eval.meter.take(args[0].str().size() * sizeof(uint32_t)));  // the places of its characters
    return eval.text(unicode::slice(args[0].str(), {}, {}, -1));
  }
  TRY(auto items, eval.items_of(args[0]));
  std::reverse(items.begin(), items.end());
  return iterate_over(eval, std::move(items));
}

Result<Item> batch(Evaluator& eval, Args& args) {
  TRY(auto items, eval.items_of(args[0]));
  TRY(int64_t size, python::as_index(args[1], "a batch size"));
  std::vector<Item> rows;
  std::vector<Item> row;
  auto flush = [&]() -> Result<void> {
    TRY(Item list, eval.list(std::move(row)));
    rows.push_back(std::move(list));
    row.clear();
    return {};
  };
  for (auto& item : items) {
    if (static_cast<int64_t>(row.size()) == size) TRY(flush());
    row.push_back(std::move(item));
  }
  if (!row.empty()) {
    while (args.given(2) && !args[2].is_null() && static_cast<int64_t>(row.size()) < size) {
      TRY(eval.meter.take(sizeof(Item)));
      row.push_back(args[2]);
    }
    TRY(flush());
  }
  return iterate_over(eval, std::move(rows));
}

Result<Item> slice(Evaluator& eval, Args& args) {
  TRY(auto items, eval.items_of(args[0]));
  TRY(int64_t slices, python::as_index(args[1], "a number of slices"));
  if (slices == 0) return eval_error("ZeroDivisionError: integer division or modulo by zero");
  std::vector<Item> out;
  auto size = static_cast<int64_t>(items.size());
  int64_t at = 0;
  for (int64_t i = 0; i < slices; ++i) {
    TRY(eval.meter.step());
    int64_t count = size / slices + (i < size % slices ? 1 : 0);
    std::vector<Item> part(items.begin() + at, items.begin() + at + count);
    at += count;
    if (args.given(2) && !args[2].is_null() && i >= size % slices) part.push_back(args[2]);
    TRY(Item list, eval.list(std::move(part)));
    out.push_back(std::move(list));
  }
  return iterate_over(eval, std::move(out));
}

// Calls the filter or test that `name` names on `item` with the arguments after `skip`.
Result<Item> call_named(Evaluator& eval, const Table& table, std::string_view kind,
                        const Item& name, const Item& item, const Args& args, size_t skip) {
  TRY(std::string text, eval.str(name));
  TRY(eval.meter.scan(text.size()));
  uint32_t row = table.find(text);
  if (row == kNone) {
    return eval_error(fmt::format("TemplateRuntimeError: No {} named '{}'.", kind, text));
  }
  Args inner;
  inner.push(item);
  TRY(eval.meter.step(args.size() / 4));
  for (const auto& arg : args.rest(skip)) inner.push(arg);
  for (const auto& [key, value] : args.named()) inner.name(key, value);
  return eval.apply(table.at(row), inner);
}

Result<Item> map(Evaluator& eval, Args& args) {
  const Item* attribute = args.size() == 1 ? args.find_named("attribute") : nullptr;
  if (!attribute && args.size() < 2) return filter_error("map requires a filter argument");
  if (!python::truth(args[0])) return iterate_over(eval, {});
  TRY(AttributePath path, AttributePath::parse(attribute ? *attribute : Item()));
  TRY(auto items, eval.items_of(args[0]));
  std::vector<Item> out;
  for (const auto& item : items) {
    Item mapped;
    if (attribute) {
      TRY(mapped, path.of(eval, item, args.find_named("default")));
    } else {
      TRY(mapped, call_named(eval, jinja_filters(), "filter", args[1], item, args, 2));
    }
    out.push_back(std::move(mapped));
  }
  return iterate_over(eval, std::move(out));
}

template <bool Keep, bool ByAttribute>
Result<Item> select(Evaluator& eval, Args& args) {
  constexpr size_t kTest = ByAttribute ? 2 : 1;
  if (ByAttribute && args.size() < 2) return filter_error("Missing parameter for attribute name");
  if (!python::truth(args[0])) return iterate_over(eval, {});
  TRY(AttributePath path, AttributePath::parse(ByAttribute ? args[1] : Item()));
  TRY(auto items, eval.items_of(args[0]));
  std::vector<Item> out;
  for (const auto& item : items) {
    TRY(Item subject, path.of(eval, item));
    Item verdict = subject;
    if (args.size() > kTest) {
      TRY(verdict, call_named(eval, jinja_tests(), "test", args[kTest], subject, args, kTest + 1));
    }
    TRY(bool holds, truth_of(verdict));
    if (holds == Keep) out.push_back(item);
  }
  return iterate_over(eval, std::move(out));
}

Result<Item> default_value(Evaluator&, Args& args) {
  bool missing = args[0].is_undefined() || (flag(args, 2) && !python::truth(args[0]));
  if (!missing) return args[0];
  return args.given(1) ? args[1] : Item("");
}

Result<Item> absolute(Evaluator&, Args& args) {
  if (!python::is_number(args[0])) {
    return type_error(fmt::format("bad operand type for abs(): '{}'", python::type_name(args[0])));
  }
  if (args[0].is_float()) return Item(std::fabs(args[0].value().as_float()));
  if (python::as_int128(args[0]) >= 0) return make_int(python::as_int128(args[0]));
  return python::negate(args[0]);
}

Result<Item> to_int(Evaluator&, Args& args) {
  Item otherwise = args.given(1) ? args[1] : Item(0);
  int64_t base = 10;
  if (args.given(2)) {
    TRY(base, python::as_index(args[2], "a base"));
  }
  if (base != 0 && (base < 2 || base > 36)) return otherwise;
  double d = 0;
  if (args[0].is_string()) {
    Item parsed;
    if (python::parse_int(args[0].str(), static_cast<int>(base), parsed)) return parsed;
    if (!python::parse_float(args[0].str(), d)) return otherwise;
  } else if (python::is_integer(args[0])) {
    return make_int(python::as_int128(args[0]));
  } else if (args[0].is_float()) {
    d = args[0].value().as_float();
  } else {
    return otherwise;
  }
  if (std::isnan(d)) return otherwise;
  return python::float_to_int(d);
}

Result<Item> to_float(Evaluator&, Args& args) {
  double d = 0;
  if (python::is_number(args[0])) return Item(python::as_double(args[0]));
  if (args[0].is_string() && python::parse_float(args[0].str(), d)) return Item(d);
  return args.given(1) ? args[1] : Item(0.0);
}

Result<Item> round(Evaluator&, Args& args) {
  int64_t digits = 0;
  if (args.given(1)) {
    TRY(digits, python::as_index(args[1], "precision"));
  }
  std::string_view method = args.given(2) && args[2].is_string() ? args[2].str() : "common";
  if (method != "common" && method != "ceil" && method != "floor") {
    return filter_error("method must be common, ceil or floor");
  }
  if (!python::is_number(args[0])) {
    return type_error(
        fmt::format("type {} doesn't define __round__ method", python::type_name(args[0])));
  }
  double d = python::as_double(args[0]);
  if (method != "common") {
    double scale = std::pow(10.0, static_cast<double>(digits));
    double scaled = d * scale;
    return Item((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale);
  }
  if (!python::is_integer(args[0])) return Item(python::round_half_even(d, digits));
  if (digits >= 0) return make_int(python::as_int128(args[0]));
  return python::float_to_int(python::round_half_even(d, digits));
}

Result<Item> attr(Evaluator& eval, Args& args) {
  TRY(std::string name, eval.str(args[1]));
  if (is_map(args[0])) {
    return Item(make<Undefined>(fmt::format("'dict object' has no attribute '{}'", brief(name))));
  }
  return eval.attribute(args[0], name);
}

constexpr Row kFilters[] = {
    {"abs", "value", absolute},
    {"attr", "obj name", attr},
    {"batch", "value linecount fill_with?", batch},
    {"count", "value", length},
    {"d", "value default_value? boolean?", default_value},
    {"default", "value default_value? boolean?", default_value},
    {"dictsort", "value case_sensitive? by? reverse?", dictsort},
    {"first", "seq", first},
    {"float", "value default?", to_float},
    {"groupby", "value attribute default? case_sensitive?", group_by},
    {"int", "value default? base?", to_int},
    {"items", "value", items},
    {"last", "seq", last},
    {"length", "value", length},
    {"list", "value", list},
    {"map", "value *args **", map},
    {"max", "value case_sensitive? attribute?", extreme<true>},
    {"min", "value case_sensitive? attribute?", extreme<false>},
    {"random", "seq", random_item},
    {"reject", "value *args **", select<false, false>},
    {"rejectattr", "value *args **", select<false, true>},
    {"reverse", "value", reverse},
    {"round", "value precision? method?", round},
    {"select", "value *args **", select<true, false>},
    {"selectattr", "value *args **", select<true, true>},
    {"slice", "value slices fill_with?", slice},
    {"sort", "value reverse? case_sensitive? attribute?", sort},
    {"sum", "iterable attribute? start?", sum},
    {"unique", "value case_sensitive? attribute?", unique},
};

}  // namespace

std::span<const Row> jinja_sequence_filters() { return kFilters; }

}  // namespace millrace::expr
