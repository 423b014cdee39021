// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cmath>

#include "base/text.h"
#include "expr/eval.h"
#include "expr/python_format.h"
#include "expr/text_formats.h"
#include "expr/unicode.h"

// What operators of Python do with values: +, in, len(), iteration; and the way out to a Value.
namespace millrace::expr {

using python::Arithmetic;

Result<Cursor> Cursor::over(const Item& iterable) {
  if (iterable.is_undefined()) return undefined_use(iterable);
  bool fits = iterable.is_plain_list() || iterable.is_plain_map() || iterable.is_string() ||
              iterable.is(ObjectKind::Seq) || iterable.is(ObjectKind::Dict) ||
              iterable.is(ObjectKind::Iterator);
  if (!fits) {
    return type_error(fmt::format("'{}' object is not iterable", python::type_name(iterable)));
  }
  return Cursor(iterable);
}

Result<bool> Cursor::next(Evaluator& eval, Item& out) {
  TRY(eval.meter.step());
  if (auto* iterator = source_.as<Iterator>(ObjectKind::Iterator)) {
    TRY(eval.meter.enter());
    Level level(eval.meter);
    return iterator->next(eval, out);
  }
  if (auto* seq = source_.as<Seq>(ObjectKind::Seq)) {
    if (at_ >= seq->items.size()) return false;
    out = seq->items[at_++];
    return true;
  }
  if (auto* dict = source_.as<Dict>(ObjectKind::Dict)) {
    if (at_ >= dict->values.size()) return false;
    out = dict->table.keys()[at_++];
    return true;
  }
  const Value& value = source_.value();
  if (at_ >= value.size()) return false;
  if (value.is_list()) {
    out = source_.child(value.as_list()[at_++]);
  } else if (value.is_map()) {
    out = Item(value.as_map().at_index(at_++).key);
  } else {
    size_t n = unicode::width(value.as_string(), at_);
    TRY(eval.meter.take(n + 16));
    out = Item(value.as_string().substr(at_, n));
    at_ += n;
  }
  return true;
}

Result<std::vector<Item>> Evaluator::items_of(const Item& iterable) {
  std::vector<Item> items;
  TRY(Cursor cursor, Cursor::over(iterable));
  while (true) {
    Item item;
    TRY(bool more, cursor.next(*this, item));
    if (!more) break;
    TRY(meter.take(sizeof(Item)));
    items.push_back(std::move(item));
  }
  return items;
}

Result<Item> iterate_over(Evaluator& eval, std::vector<Item> items) {
  uint16_t below = depth_of(items);
  return make_iterator(
      eval.meter, below,
      [items = std::move(items), at = size_t{0}](Evaluator&, Item& out) mutable -> Result<bool> {
        if (at >= items.size()) return false;
        out = items[at++];
        return true;
      });
}

Result<Item> Evaluator::drained(Item item) {
  if (!item.is(ObjectKind::Iterator)) return item;
  TRY(auto items, items_of(item));
  return list(std::move(items));
}

namespace {

enum class SeqClass : uint8_t { None, List, Tuple };

SeqClass sequence_class(const Evaluator& eval, const Item& item) {
  if (item.is_plain_list()) {
    return eval.is_yaql() && !item.is_raw() ? SeqClass::Tuple : SeqClass::List;
  }
  auto* seq = item.as<Seq>(ObjectKind::Seq);
  if (!seq) return SeqClass::None;
  return seq->flavor == Flavor::List    ? SeqClass::List
         : seq->flavor == Flavor::Tuple ? SeqClass::Tuple
                                        : SeqClass::None;
}

Result<Item> repeat(Evaluator& eval, const Item& what, const Item& times) {
  TRY(int64_t count, python::as_index(times, "a repeat count"));
  auto n = static_cast<size_t>(std::max<int64_t>(count, 0));
  if (what.is_string()) {
    size_t size = what.str().size();
    if (size == 0 || n == 0) return Item("");
    if (n > SIZE_MAX / size / 2) return eval.meter.output_spent();
    TRY(eval.meter.take(n * size));
    std::string out;
    out.reserve(n * size);
    for (size_t i = 0; i < n; ++i) out += what.str();
    return eval.text(std::move(out));
  }
  TRY(auto items, eval.items_of(what));
  std::vector<Item> out;
  if (!items.empty() && n > 0) {
    if (n > SIZE_MAX / items.size() / sizeof(Item) / 2) return eval.meter.output_spent();
    TRY(eval.meter.take(n * items.size() * sizeof(Item)));
    TRY(eval.meter.step(n * items.size()));
    for (size_t i = 0; i < n; ++i) out.insert(out.end(), items.begin(), items.end());
  }
  Flavor flavor = sequence_class(eval, what) == SeqClass::Tuple ? Flavor::Tuple : Flavor::List;
  return make_seq(eval.meter, flavor, std::move(out));
}

}  // namespace

Result<Item> Evaluator::binary(Arithmetic op, const Item& a, const Item& b) {
  if (python::is_number(a) && python::is_number(b)) return python::arithmetic(op, a, b);
  SeqClass left = sequence_class(*this, a);
  SeqClass right = sequence_class(*this, b);
  if (op == Arithmetic::Add && a.is_string() && b.is_string()) {
    TRY(meter.take(a.str().size() + b.str().size()));
    std::string joined(a.str());
    joined += b.str();
    return text(std::move(joined));
  }
  if (op == Arithmetic::Add && left != SeqClass::None && left == right) {
    TRY(auto items, items_of(a));
    TRY(auto more, items_of(b));
    for (auto& item : more) items.push_back(std::move(item));
    return make_seq(meter, left == SeqClass::List ? Flavor::List : Flavor::Tuple, std::move(items));
  }
  if (op == Arithmetic::Multiply) {
    bool left_repeats = (a.is_string() || left != SeqClass::None) && python::is_integer(b);
    if (left_repeats) return repeat(*this, a, b);
    bool right_repeats = (b.is_string() || right != SeqClass::None) && python::is_integer(a);
    if (right_repeats) return repeat(*this, b, a);
  }
  if (op == Arithmetic::Modulo && a.is_string()) {
    std::vector<Item> values;
    auto* seq = b.as<Seq>(ObjectKind::Seq);
    bool is_tuple = seq && seq->flavor == Flavor::Tuple;
    if (is_tuple) {
      values = seq->items;
    } else {
      values.push_back(b);
    }
    return python::percent_format(*this, a.str(), values, is_tuple);
  }
  return type_error(fmt::format("unsupported operand type(s) for {}: '{}' and '{}'",
                                python::symbol(op), python::type_name(a), python::type_name(b)));
}

Result<bool> Evaluator::contains(const Item& container, const Item& item) {
  if (container.is_undefined()) return undefined_use(container);
  if (item.is_undefined()) return undefined_use(item);
  if (container.is_string()) {
    if (!item.is_string()) {
      return type_error(fmt::format("'in <string>' requires string as left operand, not {}",
                                    python::type_name(item)));
    }
    TRY(meter.step(1 + container.str().size() / 64));
    return find_in(container.str(), item.str()) != std::string_view::npos;
  }
  if (container.is_plain_map()) {
    if (item.is_string()) {
      TRY(meter.scan(item.str().size()));
      return container.value().find(item.str()) != nullptr;
    }
    TRY(uint64_t h, python::hash(meter, item));
    (void)h;
    return false;
  }
  if (auto* dict = container.as<Dict>(ObjectKind::Dict)) {
    TRY(const Item* found, dict->find(meter, item));
    return found != nullptr;
  }
  auto cursor = Cursor::over(container);
  if (!cursor.ok()) {
    return type_error(
        fmt::format("argument of type '{}' is not iterable", python::type_name(container)));
  }
  while (true) {
    Item element;
    TRY(bool more, cursor->next(*this, element));
    if (!more) return false;
    TRY(bool same, equal(element, item));
    if (same) return true;
  }
}

Result<int64_t> Evaluator::length(const Item& item) {
  if (item.is_undefined()) return undefined_use(item);
  if (item.is_string()) {
    TRY(meter.scan(item.str().size()));
    return static_cast<int64_t>(unicode::length(item.str()));
  }
  if (item.is_plain_list() || item.is_plain_map()) return static_cast<int64_t>(item.value().size());
  if (auto* seq = item.as<Seq>(ObjectKind::Seq)) return static_cast<int64_t>(seq->items.size());
  if (auto* dict = item.as<Dict>(ObjectKind::Dict))
    return static_cast<int64_t>(dict->values.size());
  return type_error(fmt::format("object of type '{}' has no len()", python::type_name(item)));
}

// As convert_output_data of YAQL: tuples become lists, what is a set stays one, iterators are
// drawn.
Result<Item> finalize_yaql(Evaluator& eval, const Item& item) {
  auto* seq = item.as<Seq>(ObjectKind::Seq);
  auto* dict = item.as<Dict>(ObjectKind::Dict);
  if (!seq && !dict && !item.is(ObjectKind::Iterator)) return item;
  TRY(eval.meter.enter());
  Level level(eval.meter);
  auto check_hashable = [](const Item& key) -> Result<void> {
    bool hashable = !is_sequence(key) && !is_map(key);
    if (hashable) return {};
    return type_error(fmt::format("unhashable type: '{}'", is_map(key) ? "dict" : "list"));
  };
  if (dict) {
    auto out = make<Dict>(true);
    for (size_t i = 0; i < dict->values.size(); ++i) {
      TRY(Item key, finalize_yaql(eval, dict->table.keys()[i]));
      TRY(check_hashable(key));
      TRY(Item value, finalize_yaql(eval, dict->values[i]));
      TRY(out->set(eval.meter, key, std::move(value)));
    }
    return Item(out);
  }
  bool is_set = seq && seq->is_set();
  TRY(auto items, eval.items_of(item));
  for (auto& element : items) {
    TRY(element, finalize_yaql(eval, element));
    if (is_set) TRY(check_hashable(element));
  }
  return make_seq(eval.meter, is_set ? Flavor::Set : Flavor::List, std::move(items));
}

namespace {

// Builds the result of an evaluation and stops where it outgrows the output budget or nests too
// deep to be stored as JSON. Shared parts count as often as they appear.
class Exporter {
 public:
  explicit Exporter(Evaluator& eval) : eval_(eval) {}

