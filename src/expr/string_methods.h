// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "expr/functions.h"
#include "expr/item.h"

namespace millrace::expr {

// The methods of Python's str, list and dict that a Jinja expression may call. `found` is false
// when `object` has no such method. Values of the scope are never changed: append and the like
// work on what the template made itself.
Result<Item> python_method(Evaluator& eval, const Item& object, std::string_view name, Args& args,
                           bool& found);
Result<Item> container_method(Evaluator& eval, const Item& object, std::string_view name,
                              Args& args, bool& found);

// str.replace of Python; `count` < 0 replaces all.
Result<Item> replace_in_text(Evaluator& eval, std::string_view text, std::string_view from,
                             std::string_view to, int64_t count);

}  // namespace millrace::expr
