// SPDX-License-Identifier: Apache-2.0
#include "expr/python.h"

#include <fmt/format.h>

#include <bit>
#include <charconv>
#include <cmath>

#include "base/hash.h"
#include "base/number.h"
#include "expr/unicode.h"

namespace millrace::expr::python {
namespace {

using Kind = Value::Kind;

Error undefined_error(const Item& item) {
  auto* undefined = item.as<Undefined>(ObjectKind::Undefined);
  return Error(ErrorKind::Invalid, kUndefined, "UndefinedError: " + undefined->reason);
}

// The reference's object of a Value list or map, as Python tells them apart.
enum class Class : uint8_t { Other, List, Tuple, Set, Map };

Class class_of(const Meter& meter, const Item& item) {
  if (item.is_value()) {
    if (item.value().is_map()) return Class::Map;
    if (!item.value().is_list()) return Class::Other;
    return meter.frozen_input && !item.is_raw() ? Class::Tuple : Class::List;
  }
  if (item.is(ObjectKind::Dict)) return Class::Map;
  if (auto* seq = item.as<Seq>(ObjectKind::Seq)) {
    if (seq->is_set()) return Class::Set;
    if (seq->flavor == Flavor::List) return Class::List;
    if (seq->flavor == Flavor::Tuple) return Class::Tuple;
  }
  return Class::Other;
}

// Lists and maps by position, whatever holds them.
size_t count_of(const Item& item) {
  if (auto* seq = item.as<Seq>(ObjectKind::Seq)) return seq->items.size();
  if (auto* dict = item.as<Dict>(ObjectKind::Dict)) return dict->values.size();
  return item.value().size();
}
Item element(const Item& item, size_t i) {
  if (auto* seq = item.as<Seq>(ObjectKind::Seq)) return seq->items[i];
  return item.child(item.value().as_list()[i]);
}
std::pair<Item, Item> entry(const Item& item, size_t i) {
  if (auto* dict = item.as<Dict>(ObjectKind::Dict)) return {dict->table.keys()[i], dict->values[i]};
  const auto& e = item.value().as_map().at_index(i);
  return {Item(e.key), item.child(e.value)};
}
Result<bool> map_find(Meter& meter, const Item& map, const Item& key, Item& out) {
  if (auto* dict = map.as<Dict>(ObjectKind::Dict)) {
    TRY(const Item* found, dict->find(meter, key));
    if (found) out = *found;
    return found != nullptr;
  }
  if (key.is_string()) TRY(meter.scan(key.str().size()));
  const Value* found = key.is_string() ? map.value().find(key.str()) : nullptr;
  if (found) out = map.child(*found);
  return found != nullptr;
}

Result<bool> equal_maps(Meter& meter, const Item& a, const Item& b) {
  if (count_of(a) != count_of(b)) return false;
  for (size_t i = 0; i < count_of(a); ++i) {
    auto [key, value] = entry(a, i);
    Item other;
    TRY(bool found, map_find(meter, b, key, other));
    if (!found) return false;
    TRY(bool same, equal(meter, value, other));
    if (!same) return false;
  }
  return true;
}

Result<bool> contains_all(Meter& meter, const Item& set, const Item& of) {
  for (size_t i = 0; i < count_of(of); ++i) {
    TRY(meter.step(1 + count_of(set)));
    bool found = false;
    for (size_t k = 0; k < count_of(set) && !found; ++k) {
      TRY(found, equal(meter, element(of, i), element(set, k)));
    }
    if (!found) return false;
  }
  return true;
}

Result<void> append_sequence(Meter& meter, std::string& out, const Item& item,
                             std::string_view open, std::string_view close) {
  out += open;
  for (size_t i = 0; i < count_of(item); ++i) {
    if (i > 0) out += ", ";
    TRY(append_repr(meter, out, element(item, i)));
  }
  out += close;
  return {};
}

Result<void> append_map(Meter& meter, std::string& out, const Item& item) {
  out += '{';
  for (size_t i = 0; i < count_of(item); ++i) {
    if (i > 0) out += ", ";
    auto [key, value] = entry(item, i);
    TRY(append_repr(meter, out, key));
    out += ": ";
    TRY(append_repr(meter, out, value));
  }
  out += '}';
  return {};
}

Result<void> append_seq(Meter& meter, std::string& out, const Seq& seq, const Item& item) {
  switch (seq.flavor) {
    case Flavor::Tuple:
      return append_sequence(meter, out, item, "(", seq.items.size() == 1 ? ",)" : ")");
    case Flavor::Set:
      if (seq.items.empty()) break;
      return append_sequence(meter, out, item, "{", "}");
    case Flavor::FrozenSet:
      if (seq.items.empty()) break;
      return append_sequence(meter, out, item, "frozenset({", "})");
    case Flavor::Keys: return append_sequence(meter, out, item, "dict_keys([", "])");
    case Flavor::Values: return append_sequence(meter, out, item, "dict_values([", "])");
    case Flavor::Items: return append_sequence(meter, out, item, "dict_items([", "])");
    default: return append_sequence(meter, out, item, "[", "]");
  }
  out += seq.flavor == Flavor::Set ? "set()" : "frozenset()";
  return {};
}

Result<void> append_container(Meter& meter, std::string& out, const Item& item) {
  TRY(meter.enter());
  Level level(meter);
  TRY(meter.step(count_of(item) + 1));
  if (auto* seq = item.as<Seq>(ObjectKind::Seq)) return append_seq(meter, out, *seq, item);
  switch (class_of(meter, item)) {
    case Class::Tuple:
      return append_sequence(meter, out, item, "(", count_of(item) == 1 ? ",)" : ")");
    case Class::Map: return append_map(meter, out, item);
    default: return append_sequence(meter, out, item, "[", "]");
  }
}

}  // namespace

bool truth(const Item& item) {
  if (auto* seq = item.as<Seq>(ObjectKind::Seq)) {
    return seq->flavor == Flavor::Ordering || !seq->items.empty();
  }
  if (auto* dict = item.as<Dict>(ObjectKind::Dict)) return !dict->values.empty();
  if (!item.is_value()) return !item.is_undefined();
  return truthy(item.value());
}

std::string_view type_name(const Item& item) {
  if (auto* seq = item.as<Seq>(ObjectKind::Seq)) {
    constexpr std::string_view kNames[] = {"list",      "tuple",       "set",        "frozenset",
                                           "dict_keys", "dict_values", "dict_items", "list"};
    return kNames[static_cast<size_t>(seq->flavor)];
  }
  if (!item.is_value()) {
    switch (item.object()->kind) {
      case ObjectKind::Wide: return "int";
      case ObjectKind::Dict: return "dict";
      case ObjectKind::Iterator: return "generator";
      case ObjectKind::Regex: return "re.Pattern";
      case ObjectKind::Undefined: return "Undefined";
      default: return "object";
    }
  }
  switch (item.value().kind()) {
    case Kind::Null: return "NoneType";
    case Kind::Bool: return "bool";
    case Kind::Int: return "int";
    case Kind::Float: return "float";
    case Kind::String: return "str";
    case Kind::List: return "list";
    case Kind::Map: return "dict";
  }
  return "object";
}

void append_float(std::string& out, double d) {
  if (std::isnan(d)) {
    out += "nan";
    return;
  }
  size_t start = out.size();
  fmt::format_to(std::back_inserter(out), "{}", d);
  if (out.find_first_of(".ein", start) == std::string::npos) out += ".0";
}

namespace {

Result<void> append_quoted(Meter& meter, std::string& out, std::string_view text) {
  constexpr size_t kLongest = 10;        // \U0001f600
  TRY(meter.step(1 + text.size() / 8));  // character by character
  TRY(meter.room(out.size(), text.size()));
  bool has_single = text.find('\'') != std::string_view::npos;
  char quote = has_single && text.find('"') == std::string_view::npos ? '"' : '\'';
  out += quote;
  for (size_t i = 0; i < text.size();) {
    TRY(meter.room(out.size(), kLongest));
    size_t n = unicode::width(text, i);
    char32_t c = unicode::decode(text, i);
    if (c == static_cast<char32_t>(quote) || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c == '\n' || c == '\r' || c == '\t') {
      out += c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t";
    } else if (unicode::is_printable(c) && !(n == 1 && c >= 0x80)) {
      out += text.substr(i, n);
    } else if (c < 0x100) {
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<uint32_t>(c));
    } else if (c < 0x10000) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<uint32_t>(c));
    } else {
      fmt::format_to(std::back_inserter(out), "\\U{:08x}", static_cast<uint32_t>(c));
    }
    i += n;
  }
  out += quote;
  return {};
}

}  // namespace

