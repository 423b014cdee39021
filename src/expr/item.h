// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/value.h"
#include "expr/meter.h"

// What an expression computes with: base Values, and the few things of Python that a Value cannot
// hold (tuples, sets, views, iterators, maps with keys that are no strings, undefined).
namespace millrace::expr {

class Evaluator;
class Item;

enum class ObjectKind : uint8_t {
  Raw,        // marks a plain Value that YAQL sees as list and dict of Python, not frozen
  Safe,       // marks a string that Jinja must not escape
  Undefined,  // Jinja's undefined
  Wide,       // an integer beyond 64 bits
  Seq,        // list, tuple, set or view made by the expression
  Dict,       // map made by the expression
  Iterator,
  Regex,
  Rule,     // YAQL's `a => b`
  Context,  // YAQL's variables
  Lambda,   // an argument of YAQL that is not evaluated yet
  Macro,
  Cycler,
  Joiner,
  Loop,       // Jinja's `loop`
  Namespace,  // Jinja's namespace()
};

// Reference-counted within one thread. The markers are shared between threads and never counted.
struct Object {
  explicit Object(ObjectKind k, bool shared = false) : kind(k), counted(!shared) {}
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  virtual ~Object() = default;
  const ObjectKind kind;
  const bool counted;
  // The longest chain of objects that this one holds, itself included. Bounded by the depth budget
  // wherever an object is made, so that no walk and no destructor can exhaust the stack.
  uint16_t depth = 1;
  mutable uint32_t refs = 0;
};

template <typename T>
class Ref {
 public:
  Ref() = default;
  Ref(T* p) : p_(p) { hold(p_); }
  Ref(const Ref& other) : p_(other.p_) { hold(p_); }
  Ref(Ref&& other) noexcept : p_(std::exchange(other.p_, nullptr)) {}
  template <typename U>
    requires std::is_convertible_v<U*, T*>
  Ref(const Ref<U>& other) : p_(other.get()) {
    hold(p_);
  }
  Ref& operator=(Ref other) noexcept {
    std::swap(p_, other.p_);
    return *this;
  }
  ~Ref() { drop(p_); }
  T* get() const { return p_; }
  T* operator->() const { return p_; }
  T& operator*() const { return *p_; }
  explicit operator bool() const { return p_ != nullptr; }

 private:
  static void hold(T* p) {
    if (p && p->counted) ++p->refs;
  }
  static void drop(T* p) {
    if (p && p->counted && --p->refs == 0) delete p;
  }
  T* p_ = nullptr;
};

template <typename T, typename... Args>
Ref<T> make(Args&&... args) {
  return Ref<T>(new T(std::forward<Args>(args)...));
}

extern const Object kRawMarker;         // raw all the way down: the result of a parser
extern const Object kShallowRawMarker;  // raw, with frozen children: ctx()
extern const Object kSafeMarker;

// One value during evaluation: a Value, alone or with a marker, or an Object.
class Item {
 public:
  Item() = default;
  Item(Value value) : value_(std::move(value)) {}
  Item(bool b) : value_(b) {}
  Item(int64_t i) : value_(i) {}
  Item(int i) : value_(i) {}
  Item(double d) : value_(d) {}
  Item(std::string_view s) : value_(s) {}
  Item(const std::string& s) : value_(s) {}
  Item(const char* s) : value_(s) {}
  template <typename T>
    requires std::is_base_of_v<Object, T>
  Item(Ref<T> object) : object_(object) {}
  static Item raw(Value value);
  static Item shallow_raw(Value value);
  static Item safe(std::string_view text);

  // True when a Value says all: no object, or only a marker.
  bool is_value() const { return !object_ || !object_->counted; }
  const Value& value() const { return value_; }
  bool is_raw() const { return is(ObjectKind::Raw); }
  bool is_safe() const { return object_.get() == &kSafeMarker; }
  bool is(ObjectKind kind) const { return object_ && object_->kind == kind; }
  const Object* object() const { return object_.get(); }
  template <typename T>
  T* as(ObjectKind kind) const {
    return is(kind) ? static_cast<T*>(const_cast<Object*>(object_.get())) : nullptr;
  }

