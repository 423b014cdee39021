// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "expr/item.h"

// The tables of functions, filters, tests and methods. A row is found by name when an expression
// is parsed; its signature says the names and, for YAQL, the types of its parameters.
namespace millrace::expr {

class Evaluator;

// What a parameter accepts. Jinja's functions look themselves; only YAQL chooses by type.
enum class Type : uint8_t {
  Any,
  NonNull,  // any
  String,
  MaybeString,
  Int,  // PythonType(int): bool counts
  Bool,
  Number,
  MaybeNumber,
  Iterable,  // lists, sets, views, iterators; no strings, no maps
  Iterator,
  Sequence,  // lists and tuples
  Map,
  Set,
  Regex,
  Ordering,  // the result of orderBy
  Context,
  Lambda,  // not evaluated before the call
  Rule,    // a => b, not evaluated before the call
  Pair,    // a => b, evaluated
};

struct Param {
  std::string_view name;
  Type type = Type::Any;
  bool optional = false;
};

struct Signature {
  std::vector<Param> params;
  bool varargs = false;    // the last of params takes the rest of the positional arguments
  bool kwargs = false;     // any further name
  bool no_kwargs = false;  // YAQL: `a => b` is a Rule, not a named argument
  size_t required = 0;
};

// The arguments of a call in the order of its signature. An omitted optional one is not given.
class Args {
 public:
  const Item& operator[](size_t i) const { return items_[i]; }
  Item& at(size_t i) { return items_[i]; }
  bool given(size_t i) const { return i < items_.size() && i < 64 && (given_ >> i & 1) != 0; }
  size_t size() const { return items_.size(); }
  std::span<const Item> rest(size_t from) const {
    return from < items_.size() ? std::span(items_).subspan(from) : std::span<const Item>();
  }
  const std::vector<std::pair<std::string_view, Item>>& named() const { return named_; }
  const Item* find_named(std::string_view name) const;
  size_t text_bytes() const;  // of the arguments that are texts

  void push(Item item) {
    if (items_.size() < 64) given_ |= uint64_t{1} << items_.size();
    items_.push_back(std::move(item));
  }
  void push_missing() { items_.emplace_back(); }
  void name(std::string_view name, Item item) { named_.emplace_back(name, std::move(item)); }
  void give(size_t i, Item item) {
    items_[i] = std::move(item);
    if (i < 64) given_ |= uint64_t{1} << i;
  }
  // Keeps the text of a name alive that no tree holds.
  void hold(Item name) { held_.push_back(std::move(name)); }
  void drop_named(size_t i) { named_.erase(named_.begin() + static_cast<ptrdiff_t>(i)); }

 private:
  std::vector<Item> items_;
  uint64_t given_ = 0;
  std::vector<std::pair<std::string_view, Item>> named_;
  std::vector<Item> held_;
};

enum class Use : uint8_t { Function, Method, Both };

struct Row {
  std::string_view name;
  // "value:type name?:type *rest **": `?` optional, `*` takes the rest, `**` any name, a leading
  // `!` no named arguments. Without a type: any.
  std::string_view signature;
  Result<Item> (*run)(Evaluator&, Args&);
  Use use = Use::Function;
};

// A row with its signature parsed.
struct Function {
  std::string_view name;
  Signature signature;
  Result<Item> (*run)(Evaluator&, Args&);
  Use use;
};

// An immutable table, built once. Rows of one name lie side by side.
class Table {
 public:
  explicit Table(std::initializer_list<std::span<const Row>> parts);
  uint32_t find(std::string_view name) const;  // the first row, or UINT32_MAX
  const Function& at(uint32_t row) const { return functions_[row]; }
  size_t size() const { return functions_.size(); }
  std::string suggest(std::string_view name) const;  // " (did you mean 'x'?)"

 private:
  std::vector<Function> functions_;
};

const Table& jinja_globals();  // range, dict, namespace...; with those of both languages
const Table& jinja_filters();
const Table& jinja_tests();
const Table& yaql_functions();  // with those of both languages
uint32_t yaql_rows(std::string_view name);
std::string suggest_yaql(std::string_view name);

// Puts positional and named arguments in the order of `signature`.
Result<void> bind(const Function& function, Args& args);

}  // namespace millrace::expr