Result<void> append_repr(Meter& meter, std::string& out, const Item& item) {
  if (out.size() > meter.budget().output_bytes) return meter.output_spent();
  if (!item.is_value()) {
    switch (item.object()->kind) {
      case ObjectKind::Seq:
      case ObjectKind::Dict: return append_container(meter, out, item);
      case ObjectKind::Wide: out += to_string(as_int128(item)); return {};
      case ObjectKind::Undefined: return undefined_error(item);
      default: out += fmt::format("<{}>", type_name(item)); return {};
    }
  }
  const Value& v = item.value();
  switch (v.kind()) {
    case Kind::Null: out += "None"; break;
    case Kind::Bool: out += v.as_bool() ? "True" : "False"; break;
    case Kind::Int: out += std::to_string(v.as_int()); break;
    case Kind::Float: append_float(out, v.as_float()); break;
    case Kind::String: return append_quoted(meter, out, v.as_string());
    case Kind::List:
    case Kind::Map: return append_container(meter, out, item);
  }
  return {};
}

Result<void> append_str(Meter& meter, std::string& out, const Item& item) {
  if (!item.is_string()) return append_repr(meter, out, item);
  TRY(meter.room(out.size(), item.str().size()));
  out += item.str();
  return {};
}

Result<std::string> str(Meter& meter, const Item& item) {
  std::string out;
  TRY(append_str(meter, out, item));
  TRY(meter.take(out.size()));
  return out;
}