  bool is_null() const { return !object_ && value_.is_null(); }
  bool is_bool() const { return !object_ && value_.is_bool(); }
  bool is_int() const { return !object_ && value_.is_int(); }
  bool is_float() const { return !object_ && value_.is_float(); }
  bool is_string() const { return is_value() && value_.is_string(); }
  bool is_plain_list() const { return is_value() && value_.is_list(); }
  bool is_plain_map() const { return is_value() && value_.is_map(); }
  bool is_undefined() const { return is(ObjectKind::Undefined); }
  std::string_view str() const { return value_.as_string(); }
  // A child of this plain list or map: as raw as its parent.
  Item child(const Value& value) const {
    return object_.get() == &kRawMarker ? raw(value) : Item(value);
  }

 private:
  Value value_;
  Ref<const Object> object_;
};

struct Undefined : Object {
  explicit Undefined(std::string why) : Object(ObjectKind::Undefined), reason(std::move(why)) {}
  std::string reason;  // "'x' is undefined"
};

// An integer of Python that does not fit 64 bits. Beyond 127 bits arithmetic is an error.
__extension__ typedef __int128 Int128;
__extension__ typedef unsigned __int128 UInt128;
struct Wide : Object {
  explicit Wide(Int128 v) : Object(ObjectKind::Wide), value(v) {}
  Int128 value;
};
std::string to_string(Int128 value);
Item make_int(Int128 value);

enum class Flavor : uint8_t { List, Tuple, Set, FrozenSet, Keys, Values, Items, Ordering };

// Unique items in insertion order, with a hash index above a few: the body of sets and dicts.
class ItemTable {
 public:
  static constexpr size_t kNone = SIZE_MAX;
  Result<size_t> find(Meter& meter, const Item& key) const;
  // The position of `key`, appended when it is new.
  Result<std::pair<size_t, bool>> insert(Meter& meter, const Item& key);
  void erase_at(size_t position);
  void clear();
  const std::vector<Item>& keys() const { return keys_; }
  size_t size() const { return keys_.size(); }

 private:
  static constexpr size_t kIndexFrom = 8;
  void place(size_t position);
  void rebuild(size_t buckets);
  std::vector<Item> keys_;
  std::vector<uint64_t> hashes_;
  std::vector<uint32_t> index_;
};

struct Seq : Object {
  explicit Seq(Flavor f) : Object(ObjectKind::Seq), flavor(f) {}
  Seq(Flavor f, std::vector<Item> v) : Object(ObjectKind::Seq), flavor(f), items(std::move(v)) {}
  bool is_set() const {
    return flavor == Flavor::Set || flavor == Flavor::FrozenSet || flavor == Flavor::Keys ||
           flavor == Flavor::Items;
  }
  Flavor flavor;
  bool is_group = false;  // a pair that Jinja also lets call by .grouper and .list
  std::vector<Item> items;
};

struct Dict : Object {
  explicit Dict(bool is_frozen) : Object(ObjectKind::Dict), frozen(is_frozen) {}
  bool frozen;  // YAQL: made by the language, not a dict of Python
  ItemTable table;
  std::vector<Item> values;
  Result<const Item*> find(Meter& meter, const Item& key) const;
  Result<void> set(Meter& meter, const Item& key, Item value);
  Result<bool> erase(Meter& meter, const Item& key);
};

// Pulled one by one; consumed once, as an iterator of Python.
struct Iterator : Object {
  Iterator() : Object(ObjectKind::Iterator) {}
  virtual Result<bool> next(Evaluator& eval, Item& out) = 0;
};

// 0 for plain values.
inline uint16_t depth_of(const Item& item) {
  return item.is_value() ? uint16_t{0} : item.object()->depth;
}
uint16_t depth_of(const std::vector<Item>& items);
// Makes `object` the holder of things `below` deep; fails when that is too deep.
Result<void> nest(Meter& meter, Object& object, uint16_t below);
// A sequence of `items`; fails when it nests too deep or the memory budget is spent.
Result<Item> make_seq(Meter& meter, Flavor flavor, std::vector<Item> items);
// A copy that shares no list or map with its source.
Result<Item> snapshot_item(Meter& meter, const Item& item);
Result<Item> make_pair_item(Meter& meter, Flavor flavor, Item first, Item second);

}  // namespace millrace::expr
