// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "expr/rows.h"
#include "expr/sorting.h"
#include "expr/text_formats.h"
#include "expr/yaql.h"

// orderBy and mergeWith of yaql/standard_library/queries.py.
namespace millrace::expr {
namespace {

// What orderBy gives: sorted, and open to thenBy. Not a list: it has no length and no index.
struct Ordering : Seq {
  struct Key {
    Item selector;
    bool ascending;
  };
  Ordering() : Seq(Flavor::Ordering) {}
  std::vector<Item> source;
  std::vector<Key> keys;
};

// a before b by YAQL's own `<` and `>`, which order null first and refuse mixed kinds.
Result<int> order_of(Evaluator& eval, const Item& a, const Item& b) {
  TRY(Item lesser, eval.yaql_operator(YaqlOperator::Lt, a, b));
  if (python::truth(lesser)) return -1;
  TRY(Item greater, eval.yaql_operator(YaqlOperator::Gt, a, b));
  return python::truth(greater) ? 1 : 0;
}

Result<Item> sorted(Evaluator& eval, std::vector<Item> source, std::vector<Ordering::Key> keys) {
  TRY(eval.meter.take(source.size() * (sizeof(std::vector<Item>) + keys.size() * sizeof(Item))));
  std::vector<std::vector<Item>> values(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    for (const auto& key : keys) {
      TRY(Item value, eval.call_lambda(key.selector, std::span(&source[i], 1)));
      values[i].push_back(std::move(value));
    }
  }
  TRY(auto order, stable_order(eval.meter, source.size(), [&](size_t a, size_t b) -> Result<bool> {
        for (size_t k = 0; k < keys.size(); ++k) {
          TRY(int found, order_of(eval, values[a][k], values[b][k]));
          if (found != 0) return (found < 0) == keys[k].ascending;
        }
        return false;
      }));
  TRY(eval.meter.take(source.size() * 2 * sizeof(Item)));
  auto out = make<Ordering>();
  for (size_t i : order) out->items.push_back(source[i]);
  uint16_t below = depth_of(source);
  for (const auto& key : keys) below = std::max(below, depth_of(key.selector));
  TRY(nest(eval.meter, *out, below));
  out->source = std::move(source);
  out->keys = std::move(keys);
  return Item(Ref<Seq>(out));
}

template <bool Ascending>
Result<Item> order_by(Evaluator& eval, Args& args) {
  TRY(auto items, eval.items_of(args[0]));
  return sorted(eval, std::move(items), {{args[1], Ascending}});
}

template <bool Ascending>
Result<Item> then_by(Evaluator& eval, Args& args) {
  auto* ordering = static_cast<Ordering*>(args[0].as<Seq>(ObjectKind::Seq));
  auto keys = ordering->keys;
  keys.push_back({args[1], Ascending});
  return sorted(eval, ordering->source, std::move(keys));
}

// mergeWith(another, listMerger, itemMerger, maxLevels)
class Merger {
 public:
  Merger(Evaluator& eval, const Args& args) : eval_(eval), args_(args) {}

  Result<Item> merge(const Item& a, const Item& b, int64_t levels) {
    TRY(eval_.meter.enter());
    Level level(eval_.meter);
    auto out = make<Dict>(false);
    TRY(auto entries, entries_of(eval_, a));
    for (const auto& [key, value] : entries) {
      Item other;
      TRY(bool in_both, map_lookup(eval_, b, key, other));
      Item merged = value;
      if (in_both) {
        TRY(merged, merge_values(value, other, levels));
      }
      TRY(out->set(eval_.meter, key, std::move(merged)));
    }
    TRY(auto more, entries_of(eval_, b));
    for (const auto& [key, value] : more) {
      TRY(const Item* have, out->find(eval_.meter, key));
      if (!have) TRY(out->set(eval_.meter, key, value));
    }
    return Item(out);
  }

 private:
  Result<Item> merge_values(const Item& a, const Item& b, int64_t levels) {
    const Item both[] = {a, b};
    bool deeper = levels != 1 && (is_map(b) || is_sequence(b));
    if (!deeper) return args_.given(3) ? eval_.call_lambda(args_[3], both) : Result<Item>(b);
    if (is_map(b) ? !is_map(a) : !is_sequence(a)) {
      return type_error(
          fmt::format("Cannot merge {} with {}", python::type_name(a), python::type_name(b)));
    }
    if (is_map(b)) return merge(a, b, levels == 0 ? 0 : levels - 1);
    if (args_.given(2)) return eval_.call_lambda(args_[2], both);
    return merge_lists(a, b);
  }

  Result<Item> merge_lists(const Item& a, const Item& b) {
    ItemTable seen;
    for (const Item* list : {&a, &b}) {
      TRY(auto items, eval_.items_of(*list));
      for (const auto& item : items) TRY(seen.insert(eval_.meter, item));
    }
    return eval_.tuple(seen.keys());
  }

  Evaluator& eval_;
  const Args& args_;
};

Result<Item> merge_with(Evaluator& eval, Args& args) {
  return Merger(eval, args).merge(args[0], args[1], int_of(args, 4, 0));
}

constexpr Row kRows[] = {
    {"mergeWith", "dict:map another:map list_merger?:lambda item_merger?:lambda max_levels?:int",
     merge_with, Use::Method},
    {"orderBy", "collection:iter selector:lambda", order_by<true>, Use::Method},
    {"orderByDescending", "collection:iter selector:lambda", order_by<false>, Use::Method},
    {"thenBy", "collection:ordering selector:lambda", then_by<true>, Use::Method},
    {"thenByDescending", "collection:ordering selector:lambda", then_by<false>, Use::Method},
};

}  // namespace

std::span<const Row> yaql_ordering_rows() { return kRows; }

}  // namespace millrace::expr
