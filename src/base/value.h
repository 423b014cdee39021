// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <compare>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace millrace {

class Value;
class ValueMap;
using ValueList = std::vector<Value>;

namespace detail {
struct ValueNode;
}

// A JSON-like value: null, bool, 64-bit integer, double, string, list, map in insertion order.
// 16 bytes. Copies share: a list, map or string is one reference-counted block, and a write
// through `set`, `push_back` or `mutable_*` first copies a block that somebody else also holds
// (copy on write). Reading one Value from several threads is safe; writing one is not.
// Strings are bytes; JSON input and output are UTF-8.
class Value {
 public:
  enum class Kind : uint8_t { Null, Bool, Int, Float, String, List, Map };

  Value() noexcept : kind_(Kind::Null) { payload_.integer = 0; }
  Value(std::nullptr_t) noexcept : Value() {}
  Value(bool b) noexcept : kind_(Kind::Bool) { payload_.integer = b ? 1 : 0; }
  Value(int i) noexcept : Value(static_cast<int64_t>(i)) {}
  Value(int64_t i) noexcept : kind_(Kind::Int) { payload_.integer = i; }
  Value(double d) noexcept : kind_(Kind::Float) { payload_.real = d; }
  Value(std::string_view s);
  Value(const char* s) : Value(std::string_view(s)) {}
  Value(const std::string& s) : Value(std::string_view(s)) {}
  Value(ValueList list);
  template <typename Tag>
  Value(const Tag*) = delete;  // a stray pointer must not become `true`

  // An empty list, an empty map, a map of literals: Value::map({{"a", 1}, {"b", "x"}}).
  static Value list();
  static Value map();
  static Value map(std::initializer_list<std::pair<std::string_view, Value>> entries);

  Value(const Value& other) noexcept : kind_(other.kind_), payload_(other.payload_) { retain(); }
  Value(Value&& other) noexcept : kind_(other.kind_), payload_(other.payload_) {
    other.kind_ = Kind::Null;
    other.payload_.integer = 0;
  }
  Value& operator=(const Value& other) noexcept {
    Value copy(other);
    swap(copy);
    return *this;
  }
  Value& operator=(Value&& other) noexcept {
    swap(other);
    return *this;
  }
  ~Value() { release(); }
  void swap(Value& other) noexcept {
    std::swap(kind_, other.kind_);
    std::swap(payload_, other.payload_);
  }

  Kind kind() const { return kind_; }
  bool is_null() const { return kind_ == Kind::Null; }
  bool is_bool() const { return kind_ == Kind::Bool; }
  bool is_int() const { return kind_ == Kind::Int; }
  bool is_float() const { return kind_ == Kind::Float; }
  bool is_number() const { return is_int() || is_float(); }
  bool is_string() const { return kind_ == Kind::String; }
  bool is_list() const { return kind_ == Kind::List; }
  bool is_map() const { return kind_ == Kind::Map; }
  // "null", "boolean", "integer", "number", "string", "array", "object": JSON Schema's words.
  std::string_view type_name() const;

  // The accessors ASSERT the kind. A view lives as long as this Value is not written or destroyed.
  bool as_bool() const;
  int64_t as_int() const;
  double as_float() const;  // also of an Int
  std::string_view as_string() const;
  const ValueList& as_list() const;
  const ValueMap& as_map() const;

  // Of a map: the entry, or nullptr; nullptr also when this is no map.
  const Value* find(std::string_view key) const;
  // Of a map: the entry, or a shared null.
  const Value& operator[](std::string_view key) const;
  // The string at `key`, or `fallback` when it is absent or of another kind.
  std::string_view string_or(std::string_view key, std::string_view fallback) const;
  int64_t int_or(std::string_view key, int64_t fallback) const;
  bool bool_or(std::string_view key, bool fallback) const;

  // Writes. `set` turns null into a map, `push_back` null into a list; both ASSERT otherwise.
  // `set` on an existing key keeps its place.
  Value& set(std::string_view key, Value value);
  Value& push_back(Value value);
  ValueList& mutable_list();
  ValueMap& mutable_map();

  size_t size() const;  // of a list, map (entries) or string (bytes); 0 otherwise

  // Equality as JSON: maps compare without order, 1 == 1.0 holds, true != 1.
  bool operator==(const Value& other) const;
  // True when both share one block or are equal scalars: a cheap test for "unchanged".
  bool same_as(const Value& other) const;

 private:
  union Payload {
    int64_t integer;
    double real;
    detail::ValueNode* node;
  };
  bool has_node() const { return kind_ >= Kind::String; }
  void retain() noexcept;
  void release() noexcept;

  Kind kind_;
  Payload payload_;
};

// Whether lists and maps stand in each other more than `most` deep; a scalar has no depth.
bool is_deeper(const Value& value, size_t most);

// Of two numbers, exactly: 2^53 + 1 is more than 2^53 also when that is a Float.
std::partial_ordering compare_numbers(const Value& a, const Value& b);

// The entries of a map in insertion order; keys are unique. Above 16 entries look-ups go through
// a hash index; writers keep it, so that readers only read.
class ValueMap {
 public:
  struct Entry {
    Value key;  // always a String
    Value value;
    std::string_view name() const { return key.as_string(); }
  };
  using const_iterator = std::vector<Entry>::const_iterator;

  const_iterator begin() const { return entries_.begin(); }
  const_iterator end() const { return entries_.end(); }
  size_t size() const { return entries_.size(); }
  bool empty() const { return entries_.empty(); }
  const Value* find(std::string_view key) const;
  bool contains(std::string_view key) const { return find(key) != nullptr; }
  const Entry& at_index(size_t i) const { return entries_[i]; }

  void set(std::string_view key, Value value);
  void set(Value key, Value value);  // `key` must be a String; shares it
  bool erase(std::string_view key);
  void reserve(size_t n) { entries_.reserve(n); }

 private:
  static constexpr size_t kIndexFrom = 16;
  size_t position(std::string_view key) const;
  void index_last();
  void rebuild_index(size_t buckets);

  std::vector<Entry> entries_;
  std::vector<uint32_t> index_;  // open addressing; position + 1; empty below kIndexFrom
};

}  // namespace millrace
