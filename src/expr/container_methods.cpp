// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "expr/eval.h"
#include "expr/string_methods.h"

// Methods of Python's list and dict.
namespace millrace::expr {
namespace {

Error read_only(std::string_view name) {
  return unsupported(fmt::format(
      "{}() would change a value that the template did not make: build a new one", name));
}

Result<Item> get(Evaluator& eval, const Item& map, const Item& key, const Item& otherwise) {
  if (auto* dict = map.as<Dict>(ObjectKind::Dict)) {
    TRY(const Item* found, dict->find(eval.meter, key));
    return found ? *found : otherwise;
  }
  if (key.is_undefined()) return undefined_use(key);
  if (key.is_string()) TRY(eval.meter.scan(key.str().size()));
  const Value* found = key.is_string() ? map.value().find(key.str()) : nullptr;
  return found ? map.child(*found) : otherwise;
}

Result<Item> view(Evaluator& eval, const Item& map, Flavor flavor) {
  std::vector<Item> out;
  TRY(auto keys, eval.items_of(map));
  for (auto& key : keys) {
    if (flavor == Flavor::Keys) {
      out.push_back(std::move(key));
      continue;
    }
    TRY(Item value, get(eval, map, key, Item()));
    if (flavor == Flavor::Items) {
      TRY(value, make_pair_item(eval.meter, Flavor::Tuple, key, value));
    }
    out.push_back(std::move(value));
  }
  return make_seq(eval.meter, flavor, std::move(out));
}

// A shallow copy that the template may change.
Result<Item> copy_map(Evaluator& eval, const Item& map) {
  auto out = make<Dict>(false);
  TRY(auto keys, eval.items_of(map));
  for (const auto& key : keys) {
    TRY(Item value, get(eval, map, key, Item()));
    TRY(out->set(eval.meter, key, std::move(value)));
  }
  return Item(out);
}

Result<Item> change_dict(Evaluator& eval, Dict& dict, std::string_view name, Args& args) {
  if (name == "update") {
    for (const auto& source : args.rest(0)) {
      TRY(auto keys, eval.items_of(source));
      for (const auto& key : keys) {
        TRY(Item value, get(eval, source, key, Item()));
        TRY(value, snapshot_item(eval.meter, value));
        TRY(dict.set(eval.meter, key, std::move(value)));
      }
    }
    for (const auto& [key, value] : args.named()) {
      TRY(Item copy, snapshot_item(eval.meter, value));
      TRY(Item text, eval.copied(key));
      TRY(dict.set(eval.meter, text, std::move(copy)));
    }
    return Item();
  }
  if (name == "clear") {
    dict.table.clear();
    dict.values.clear();
    return Item();
  }
  if (args.size() == 0) return type_error(fmt::format("{}() needs a key", name));
  TRY(const Item* found, dict.find(eval.meter, args[0]));
  if (name == "setdefault") {
    if (found) return *found;
    TRY(Item copy, snapshot_item(eval.meter, args.size() > 1 ? args[1] : Item()));
    TRY(dict.set(eval.meter, args[0], copy));
    return copy;
  }
  if (!found && args.size() > 1) return args[1];
  TRY(std::string key, eval.str(args[0]));
  if (!found) return eval_error("KeyError: " + key);
  Item value = *found;
  TRY(bool erased, dict.erase(eval.meter, args[0]));
  (void)erased;
  return value;
}

Result<Item> change_list(Evaluator& eval, Seq& list, std::string_view name, Args& args) {
  auto& items = list.items;
  auto add = [&](size_t at, const Item& item) -> Result<void> {
    TRY(Item copy, snapshot_item(eval.meter, item));
    TRY(eval.meter.take(sizeof(Item)));
    TRY(nest(eval.meter, list, depth_of(copy)));
    TRY(eval.meter.step((items.size() - at) / 16));  // those behind it move
    items.insert(items.begin() + static_cast<ptrdiff_t>(at), std::move(copy));
    return {};
  };
  auto position = [&](int64_t i) {
    auto size = static_cast<int64_t>(items.size());
    return static_cast<size_t>(std::clamp<int64_t>(i < 0 ? i + size : i, 0, size));
  };
  if (name == "clear" || name == "reverse" || name == "sort") {
    if (name == "clear") items.clear();
    if (name == "reverse") std::reverse(items.begin(), items.end());
    if (name == "sort") return unsupported("list.sort() is not supported: use the filter sort");
    return Item();
  }
  if (name == "pop") {
    int64_t at = -1;
    if (args.size() > 0) {
      TRY(at, python::as_index(args[0], "an index"));
    }
    auto size = static_cast<int64_t>(items.size());
    if (at < 0) at += size;
    if (at < 0 || at >= size) return eval_error("IndexError: pop index out of range");
    TRY(eval.meter.step(static_cast<uint64_t>(size - at) / 16));
    Item item = items[static_cast<size_t>(at)];
    items.erase(items.begin() + at);
    return item;
  }
  if (args.size() == 0) return type_error(fmt::format("{}() needs an argument", name));
  if (name == "append") {
    TRY(add(items.size(), args[0]));
  } else if (name == "extend") {
    TRY(auto more, eval.items_of(args[0]));
    for (const auto& item : more) TRY(add(items.size(), item));
  } else if (name == "insert") {
    TRY(int64_t at, python::as_index(args[0], "an index"));
    TRY(add(position(at), args.size() > 1 ? args[1] : Item()));
  } else {  // remove
    for (size_t i = 0; i < items.size(); ++i) {
      TRY(bool same, eval.equal(items[i], args[0]));
      TRY(eval.meter.step());
      if (!same) continue;
      items.erase(items.begin() + static_cast<ptrdiff_t>(i));
      return Item();
    }
    return value_error("list.remove(x): x not in list");
  }
  return Item();
}

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

Result<Item> map_method(Evaluator& eval, const Item& map, std::string_view name, Args& args,
                        bool& found) {
  if (name == "get") {
    if (args.size() == 0) return type_error("get expected at least 1 argument, got 0");
    return get(eval, map, args[0], args.size() > 1 ? args[1] : Item());
  }
  if (name == "keys") return view(eval, map, Flavor::Keys);
  if (name == "values") return view(eval, map, Flavor::Values);
  if (name == "items") return view(eval, map, Flavor::Items);
  if (name == "copy") return copy_map(eval, map);
  if (is_one_of(name, {"update", "clear", "setdefault", "pop"})) {
    if (auto* dict = map.as<Dict>(ObjectKind::Dict)) return change_dict(eval, *dict, name, args);
    return read_only(name);
  }
  found = false;
  return Item();
}

Result<Item> list_method(Evaluator& eval, const Item& list, std::string_view name, Args& args,
                         bool& found) {
  auto* seq = list.as<Seq>(ObjectKind::Seq);
  if (name == "index" || name == "count") {
    if (args.size() == 0) return type_error(fmt::format("{}() needs an argument", name));
    TRY(auto items, eval.items_of(list));
    int64_t count = 0;
    for (size_t i = 0; i < items.size(); ++i) {
      TRY(bool same, eval.equal(items[i], args[0]));
      if (same && name == "index") return Item(static_cast<int64_t>(i));
      count += same ? 1 : 0;
    }
    if (name == "count") return Item(count);
    return value_error("the value is not in the list");
  }
  bool is_list = !seq || seq->flavor == Flavor::List;
  if (is_list && name == "copy") {
    TRY(auto items, eval.items_of(list));
    return eval.list(std::move(items));
  }
  if (is_list && is_one_of(name, {"append", "extend", "insert", "pop", "remove", "clear", "reverse",
                                  "sort"})) {
    if (seq) return change_list(eval, *seq, name, args);
    return read_only(name);
  }
  found = false;
  return Item();
}

}  // namespace

Result<Item> container_method(Evaluator& eval, const Item& object, std::string_view name,
                              Args& args, bool& found) {
  if (object.is_plain_map() || object.is(ObjectKind::Dict)) {
    return map_method(eval, object, name, args, found);
  }
  if (object.is_plain_list() || object.is(ObjectKind::Seq)) {
    return list_method(eval, object, name, args, found);
  }
  found = false;
  return Item();
}

}  // namespace millrace::expr
