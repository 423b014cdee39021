// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>
#include <vector>

#include "expr/eval.h"

// What YAQL's functions share.
namespace millrace::expr {

bool accepts(Type type, const Item& item);
Error no_match(std::string_view function);

Result<Ref<Context>> child_context(Meter& meter, const Ref<Context>& parent);
Result<void> set_variable(Meter& meter, Context& context, std::string_view name, Item value);
Result<Item> make_rule(Meter& meter, Item source, Item destination);

// The value of `key` in a map of either kind.
Result<bool> map_lookup(Evaluator& eval, const Item& map, const Item& key, Item& out);

// str() of YAQL: null, true, false; else of Python.
Result<std::string> yaql_str(Evaluator& eval, const Item& item);

// Calls a lambda argument with one item, or takes the item when the argument was not given.
Result<Item> select_from(Evaluator& eval, const Args& args, size_t lambda, const Item& item);
Result<bool> holds(Evaluator& eval, const Item& lambda, const Item& item);

// Arguments that a caller already checked.
inline int64_t int_of(const Args& args, size_t i, int64_t otherwise) {
  if (!args.given(i)) return otherwise;
  Int128 n = python::as_int128(args[i]);
  return n > INT64_MAX ? INT64_MAX : n < INT64_MIN ? INT64_MIN : static_cast<int64_t>(n);
}
inline bool flag_of(const Args& args, size_t i, bool otherwise) {
  return args.given(i) ? python::truth(args[i]) : otherwise;
}

}  // namespace millrace::expr
