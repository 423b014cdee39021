// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "expr/functions.h"
#include "expr/item.h"

// The three ways in which Python puts values into text.
namespace millrace::expr::python {

// `template % values`; with `is_tuple` each value is used once, else the one value may be a map.
Result<Item> percent_format(Evaluator& eval, std::string_view pattern, std::span<const Item> values,
                            bool is_tuple);
// template.format(*positional, **named)
Result<Item> brace_format(Evaluator& eval, std::string_view pattern, std::span<const Item> values,
                          const std::vector<std::pair<std::string_view, Item>>& named);
// format(value, spec): the format specification mini-language.
Result<std::string> format_value(Evaluator& eval, const Item& value, std::string_view spec);

}  // namespace millrace::expr::python