bool is_integer(const Item& item) {
  return item.is_int() || item.is_bool() || item.is(ObjectKind::Wide);
}
bool is_number(const Item& item) { return is_integer(item) || item.is_float(); }

Int128 as_int128(const Item& item) {
  if (auto* wide = item.as<Wide>(ObjectKind::Wide)) return wide->value;
  return item.value().is_bool() ? Int128{item.value().as_bool()} : Int128{item.value().as_int()};
}

double as_double(const Item& item) {
  if (item.is_float()) return item.value().as_float();
  return static_cast<double>(as_int128(item));
}

Result<int64_t> as_index(const Item& item, std::string_view what) {
  if (item.is_int()) return item.value().as_int();
  if (item.is_bool()) return int64_t{item.value().as_bool()};
  if (item.is_undefined()) return undefined_error(item);
  if (item.is(ObjectKind::Wide)) {
    return Error(ErrorKind::Invalid, kTooLarge, fmt::format("{} does not fit 64 bits", what));
  }
  return type_error(fmt::format("{} must be an integer, not {}", what, type_name(item)));
}

namespace {

// Exactly, also a whole number with a float.
std::partial_ordering compare_numbers(const Item& a, const Item& b) {
  if (is_integer(a) && is_integer(b)) {
    Int128 x = as_int128(a);
    Int128 y = as_int128(b);
    return x < y   ? std::partial_ordering::less
           : x > y ? std::partial_ordering::greater
                   : std::partial_ordering::equivalent;
  }
  auto fits = [](const Item& item) {
    return is_integer(item) && as_int128(item) >= INT64_MIN && as_int128(item) <= INT64_MAX;
  };
  if (fits(a)) return millrace::compare(static_cast<int64_t>(as_int128(a)), as_double(b));
  if (fits(b)) return 0 <=> millrace::compare(static_cast<int64_t>(as_int128(b)), as_double(a));
  return as_double(a) <=> as_double(b);
}

}  // namespace

Result<bool> equal(Meter& meter, const Item& a, const Item& b) {
  if (a.is_undefined()) return undefined_error(a);
  if (b.is_undefined()) return undefined_error(b);
  if (is_number(a) && is_number(b)) {
    return std::is_eq(compare_numbers(a, b));
  }
  if (a.is_string() || b.is_string()) {
    bool may_be = a.is_string() && b.is_string() && a.str().size() == b.str().size();
    if (may_be) TRY(meter.scan(a.str().size()));
    return may_be && a.str() == b.str();
  }
  if (a.is_null() || b.is_null()) return a.is_null() && b.is_null();
  Class kind = class_of(meter, a);
  if (kind == Class::Other) return a.object() == b.object() && a.object() != nullptr;
  if (kind != class_of(meter, b)) return false;
  TRY(meter.enter());
  Level level(meter);
  TRY(meter.step(count_of(a) + 1));
  if (kind == Class::Map) return equal_maps(meter, a, b);
  if (count_of(a) != count_of(b)) return false;
  if (kind == Class::Set) return contains_all(meter, a, b);
  for (size_t i = 0; i < count_of(a); ++i) {
    TRY(bool same, equal(meter, element(a, i), element(b, i)));
    if (!same) return false;
  }
  return true;
}