  Result<Value> convert(const Item& item, uint32_t depth) {
    if (item.is_value()) {
      TRY(count(item.value(), depth));
      return item.value();
    }
    TRY(nest(depth));
    switch (item.object()->kind) {
      case ObjectKind::Wide: {
        Int128 wide = python::as_int128(item);
        auto d = static_cast<double>(wide);
        bool exact = d < 1.7e38 && d > -1.7e38 && static_cast<Int128>(d) == wide;
        if (exact) return Value(d);
        return Error(
            ErrorKind::Invalid, kTooLarge,
            fmt::format("OverflowError: the result {} does not fit 64 bits", to_string(wide)));
      }
      case ObjectKind::Seq: {
        const Seq& seq = *item.as<Seq>(ObjectKind::Seq);
        return sequence(seq.items, depth);
      }
      case ObjectKind::Iterator: {
        TRY(auto items, eval_.items_of(item));
        return sequence(items, depth);
      }
      case ObjectKind::Dict: return map(*item.as<Dict>(ObjectKind::Dict), depth);
      case ObjectKind::Undefined: return undefined_use(item);
      default:
        return type_error(
            fmt::format("the result is a '{}', which is no value", python::type_name(item)));
    }
  }

 private:
  static constexpr uint32_t kMaxDepth = 60;  // what parse_json reads back, less a few

