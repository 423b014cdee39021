// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cmath>

#include "expr/rows.h"
#include "expr/yaql.h"

// yaql/standard_library: math.py, boolean.py, branching.py and the variables of system.py.
namespace millrace::expr {

using python::Arithmetic;

Result<bool> map_lookup(Evaluator& eval, const Item& map, const Item& key, Item& out) {
  if (auto* dict = map.as<Dict>(ObjectKind::Dict)) {
    TRY(const Item* found, dict->find(eval.meter, key));
    if (found) out = *found;
    return found != nullptr;
  }
  if (!key.is_string()) {
    TRY(uint64_t h, python::hash(eval.meter, key));
    (void)h;
    return false;
  }
  TRY(eval.meter.scan(key.str().size()));
  const Value* found = map.value().find(key.str());
  if (found) out = map.child(*found);
  return found != nullptr;
}

Result<std::string> yaql_str(Evaluator& eval, const Item& item) {
  if (item.is_null()) return std::string("null");
  if (item.is_bool()) return std::string(item.value().as_bool() ? "true" : "false");
  return eval.str(item);
}

Result<Item> select_from(Evaluator& eval, const Args& args, size_t lambda, const Item& item) {
  if (!args.given(lambda)) return item;
  return eval.call_lambda(args[lambda], std::span(&item, 1));
}

Result<bool> holds(Evaluator& eval, const Item& lambda, const Item& item) {
  TRY(Item verdict, eval.call_lambda(lambda, std::span(&item, 1)));
  return python::truth(verdict);
}

namespace {

Result<Item> absolute(Evaluator&, Args& args) {
  if (args[0].is_float()) return Item(std::fabs(args[0].value().as_float()));
  if (python::as_int128(args[0]) >= 0) return args[0];
  return python::negate(args[0]);
}

Result<Item> to_int(Evaluator&, Args& args) {
  const Item& value = args[0];
  if (value.is_null()) return Item(0);
  if (python::is_integer(value)) return make_int(python::as_int128(value));
  if (value.is_float()) return python::float_to_int(value.value().as_float());
  Item parsed;
  if (value.is_string()) {
    if (python::parse_int(value.str(), 10, parsed)) return parsed;
    return value_error(fmt::format("invalid literal for int() with base 10: '{}'", value.str()));
  }
  return type_error(fmt::format("int() argument must be a string or a number, not '{}'",
                                python::type_name(value)));
}

Result<Item> to_float(Evaluator&, Args& args) {
  const Item& value = args[0];
  if (value.is_null()) return Item(0.0);
  if (python::is_number(value)) return Item(python::as_double(value));
  double d = 0;
  if (value.is_string()) {
    if (python::parse_float(value.str(), d)) return Item(d);
    return value_error(fmt::format("could not convert string to float: '{}'", value.str()));
  }
  return type_error(fmt::format("float() argument must be a string or a number, not '{}'",
                                python::type_name(value)));
}

Result<Item> to_bool(Evaluator&, Args& args) { return Item(python::truth(args[0])); }
Result<Item> is_boolean(Evaluator&, Args& args) { return Item(args[0].is_bool()); }
Result<Item> is_integer(Evaluator&, Args& args) {
  return Item(accepts(Type::Int, args[0]) && !args[0].is_bool());
}
Result<Item> is_number(Evaluator&, Args& args) { return Item(accepts(Type::Number, args[0])); }

Result<Item> random_float(Evaluator& eval, Args&) {
  return Item(static_cast<double>(eval.random() >> 11) * 0x1.0p-53);
}

Result<Item> random_between(Evaluator& eval, Args& args) {
  TRY(int64_t from, python::as_index(args[0], "the lower bound"));
  TRY(int64_t to, python::as_index(args[1], "the upper bound"));
  if (from > to) return value_error("empty range for random()");
  uint64_t span = static_cast<uint64_t>(to) - static_cast<uint64_t>(from) + 1;
  uint64_t pick = span == 0 ? eval.random() : eval.random() % span;
  return Item(static_cast<int64_t>(static_cast<uint64_t>(from) + pick));
}

enum class Bits : uint8_t { And, Or, Xor };
template <Bits Op>
Result<Item> bitwise(Evaluator&, Args& args) {
  Int128 a = python::as_int128(args[0]);
  Int128 b = python::as_int128(args[1]);
  return make_int(Op == Bits::And ? (a & b) : Op == Bits::Or ? (a | b) : (a ^ b));
}
Result<Item> bitwise_not(Evaluator&, Args& args) { return make_int(~python::as_int128(args[0])); }

Result<Item> shift_right(Evaluator&, Args& args) {
  TRY(int64_t bits, python::as_index(args[1], "a shift count"));
  if (bits < 0) return value_error("negative shift count");
  return make_int(python::as_int128(args[0]) >> std::min<int64_t>(bits, 127));
}
Result<Item> shift_left(Evaluator&, Args& args) {
  TRY(int64_t bits, python::as_index(args[1], "a shift count"));
  if (bits < 0) return value_error("negative shift count");
  TRY(Item factor, python::arithmetic(Arithmetic::Power, Item(2), Item(bits)));
  return python::arithmetic(Arithmetic::Multiply, args[0], factor);
}

template <bool Max>
Result<Item> greater_of(Evaluator& eval, Args& args) {
  TRY(Item second_greater, eval.yaql_operator(YaqlOperator::Gt, args[1], args[0]));
  return python::truth(second_greater) == Max ? args[1] : args[0];
}

Result<Item> power(Evaluator&, Args& args) {
  if (!args.given(2) || args[2].is_null()) {
    return python::arithmetic(Arithmetic::Power, args[0], args[1]);
  }
  bool integers =
      accepts(Type::Int, args[0]) && accepts(Type::Int, args[1]) && accepts(Type::Int, args[2]);
  if (!integers) return type_error("pow() 3rd argument not allowed unless all are integers");
  Int128 exponent = python::as_int128(args[1]);
  Int128 modulus = python::as_int128(args[2]);
  constexpr Int128 kLimit = Int128{1} << 62;
  if (modulus == 0) return value_error("pow() 3rd argument cannot be 0");
  if (exponent < 0 || modulus > kLimit || modulus < -kLimit) {
    return unsupported("pow() with such an exponent or modulus");
  }
  auto reduce = [&](Int128 n) { return (n % modulus + modulus) % modulus; };
  Int128 result = reduce(1);
  for (Int128 base = reduce(python::as_int128(args[0])); exponent > 0; exponent >>= 1) {
    if ((exponent & 1) != 0) result = reduce(result * base);
    base = reduce(base * base);
  }
  return make_int(result);
}

Result<Item> sign(Evaluator&, Args& args) {
  double d = python::as_double(args[0]);
  return Item(d > 0 ? 1 : d < 0 ? -1 : 0);
}

Result<Item> round(Evaluator&, Args& args) {
  int64_t digits = int_of(args, 1, 0);
  if (args[0].is_float()) return Item(python::round_half_even(args[0].value().as_float(), digits));
  if (digits >= 0) return args[0];
  return python::float_to_int(python::round_half_even(python::as_double(args[0]), digits));
}

// Branching: the arguments are evaluated as far as needed.

Result<Item> choose(Evaluator& eval, Args& args) {
  for (const auto& arg : args.rest(0)) {
    auto* rule = arg.as<Rule>(ObjectKind::Rule);
    TRY(Item condition, eval.call_lambda(rule->source, {}));
    if (python::truth(condition)) return eval.call_lambda(rule->destination, {});
  }
  return Item();
}

Result<Item> select_case(Evaluator& eval, Args& args) {
  int64_t index = 0;
  for (const auto& arg : args.rest(0)) {
    TRY(Item verdict, eval.call_lambda(arg, {}));
    if (python::truth(verdict)) break;
    ++index;
  }
  return Item(index);
}

template <bool Indexes>
Result<Item> all_cases(Evaluator& eval, Args& args) {
  std::vector<Item> out;
  int64_t index = 0;
  for (const auto& arg : args.rest(0)) {
    TRY(Item verdict, eval.call_lambda(arg, {}));
    bool truth = python::truth(verdict);
    if (!Indexes) out.emplace_back(truth);
    if (Indexes && truth) out.emplace_back(index);
    ++index;
  }
  return eval.tuple(std::move(out));
}

Result<Item> switch_case(Evaluator& eval, Args& args) {
  auto cases = args.rest(1);
  if (cases.empty()) return Item();
  int64_t index = int_of(args, 0, 0);
  bool inside = index >= 0 && index < static_cast<int64_t>(cases.size());
  return eval.call_lambda(inside ? cases[static_cast<size_t>(index)] : cases.back(), {});
}

Result<Item> coalesce(Evaluator& eval, Args& args) {
  for (const auto& arg : args.rest(0)) {
    TRY(Item value, eval.call_lambda(arg, {}));
    if (!value.is_null()) return value;
  }
  return Item();
}

// Variables: let(1, x => 2) -> $1 + $x

Result<Item> let(Evaluator& eval, Args& args) {
  TRY(auto context, child_context(eval.meter, eval.context()));
  for (size_t i = 0; i < args.size(); ++i) {
    TRY(set_variable(eval.meter, *context, std::to_string(i + 1), args[i]));
  }
  for (const auto& [name, value] : args.named()) {
    TRY(set_variable(eval.meter, *context, name, value));
  }
  return Item(context);
}

Result<Item> unpack(Evaluator& eval, Args& args) {
  TRY(auto context, child_context(eval.meter, eval.context()));
  TRY(auto items, eval.items_of(args[0]));
  auto names = args.rest(1);
  if (!names.empty() && names.size() != items.size()) {
    return value_error(
        fmt::format("Cannot unpack {} elements into {}", items.size(), names.size()));
  }
  for (size_t i = 0; i < items.size(); ++i) {
    std::string name = names.empty() ? std::to_string(i + 1) : std::string(names[i].str());
    TRY(set_variable(eval.meter, *context, name, items[i]));
  }
  return Item(context);
}

Result<Item> assert_that(Evaluator& eval, Args& args) {
  TRY(bool fine, holds(eval, args[1], args[0]));
  if (fine) return args[0];
  return eval_error(
      fmt::format("AssertionError: {}", args.given(2) ? args[2].str() : "Assertion failed"));
}

Result<Item> not_here(Evaluator&, Args&) {
  return unsupported("functions defined in an expression (def, call) are not supported");
}

constexpr Row kRows[] = {
    {"abs", "op:num", absolute},
    {"assert", "obj condition:lambda message?:str", assert_that, Use::Method},
    {"bitwiseAnd", "left:int right:int", bitwise<Bits::And>},
    {"bitwiseNot", "arg:int", bitwise_not},
    {"bitwiseOr", "left:int right:int", bitwise<Bits::Or>},
    {"bitwiseXor", "left:int right:int", bitwise<Bits::Xor>},
    {"bool", "value", to_bool},
    {"call", "name:str args kwargs", not_here},
    {"coalesce", "*args:lambda", coalesce},
    {"def", "name:str func:lambda", not_here},
    {"examine", "*args:lambda", all_cases<false>},
    {"float", "value", to_float},
    {"int", "value", to_int},
    {"isBoolean", "value", is_boolean},
    {"isInteger", "value", is_integer},
    {"isNumber", "value", is_number},
    {"let", "*args **", let},
    {"max", "a b", greater_of<true>},
    {"min", "a b", greater_of<false>},
    {"pow", "a:num b:num c?:num|null", power},
    {"random", "", random_float},
    {"random", "from to", random_between},
    {"round", "number:num ndigits?:int", round},
    {"selectAllCases", "*args:lambda", all_cases<true>},
    {"selectCase", "*args:lambda", select_case},
    {"shiftBitsLeft", "value:int bits_number:int", shift_left},
    {"shiftBitsRight", "value:int bits_number:int", shift_right},
    {"sign", "num:num", sign},
    {"switch", "! *args:rule", choose},
    {"switchCase", "case:int *args:lambda", switch_case, Use::Method},
    {"unpack", "sequence:iter *args:str", unpack, Use::Method},
    {"with", "*args", let},
};

}  // namespace

std::span<const Row> yaql_math_rows() { return kRows; }

}  // namespace millrace::expr
