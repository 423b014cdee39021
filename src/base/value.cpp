// SPDX-License-Identifier: Apache-2.0
#include "base/value.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>

#include "base/hash.h"
#include "base/number.h"

namespace millrace {
namespace detail {

struct ValueNode {
  std::atomic<uint32_t> refs{1};
};

struct StringNode : ValueNode {
  uint32_t size = 0;
  char* data() { return reinterpret_cast<char*>(this + 1); }
};

struct ListNode : ValueNode {
  ValueList items;
};

struct MapNode : ValueNode {
  ValueMap entries;
};

}  // namespace detail

using detail::ListNode;
using detail::MapNode;
using detail::StringNode;

namespace {

const Value kNull;

}  // namespace

Value::Value(std::string_view s) : kind_(Kind::String) {
  ASSERT(s.size() <= UINT32_MAX);
  void* memory = ::operator new(sizeof(StringNode) + s.size());
  auto* node = new (memory) StringNode;
  node->size = static_cast<uint32_t>(s.size());
  if (!s.empty()) std::memcpy(node->data(), s.data(), s.size());
  payload_.node = node;
}

Value::Value(ValueList list) : kind_(Kind::List) {
  auto* node = new ListNode;
  node->items = std::move(list);
  payload_.node = node;
}

Value Value::list() { return Value(ValueList{}); }

Value Value::map() {
  Value v;
  v.kind_ = Kind::Map;
  v.payload_.node = new MapNode;
  return v;
}

Value Value::map(std::initializer_list<std::pair<std::string_view, Value>> entries) {
  Value v = map();
  auto& m = v.mutable_map();
  m.reserve(entries.size());
  for (const auto& [key, value] : entries) m.set(key, value);
  return v;
}

void Value::retain() noexcept {
  if (has_node()) payload_.node->refs.fetch_add(1, std::memory_order_relaxed);
}

void Value::release() noexcept {
  if (!has_node()) return;
  // Whose block nobody else holds needs no locked instruction: nobody can come to it now.
  auto& refs = payload_.node->refs;
  bool is_last = refs.load(std::memory_order_acquire) == 1 ||
                 refs.fetch_sub(1, std::memory_order_acq_rel) == 1;
  if (!is_last) return;
  switch (kind_) {
    case Kind::String: {
      auto* node = static_cast<StringNode*>(payload_.node);
      node->~StringNode();
      ::operator delete(node);
      break;
    }
    case Kind::List: delete static_cast<ListNode*>(payload_.node); break;
    case Kind::Map: delete static_cast<MapNode*>(payload_.node); break;
    default: break;
  }
}

std::string_view Value::type_name() const {
  switch (kind_) {
    case Kind::Null: return "null";
    case Kind::Bool: return "boolean";
    case Kind::Int: return "integer";
    case Kind::Float: return "number";
    case Kind::String: return "string";
    case Kind::List: return "array";
    case Kind::Map: return "object";
  }
  return "null";
}

bool Value::as_bool() const {
  ASSERT(is_bool());
  return payload_.integer != 0;
}

int64_t Value::as_int() const {
  ASSERT(is_int());
  return payload_.integer;
}

double Value::as_float() const {
  if (is_int()) return static_cast<double>(payload_.integer);
  ASSERT(is_float());
  return payload_.real;
}

std::string_view Value::as_string() const {
  ASSERT(is_string());
  auto* node = static_cast<StringNode*>(payload_.node);
  return {node->data(), node->size};
}

const ValueList& Value::as_list() const {
  ASSERT(is_list());
  return static_cast<ListNode*>(payload_.node)->items;
}

const ValueMap& Value::as_map() const {
  ASSERT(is_map());
  return static_cast<MapNode*>(payload_.node)->entries;
}

const Value* Value::find(std::string_view key) const {
  return is_map() ? as_map().find(key) : nullptr;
}

const Value& Value::operator[](std::string_view key) const {
  const Value* found = find(key);
  return found ? *found : kNull;
}

std::string_view Value::string_or(std::string_view key, std::string_view fallback) const {
  const Value* found = find(key);
  return found && found->is_string() ? found->as_string() : fallback;
}

int64_t Value::int_or(std::string_view key, int64_t fallback) const {
  const Value* found = find(key);
  return found && found->is_int() ? found->as_int() : fallback;
}

bool Value::bool_or(std::string_view key, bool fallback) const {
  const Value* found = find(key);
  return found && found->is_bool() ? found->as_bool() : fallback;
}

ValueList& Value::mutable_list() {
  if (is_null()) *this = list();
  ASSERT(is_list());
  auto* node = static_cast<ListNode*>(payload_.node);
  if (node->refs.load(std::memory_order_acquire) != 1) *this = Value(node->items);
  return static_cast<ListNode*>(payload_.node)->items;
}

ValueMap& Value::mutable_map() {
  if (is_null()) *this = map();
  ASSERT(is_map());
  auto* node = static_cast<MapNode*>(payload_.node);
  if (node->refs.load(std::memory_order_acquire) != 1) {
    Value copy = map();
    auto& entries = static_cast<MapNode*>(copy.payload_.node)->entries;
    entries.reserve(node->entries.size() + 1);  // somebody is about to write
    entries = node->entries;
    swap(copy);
  }
  return static_cast<MapNode*>(payload_.node)->entries;
}

Value& Value::set(std::string_view key, Value value) {
  mutable_map().set(key, std::move(value));
  return *this;
}

Value& Value::push_back(Value value) {
  mutable_list().push_back(std::move(value));
  return *this;
}

size_t Value::size() const {
  switch (kind_) {
    case Kind::String: return as_string().size();
    case Kind::List: return as_list().size();
    case Kind::Map: return as_map().size();
    default: return 0;
  }
}

bool Value::operator==(const Value& other) const {
  if (is_number() && other.is_number()) {
    if (is_int() && other.is_int()) return payload_.integer == other.payload_.integer;
    return std::is_eq(compare_numbers(*this, other));
  }
  if (kind_ != other.kind_) return false;
  if (has_node() && payload_.node == other.payload_.node) return true;
  switch (kind_) {
    case Kind::Null: return true;
    case Kind::Bool: return payload_.integer == other.payload_.integer;
    case Kind::String: return as_string() == other.as_string();
    case Kind::List: return as_list() == other.as_list();
    case Kind::Map: {
      const auto& a = as_map();
      const auto& b = other.as_map();
      if (a.size() != b.size()) return false;
      for (const auto& entry : a) {
        const Value* match = b.find(entry.name());
        if (!match || !(*match == entry.value)) return false;
      }
      return true;
    }
    default: return false;
  }
}

bool is_deeper(const Value& value, size_t most) {
  if (!value.is_list() && !value.is_map()) return false;
  if (most == 0) return true;
  if (value.is_list()) {
    return std::ranges::any_of(value.as_list(),
                               [&](const Value& item) { return is_deeper(item, most - 1); });
  }
  return std::ranges::any_of(value.as_map(),
                             [&](const auto& entry) { return is_deeper(entry.value, most - 1); });
}

std::partial_ordering compare_numbers(const Value& a, const Value& b) {
  if (a.is_int() && b.is_int()) return a.as_int() <=> b.as_int();
  if (a.is_int()) return compare(a.as_int(), b.as_float());
  if (b.is_int()) return 0 <=> compare(b.as_int(), a.as_float());
  return a.as_float() <=> b.as_float();
}

bool Value::same_as(const Value& other) const {
  if (kind_ != other.kind_) return false;
  if (has_node()) return payload_.node == other.payload_.node;
  return payload_.integer == other.payload_.integer;
}

// ValueMap

size_t ValueMap::position(std::string_view key) const {
  if (index_.empty()) {
    for (size_t i = 0; i < entries_.size(); ++i) {
      if (entries_[i].name() == key) return i;
    }
    return SIZE_MAX;
  }
  size_t mask = index_.size() - 1;
  for (size_t slot = seeded_hash(key) & mask;; slot = (slot + 1) & mask) {
    uint32_t stored = index_[slot];
    if (stored == 0) return SIZE_MAX;
    if (entries_[stored - 1].name() == key) return stored - 1;
  }
}

const Value* ValueMap::find(std::string_view key) const {
  size_t i = position(key);
  return i == SIZE_MAX ? nullptr : &entries_[i].value;
}

void ValueMap::set(std::string_view key, Value value) {
  size_t i = position(key);
  if (i != SIZE_MAX) {
    entries_[i].value = std::move(value);
    return;
  }
  entries_.push_back({Value(key), std::move(value)});
  index_last();
}

void ValueMap::set(Value key, Value value) {
  ASSERT(key.is_string());
  size_t i = position(key.as_string());
  if (i != SIZE_MAX) {
    entries_[i].value = std::move(value);
    return;
  }
  entries_.push_back({std::move(key), std::move(value)});
  index_last();
}

bool ValueMap::erase(std::string_view key) {
  size_t i = position(key);
  if (i == SIZE_MAX) return false;
  entries_.erase(entries_.begin() + static_cast<ptrdiff_t>(i));
  if (!index_.empty()) rebuild_index(index_.size());
  return true;
}

void ValueMap::index_last() {
  if (entries_.size() < kIndexFrom) return;
  if (entries_.size() * 2 > index_.size()) {
    rebuild_index(std::bit_ceil(entries_.size() * 4));
    return;
  }
  size_t mask = index_.size() - 1;
  size_t slot = seeded_hash(entries_.back().name()) & mask;
  while (index_[slot] != 0) slot = (slot + 1) & mask;
  index_[slot] = static_cast<uint32_t>(entries_.size());
}

void ValueMap::rebuild_index(size_t buckets) {
  index_.assign(buckets, 0);
  size_t mask = buckets - 1;
  for (size_t i = 0; i < entries_.size(); ++i) {
    size_t slot = seeded_hash(entries_[i].name()) & mask;
    while (index_[slot] != 0) slot = (slot + 1) & mask;
    index_[slot] = static_cast<uint32_t>(i + 1);
  }
}

}  // namespace millrace