  Result<void> spend(size_t bytes) {
    bytes_ += bytes;
    if (bytes_ > eval_.meter.budget().output_bytes) return eval_.meter.output_spent();
    return {};
  }
  Result<void> nest(uint32_t depth) {
    if (depth <= kMaxDepth) return {};
    return Error(ErrorKind::TooLarge, kDepth,
                 fmt::format("the result nests deeper than {} levels", kMaxDepth));
  }

  Result<void> count(const Value& value, uint32_t depth) {
    if (value.is_float() && !std::isfinite(value.as_float())) {
      return Error(ErrorKind::Invalid, kTooLarge,
                   fmt::format("ValueError: Out of range float values are not JSON compliant: {}",
                               value.as_float()));
    }
    // A result that is one value of the scope is no larger than its source.
    if (depth == 0) return {};
    TRY(nest(depth));
    if (value.is_list()) {
      TRY(spend(2 + value.size()));
      for (const auto& item : value.as_list()) TRY(count(item, depth + 1));
    } else if (value.is_map()) {
      TRY(spend(2));
      for (const auto& entry : value.as_map()) {
        TRY(spend(4 + entry.name().size()));
        TRY(count(entry.value, depth + 1));
      }
    } else {
      TRY(spend(value.is_string() ? value.size() + 2 : 8));
    }
    return {};
  }

  Result<Value> sequence(const std::vector<Item>& items, uint32_t depth) {
    ValueList out;
    out.reserve(items.size());
    TRY(spend(2 + items.size()));
    for (const auto& item : items) {
      TRY(Value value, convert(item, depth + 1));
      out.push_back(std::move(value));
    }
    return Value(std::move(out));
  }

  Result<Value> map(const Dict& dict, uint32_t depth) {
    Value out = Value::map();
    auto& entries = out.mutable_map();
    entries.reserve(dict.values.size());
    for (size_t i = 0; i < dict.values.size(); ++i) {
      TRY(std::string key, key_text(dict.table.keys()[i]));
      TRY(spend(4 + key.size()));
      if (out.find(key)) {
        return value_error(fmt::format("two keys of the result are the text '{}'", key));
      }
      TRY(Value value, convert(dict.values[i], depth + 1));
      entries.set(std::string_view(key), std::move(value));
    }
    return out;
  }

  // As json.dumps spells keys.
  Result<std::string> key_text(const Item& key) {
    if (key.is_null()) return std::string("null");
    if (key.is_bool()) return std::string(key.value().as_bool() ? "true" : "false");
    return eval_.str(key);
  }

  Evaluator& eval_;
  size_t bytes_ = 0;
};

}  // namespace

Result<Value> to_value(Evaluator& eval, const Item& item) {
  if (!eval.is_yaql()) return Exporter(eval).convert(item, 0);
  TRY(Item final, finalize_yaql(eval, item));
  return Exporter(eval).convert(final, 0);
}

}  // namespace millrace::expr
