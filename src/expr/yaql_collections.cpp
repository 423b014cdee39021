// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "expr/rows.h"
#include "expr/text_formats.h"
#include "expr/yaql.h"

// yaql/standard_library/collections.py
namespace millrace::expr {
namespace {

// list(...) and set(...): iterators among the arguments are drawn out.
Result<void> spread(Evaluator& eval, const Item& item, std::vector<Item>& out) {
  if (!item.is(ObjectKind::Iterator)) {
    out.push_back(item);
    return {};
  }
  TRY(eval.meter.enter());
  Level level(eval.meter);
  TRY(auto items, eval.items_of(item));
  for (const auto& inner : items) TRY(spread(eval, inner, out));
  return {};
}

Result<Item> set_of(Evaluator& eval, const std::vector<Item>& items) {
  ItemTable table;
  for (const auto& item : items) TRY(table.insert(eval.meter, item));
  return make_seq(eval.meter, Flavor::FrozenSet, table.keys());
}

Result<Item> list(Evaluator& eval, Args& args) {
  std::vector<Item> out;
  for (const auto& arg : args.rest(0)) TRY(spread(eval, arg, out));
  return eval.tuple(std::move(out));
}

Result<Item> set(Evaluator& eval, Args& args) {
  std::vector<Item> out;
  for (const auto& arg : args.rest(0)) TRY(spread(eval, arg, out));
  return set_of(eval, out);
}

Result<Item> flatten(Evaluator& eval, Args& args) {
  TRY(Cursor outermost, Cursor::over(args[0]));
  std::vector<Cursor> open{std::move(outermost)};
  return make_iterator(eval.meter, depth_of(args[0]),
                       [open = std::move(open)](Evaluator& e, Item& out) mutable -> Result<bool> {
                         while (!open.empty()) {
                           TRY(bool more, open.back().next(e, out));
                           if (!more) {
                             open.pop_back();
                           } else if (accepts(Type::Iterable, out)) {
                             TRY(e.meter.take(sizeof(Cursor)));
                             TRY(Cursor inner, Cursor::over(out));
                             open.push_back(std::move(inner));
                           } else {
                             return true;
                           }
                         }
                         return false;
                       });
}

Result<Item> to_list(Evaluator& eval, Args& args) {
  auto* seq = args[0].as<Seq>(ObjectKind::Seq);
  bool is_tuple =
      (args[0].is_plain_list() && !args[0].is_raw()) || (seq && seq->flavor == Flavor::Tuple);
  if (is_tuple) return args[0];
  TRY(auto items, eval.items_of(args[0]));
  return eval.tuple(std::move(items));
}

Result<Item> to_set(Evaluator& eval, Args& args) {
  TRY(auto items, eval.items_of(args[0]));
  return set_of(eval, items);
}

Result<void> set_pairs(Evaluator& eval, Dict& dict, std::span<const Item> pairs) {
  for (const auto& pair : pairs) {
    auto* rule = pair.as<Rule>(ObjectKind::Rule);
    TRY(dict.set(eval.meter, rule->source, rule->destination));
  }
  return {};
}

Result<Item> dict_of_pairs(Evaluator& eval, Args& args) {
  auto dict = make<Dict>(true);
  TRY(set_pairs(eval, *dict, args.rest(0)));
  return Item(dict);
}

Result<Item> dict_of_items(Evaluator& eval, Args& args) {
  auto dict = make<Dict>(true);
  TRY(auto items, eval.items_of(args[0]));
  for (const auto& item : items) {
    TRY(auto pair, eval.items_of(item));
    if (pair.size() < 2) return eval_error("StopIteration: dict() wants pairs");
    TRY(dict->set(eval.meter, pair[0], pair[1]));
  }
  return Item(dict);
}

Result<Item> to_dict(Evaluator& eval, Args& args) {
  auto dict = make<Dict>(false);
  TRY(Cursor cursor, Cursor::over(args[0]));
  while (true) {
    Item item;
    TRY(bool more, cursor.next(eval, item));
    if (!more) return Item(dict);
    TRY(Item key, select_from(eval, args, 1, item));
    TRY(Item value, select_from(eval, args, 2, item));
    TRY(dict->set(eval.meter, key, std::move(value)));
  }
}

Result<Item> get(Evaluator& eval, Args& args) {
  Item found;
  TRY(bool has, map_lookup(eval, args[0], args[1], found));
  return has ? found : args[2];
}

Result<Ref<Dict>> copy_of(Evaluator& eval, const Item& map, bool frozen) {
  auto dict = make<Dict>(frozen);
  TRY(auto entries, entries_of(eval, map));
  for (auto& [key, value] : entries) TRY(dict->set(eval.meter, key, std::move(value)));
  return dict;
}

Result<Item> set_key(Evaluator& eval, Args& args) {
  TRY(auto dict, copy_of(eval, args[0], true));
  TRY(dict->set(eval.meter, args[1], args[2]));
  return Item(dict);
}
Result<Item> set_many(Evaluator& eval, Args& args) {
  TRY(auto dict, copy_of(eval, args[0], true));
  TRY(auto entries, entries_of(eval, args[1]));
  for (auto& [key, value] : entries) TRY(dict->set(eval.meter, key, std::move(value)));
  return Item(dict);
}
Result<Item> set_inline(Evaluator& eval, Args& args) {
  TRY(auto dict, copy_of(eval, args[0], true));
  TRY(set_pairs(eval, *dict, args.rest(1)));
  return Item(dict);
}

template <Flavor View>
Result<Item> view(Evaluator& eval, Args& args) {
  TRY(auto entries, entries_of(eval, args[0]));
  std::vector<Item> out;
  for (auto& [key, value] : entries) {
    if (View == Flavor::Keys) {
      out.push_back(std::move(key));
    } else if (View == Flavor::Values) {
      out.push_back(std::move(value));
    } else {
      TRY(Item pair, make_pair_item(eval.meter, Flavor::Tuple, key, value));
      out.push_back(std::move(pair));
    }
  }
  return make_seq(eval.meter, View, std::move(out));
}

Result<Item> contains(Evaluator& eval, Args& args) {
  TRY(bool found, eval.contains(args[0], args[1]));
  return Item(found);
}
Result<Item> contains_key(Evaluator& eval, Args& args) {
  Item found;
  TRY(bool has, map_lookup(eval, args[0], args[1], found));
  return Item(has);
}
Result<Item> contains_value(Evaluator& eval, Args& args) {
  TRY(auto entries, entries_of(eval, args[0]));
  for (const auto& [key, value] : entries) {
    TRY(bool same, eval.equal(value, args[1]));
    if (same) return Item(true);
  }
  return Item(false);
}

Result<Item> is_list(Evaluator&, Args& args) { return Item(is_sequence(args[0])); }
Result<Item> is_dict(Evaluator&, Args& args) { return Item(is_map(args[0])); }
Result<Item> is_set(Evaluator&, Args& args) { return Item(accepts(Type::Set, args[0])); }

Result<Item> length(Evaluator& eval, Args& args) {
  TRY(int64_t n, eval.length(args[0]));
  return Item(n);
}

// Whether the element at `i` lies in position, position + count; a negative count reaches the end.
bool in_cut(int64_t i, int64_t position, int64_t count) {
  if (count < 0) return i >= position;
  return position <= i && (i - position) < count;
}

Result<Item> delete_at(Evaluator& eval, Args& args) {
  TRY(auto items, eval.items_of(args[0]));
  std::vector<Item> out;
  for (size_t i = 0; i < items.size(); ++i) {
    bool cut = in_cut(static_cast<int64_t>(i), int_of(args, 1, 0), int_of(args, 2, 1));
    if (!cut) out.push_back(items[i]);
  }
  return iterate_over(eval, std::move(out));
}

Result<Item> replaced(Evaluator& eval, Args& args, const std::vector<Item>& with) {
  TRY(auto items, eval.items_of(args[0]));
  std::vector<Item> out;
  bool yielded = false;
  for (size_t i = 0; i < items.size(); ++i) {
    bool cut = in_cut(static_cast<int64_t>(i), int_of(args, 1, 0), int_of(args, 3, 1));
    if (!cut) out.push_back(items[i]);
    if (cut && !yielded) out.insert(out.end(), with.begin(), with.end());
    yielded |= cut;
  }
  return iterate_over(eval, std::move(out));
}
Result<Item> replace(Evaluator& eval, Args& args) { return replaced(eval, args, {args[2]}); }
Result<Item> replace_many(Evaluator& eval, Args& args) {
  TRY(auto with, eval.items_of(args[2]));
  return replaced(eval, args, with);
}

Result<Item> delete_keys_of(Evaluator& eval, const Item& map, std::span<const Item> keys) {
  TRY(auto dict, copy_of(eval, map, false));
  for (const auto& key : keys) {
    TRY(bool erased, dict->erase(eval.meter, key));
    TRY(eval.meter.step(dict->values.size()));
    (void)erased;
  }
  return Item(dict);
}
Result<Item> delete_keys(Evaluator& eval, Args& args) {
  return delete_keys_of(eval, args[0], args.rest(1));
}
Result<Item> delete_all(Evaluator& eval, Args& args) {
  TRY(auto keys, eval.items_of(args[1]));
  return delete_keys_of(eval, args[0], keys);
}

// list.insert of Python.
Result<Item> list_insert(Evaluator& eval, Args& args) {
  TRY(auto items, eval.items_of(args[0]));
  auto size = static_cast<int64_t>(items.size());
  int64_t at = int_of(args, 1, 0);
  at = std::clamp<int64_t>(at < 0 ? at + size : at, 0, size);
  items.insert(items.begin() + at, args[2]);
  return eval.list(std::move(items));
}

Result<Item> inserted(Evaluator& eval, Args& args, const std::vector<Item>& values,
                      bool before_all) {
  TRY(auto items, eval.items_of(args[0]));
  int64_t position = int_of(args, 1, 0);
  std::vector<Item> out;
  if (before_all && position < 0) out = values;
  for (size_t i = 0; i < items.size(); ++i) {
    if (static_cast<int64_t>(i) == position) out.insert(out.end(), values.begin(), values.end());
    out.push_back(items[i]);
  }
  if (position > static_cast<int64_t>(items.size()) - 1) {
    out.insert(out.end(), values.begin(), values.end());
  }
  return iterate_over(eval, std::move(out));
}
Result<Item> iter_insert(Evaluator& eval, Args& args) {
  if (accepts(Type::Set, args[0])) return no_match("insert");
  return inserted(eval, args, {args[2]}, false);
}
Result<Item> insert_many(Evaluator& eval, Args& args) {
  TRY(auto values, eval.items_of(args[2]));
  return inserted(eval, args, values, true);
}

// Methods of frozenset, which the views of a map do not have.
Result<void> need_frozen_set(const Item& item, std::string_view method) {
  auto* seq = item.as<Seq>(ObjectKind::Seq);
  if (seq && seq->flavor == Flavor::FrozenSet) return {};
  return eval_error(fmt::format("AttributeError: '{}' object has no attribute '{}'",
                                python::type_name(item), method));
}

// Those of `from` whose presence in `other` is `wanted`.
Result<std::vector<Item>> filtered(Evaluator& eval, const Item& from, const Item& other,
                                   bool wanted) {
  std::vector<Item> out;
  ItemTable table;
  TRY(auto others, eval.items_of(other));
  for (const auto& item : others) TRY(table.insert(eval.meter, item));
  TRY(auto items, eval.items_of(from));
  for (auto& item : items) {
    TRY(size_t at, table.find(eval.meter, item));
    if ((at != ItemTable::kNone) == wanted) out.push_back(std::move(item));
  }
  return out;
}

Result<Item> set_union(Evaluator& eval, Args& args) {
  TRY(need_frozen_set(args[0], "union"));
  TRY(auto items, eval.items_of(args[0]));
  TRY(auto more, eval.items_of(args[1]));
  items.insert(items.end(), more.begin(), more.end());
  return set_of(eval, items);
}
Result<Item> set_intersect(Evaluator& eval, Args& args) {
  TRY(need_frozen_set(args[0], "intersection"));
  TRY(auto out, filtered(eval, args[0], args[1], true));
  return set_of(eval, out);
}
Result<Item> set_difference(Evaluator& eval, Args& args) {
  TRY(need_frozen_set(args[0], "difference"));
  TRY(auto out, filtered(eval, args[0], args[1], false));
  return set_of(eval, out);
}
Result<Item> set_symmetric_difference(Evaluator& eval, Args& args) {
  TRY(need_frozen_set(args[0], "symmetric_difference"));
  TRY(auto out, filtered(eval, args[0], args[1], false));
  TRY(auto more, filtered(eval, args[1], args[0], false));
  out.insert(out.end(), more.begin(), more.end());
  return set_of(eval, out);
}
Result<Item> set_add(Evaluator& eval, Args& args) {
  TRY(need_frozen_set(args[0], "union"));
  TRY(auto items, eval.items_of(args[0]));
  items.insert(items.end(), args.rest(1).begin(), args.rest(1).end());
  return set_of(eval, items);
}
Result<Item> set_remove(Evaluator& eval, Args& args) {
  TRY(need_frozen_set(args[0], "difference"));
  TRY(Item gone, eval.tuple(std::vector<Item>(args.rest(1).begin(), args.rest(1).end())));
  TRY(auto out, filtered(eval, args[0], gone, false));
  return set_of(eval, out);
}

constexpr Row kRows[] = {
    {"add", "set:set *values", set_add, Use::Method},
    {"contains", "collection:iter value", contains, Use::Method},
    {"containsKey", "dict:map key", contains_key, Use::Method},
    {"containsValue", "dict:map value", contains_value, Use::Method},
    {"delete", "collection:iter position:int count?:int", delete_at, Use::Method},
    {"delete", "dict:map *keys", delete_keys, Use::Method},
    {"deleteAll", "dict:map keys:iter", delete_all, Use::Method},
    {"dict", "! *args:pair", dict_of_pairs},
    {"dict", "! items:iter", dict_of_items},
    {"difference", "left:set right:set", set_difference, Use::Method},
    {"flatten", "collection:iter", flatten, Use::Method},
    {"get", "dict:map key default?", get, Use::Method},
    {"insert", "collection:seq position:int value", list_insert, Use::Method},
    {"insert", "collection:iter position:int value", iter_insert, Use::Method},
    {"insertMany", "collection:iter position:int values:iter", insert_many, Use::Method},
    {"intersect", "left:set right:set", set_intersect, Use::Method},
    {"isDict", "arg", is_dict},
    {"isList", "arg", is_list},
    {"isSet", "arg", is_set},
    {"items", "dict:map", view<Flavor::Items>, Use::Method},
    {"keys", "dict:map", view<Flavor::Keys>, Use::Method},
    {"len", "dict:map", length, Use::Both},
    {"len", "sequence:seq", length, Use::Both},
    {"len", "set:set", length, Use::Both},
    {"list", "*args", list},
    {"remove", "set:set *values", set_remove, Use::Method},
    {"replace", "collection:iter position:int value count?:int", replace, Use::Method},
    {"replaceMany", "collection:iter position:int values:iter count?:int", replace_many,
     Use::Method},
    {"set", "*args", set},
    {"set", "! dict:map *args:pair", set_inline, Use::Method},
    {"set", "! dict:map key value", set_key, Use::Method},
    {"set", "! dict:map replacements:map", set_many, Use::Method},
    {"symmetricDifference", "left:set right:set", set_symmetric_difference, Use::Method},
    {"toDict", "collection:iter key_selector:lambda value_selector?:lambda", to_dict, Use::Method},
    {"toList", "collection:iter", to_list, Use::Method},
    {"toSet", "collection:iter", to_set, Use::Method},
    {"union", "left:set right:set", set_union, Use::Method},
    {"values", "dict:map", view<Flavor::Values>, Use::Method},
};

}  // namespace

std::span<const Row> yaql_collection_rows() { return kRows; }

}  // namespace millrace::expr