Result<std::partial_ordering> compare(Meter& meter, const Item& a, const Item& b,
                                      std::string_view op) {
  if (a.is_undefined()) return undefined_error(a);
  if (b.is_undefined()) return undefined_error(b);
  if (is_number(a) && is_number(b)) {
    return compare_numbers(a, b);
  }
  if (a.is_string() && b.is_string()) {
    TRY(meter.step(1 + std::min(a.str().size(), b.str().size()) / 64));
    return std::partial_ordering(a.str() <=> b.str());
  }
  Class kind = class_of(meter, a);
  bool comparable = kind == class_of(meter, b) && kind != Class::Other && kind != Class::Map;
  if (!comparable) {
    return type_error(fmt::format("'{}' not supported between instances of '{}' and '{}'", op,
                                  type_name(a), type_name(b)));
  }
  TRY(meter.enter());
  Level level(meter);
  TRY(meter.step(1));
  if (kind == Class::Set) {
    TRY(bool a_in_b, contains_all(meter, b, a));
    TRY(bool b_in_a, contains_all(meter, a, b));
    if (a_in_b && b_in_a) return std::partial_ordering::equivalent;
    if (a_in_b) return std::partial_ordering::less;
    return b_in_a ? std::partial_ordering::greater : std::partial_ordering::unordered;
  }
  for (size_t i = 0; i < count_of(a) && i < count_of(b); ++i) {
    TRY(bool same, equal(meter, element(a, i), element(b, i)));
    if (!same) return compare(meter, element(a, i), element(b, i), op);
  }
  return std::partial_ordering(count_of(a) <=> count_of(b));
}

Result<uint64_t> hash(Meter& meter, const Item& item) {
  constexpr uint64_t kMix = 0x9E3779B97F4A7C15ULL;
  if (is_integer(item)) {
    Int128 n = as_int128(item);
    uint64_t low = seeded_hash(static_cast<uint64_t>(n));
    bool is_wide = n < INT64_MIN || n > INT64_MAX;
    return is_wide ? seeded_hash(low ^ static_cast<uint64_t>(n >> 64)) : low;
  }
  if (item.is_float()) {
    double d = item.value().as_float();
    if (d == std::floor(d) && d >= -0x1p63 && d < 0x1p63) {
      return seeded_hash(static_cast<uint64_t>(static_cast<int64_t>(d)));
    }
    return seeded_hash(std::bit_cast<uint64_t>(d));
  }
  if (item.is_string()) {
    TRY(meter.scan(item.str().size()));
    return seeded_hash(item.str());
  }
  if (item.is_null()) return kMix;
  if (item.is_undefined()) return undefined_error(item);
  auto* seq = item.as<Seq>(ObjectKind::Seq);
  auto* dict = item.as<Dict>(ObjectKind::Dict);
  bool hashable = seq    ? seq->flavor == Flavor::Tuple || seq->flavor == Flavor::FrozenSet
                  : dict ? dict->frozen
                         : meter.frozen_input && !item.is_raw();
  if (item.is_value() || seq || dict) {
    if (!hashable) return type_error(fmt::format("unhashable type: '{}'", type_name(item)));
  } else {
    return seeded_hash(uint64_t{reinterpret_cast<uintptr_t>(item.object())});
  }
  TRY(meter.enter());
  Level level(meter);
  TRY(meter.step(count_of(item) + 1));
  uint64_t sum = kMix + count_of(item);
  bool is_map = class_of(meter, item) == Class::Map;
  for (size_t i = 0; i < count_of(item); ++i) {
    if (is_map) {
      auto [key, value] = entry(item, i);
      TRY(uint64_t k, hash(meter, key));
      TRY(uint64_t v, hash(meter, value));
      sum ^= (k * 31 + v) * kMix;
    } else if (seq && seq->is_set()) {
      TRY(uint64_t h, hash(meter, element(item, i)));
      sum ^= h * kMix;
    } else {
      TRY(uint64_t h, hash(meter, element(item, i)));
      sum = sum * 31 + h;
    }
  }
  return seeded_hash(sum);
}

}  // namespace millrace::expr::python

namespace millrace::expr {

bool truthy(const Value& value) {
  switch (value.kind()) {
    case Value::Kind::Null: return false;
    case Value::Kind::Bool: return value.as_bool();
    case Value::Kind::Int: return value.as_int() != 0;
    case Value::Kind::Float: return value.as_float() != 0;
    default: return value.size() > 0;
  }
}

std::string to_text(const Value& value) {
  Budget budget{
      .steps = UINT64_MAX, .depth = 1000, .output_bytes = SIZE_MAX / 2, .memory_bytes = SIZE_MAX};
  Meter meter(budget);
  std::string out;
  auto done = python::append_str(meter, out, Item(value));
  ASSERT_MSG(done.ok(), "a Value nested deeper than 1000 levels");
  return out;
}

}  // namespace millrace::expr
