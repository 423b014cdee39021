// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "expr/item.h"

// Python's rules for values: str() and repr(), ==, <, truth, hash, arithmetic. Both languages are
// defined by what their Python implementation does.
namespace millrace::expr::python {

bool truth(const Item& item);
std::string_view type_name(const Item& item);  // as Python names it: list, dict, NoneType

// Appends str() or repr(); fails when `out` would pass the output budget.
Result<void> append_str(Meter& meter, std::string& out, const Item& item);
Result<void> append_repr(Meter& meter, std::string& out, const Item& item);
Result<std::string> str(Meter& meter, const Item& item);
void append_float(std::string& out, double d);

Result<bool> equal(Meter& meter, const Item& a, const Item& b);
// Numbers, strings, lists and sets among themselves; everything else is a TypeError. `op` is for
// the message.
Result<std::partial_ordering> compare(Meter& meter, const Item& a, const Item& b,
                                      std::string_view op = "<");
Result<uint64_t> hash(Meter& meter, const Item& item);  // TypeError for lists and maps made by
                                                        // the expression

bool is_number(const Item& item);    // int, float, bool, wide
bool is_integer(const Item& item);   // int, bool, wide
Int128 as_int128(const Item& item);  // of an integer
double as_double(const Item& item);  // of a number
// An integer that must fit 64 bits, as for indexes and counts.
Result<int64_t> as_index(const Item& item, std::string_view what);

enum class Arithmetic : uint8_t { Add, Subtract, Multiply, Divide, FloorDivide, Modulo, Power };
std::string_view symbol(Arithmetic op);
// Both must be numbers.
Result<Item> arithmetic(Arithmetic op, const Item& a, const Item& b);
Result<Item> negate(const Item& a);

// int(text), float(text) of Python; false when the text is no number.
bool parse_int(std::string_view text, int base, Item& out);
bool parse_float(std::string_view text, double& out);
Result<Item> float_to_int(double d);  // int(d)
double round_half_even(double d, int64_t digits);

}  // namespace millrace::expr::python
