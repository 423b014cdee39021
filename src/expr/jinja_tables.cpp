// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "expr/eval.h"
#include "expr/rows.h"
#include "expr/string_methods.h"
#include "expr/text_formats.h"

// Jinja's tests and globals, and the tables of both languages.
namespace millrace::expr {
namespace {

Result<Item> remainder_is(Evaluator& eval, const Item& value, const Item& by, int64_t wanted) {
  if (value.is_undefined()) return undefined_use(value);
  if (by.is_undefined()) return undefined_use(by);
  TRY(Item rest, eval.binary(python::Arithmetic::Modulo, value, by));
  TRY(bool same, eval.equal(rest, Item(wanted)));
  return Item(same);
}
Result<Item> odd(Evaluator& eval, Args& args) { return remainder_is(eval, args[0], Item(2), 1); }
Result<Item> even(Evaluator& eval, Args& args) { return remainder_is(eval, args[0], Item(2), 0); }
Result<Item> divisible(Evaluator& eval, Args& args) {
  return remainder_is(eval, args[0], args[1], 0);
}

Result<Item> is_defined(Evaluator&, Args& args) { return Item(!args[0].is_undefined()); }
Result<Item> is_undefined(Evaluator&, Args& args) { return Item(args[0].is_undefined()); }
Result<Item> is_none(Evaluator&, Args& args) { return Item(args[0].is_null()); }
Result<Item> is_boolean(Evaluator&, Args& args) { return Item(args[0].is_bool()); }
Result<Item> is_true(Evaluator&, Args& args) {
  return Item(args[0].is_bool() && args[0].value().as_bool());
}
Result<Item> is_false(Evaluator&, Args& args) {
  return Item(args[0].is_bool() && !args[0].value().as_bool());
}
Result<Item> is_integer(Evaluator&, Args& args) {
  return Item(python::is_integer(args[0]) && !args[0].is_bool());
}
Result<Item> is_float(Evaluator&, Args& args) { return Item(args[0].is_float()); }
Result<Item> is_number(Evaluator&, Args& args) { return Item(python::is_number(args[0])); }
Result<Item> is_string(Evaluator&, Args& args) { return Item(args[0].is_string()); }
Result<Item> is_mapping(Evaluator&, Args& args) { return Item(is_map(args[0])); }
Result<Item> is_sequence_test(Evaluator&, Args& args) {
  return Item(args[0].is_string() || is_map(args[0]) || is_sequence(args[0]));
}
Result<Item> is_iterable(Evaluator&, Args& args) {
  if (args[0].is_undefined()) return undefined_use(args[0]);
  return Item(Cursor::over(args[0]).ok());
}
Result<Item> is_callable(Evaluator&, Args& args) {
  return Item(args[0].is(ObjectKind::Macro) || args[0].is(ObjectKind::Joiner));
}
Result<Item> is_escaped(Evaluator&, Args& args) { return Item(args[0].is_safe()); }

Result<Item> is_same(Evaluator&, Args& args) {
  const Item& a = args[0];
  const Item& b = args[1];
  if (!a.is_value() || !b.is_value()) return Item(a.object() == b.object());
  return Item(a.value().same_as(b.value()) ||
              (a.is_string() && b.is_string() && a.str() == b.str()));
}

template <bool Upper>
Result<Item> has_case(Evaluator& eval, Args& args) {
  TRY(std::string text, eval.str(args[0]));
  TRY(Item subject, eval.text(std::move(text)));
  Args none;
  bool found = false;
  return python_method(eval, subject, Upper ? "isupper" : "islower", none, found);
}

Result<Item> is_filter(Evaluator&, Args& args) {
  return Item(args[0].is_string() && jinja_filters().find(args[0].str()) != kNone);
}
Result<Item> is_test(Evaluator&, Args& args) {
  return Item(args[0].is_string() && jinja_tests().find(args[0].str()) != kNone);
}

Result<Item> is_in(Evaluator& eval, Args& args) {
  TRY(bool found, eval.contains(args[1], args[0]));
  return Item(found);
}

template <bool Wanted>
Result<Item> equals(Evaluator& eval, Args& args) {
  TRY(bool same, eval.equal(args[0], args[1]));
  return Item(same == Wanted);
}

template <Comparison How>
Result<Item> compares(Evaluator& eval, Args& args) {
  constexpr std::string_view kSymbols[] = {"==", "!=", "<", "<=", ">", ">="};
  TRY(auto order,
      python::compare(eval.meter, args[0], args[1], kSymbols[static_cast<size_t>(How)]));
  return Item(How == Comparison::Lt   ? order < 0
              : How == Comparison::Le ? order <= 0
              : How == Comparison::Gt ? order > 0
                                      : order >= 0);
}

constexpr Row kTests[] = {
    {"!=", "a b", equals<false>},
    {"<", "a b", compares<Comparison::Lt>},
    {"<=", "a b", compares<Comparison::Le>},
    {"==", "a b", equals<true>},
    {">", "a b", compares<Comparison::Gt>},
    {">=", "a b", compares<Comparison::Ge>},
    {"boolean", "value", is_boolean},
    {"callable", "value", is_callable},
    {"defined", "value", is_defined},
    {"divisibleby", "value num", divisible},
    {"eq", "a b", equals<true>},
    {"equalto", "a b", equals<true>},
    {"escaped", "value", is_escaped},
    {"even", "value", even},
    {"false", "value", is_false},
    {"filter", "value", is_filter},
    {"float", "value", is_float},
    {"ge", "a b", compares<Comparison::Ge>},
    {"greaterthan", "a b", compares<Comparison::Gt>},
    {"gt", "a b", compares<Comparison::Gt>},
    {"in", "value seq", is_in},
    {"integer", "value", is_integer},
    {"iterable", "value", is_iterable},
    {"le", "a b", compares<Comparison::Le>},
    {"lessthan", "a b", compares<Comparison::Lt>},
    {"lower", "value", has_case<false>},
    {"lt", "a b", compares<Comparison::Lt>},
    {"mapping", "value", is_mapping},
    {"ne", "a b", equals<false>},
    {"none", "value", is_none},
    {"number", "value", is_number},
    {"odd", "value", odd},
    {"sameas", "value other", is_same},
    {"sequence", "value", is_sequence_test},
    {"string", "value", is_string},
    {"test", "value", is_test},
    {"true", "value", is_true},
    {"undefined", "value", is_undefined},
    {"upper", "value", has_case<true>},
};

// Globals

Result<Item> range(Evaluator& eval, Args& args) {
  int64_t bounds[3] = {0, 0, 1};
  for (size_t i = 0; i < 3 && args.given(i); ++i) {
    TRY(bounds[i], python::as_index(args[i], "an argument of range()"));
  }
  if (!args.given(1)) {
    bounds[1] = bounds[0];
    bounds[0] = 0;
  }
  auto [start, stop, step] = std::tuple(bounds[0], bounds[1], bounds[2]);
  if (step == 0) return value_error("range() arg 3 must not be zero");
  std::vector<Item> out;
  for (Int128 i = start; step > 0 ? i < stop : i > stop; i += step) {
    TRY(eval.meter.step());
    TRY(eval.meter.take(sizeof(Item)));
    out.emplace_back(static_cast<int64_t>(i));
  }
  return eval.list(std::move(out));
}

// dict(map or pairs, name=value...)
Result<Ref<Dict>> dict_of(Evaluator& eval, const Args& args) {
  auto dict = make<Dict>(false);
  if (args.given(0)) {
    if (is_map(args[0])) {
      TRY(auto entries, entries_of(eval, args[0]));
      for (auto& [key, value] : entries) TRY(dict->set(eval.meter, key, std::move(value)));
    } else {
      TRY(auto items, eval.items_of(args[0]));
      for (const auto& item : items) {
        TRY(auto pair, eval.items_of(item));
        if (pair.size() != 2) {
          return value_error("dictionary update sequence elements must have length 2");
        }
        TRY(dict->set(eval.meter, pair[0], pair[1]));
      }
    }
  }
  for (const auto& [name, value] : args.named()) {
    TRY(Item key, eval.copied(name));
    TRY(dict->set(eval.meter, key, value));
  }
  return dict;
}

Result<Item> dict_global(Evaluator& eval, Args& args) {
  TRY(auto dict, dict_of(eval, args));
  return Item(dict);
}

Result<Item> namespace_global(Evaluator& eval, Args& args) {
  TRY(auto dict, dict_of(eval, args));
  auto ns = make<Namespace>();
  for (size_t i = 0; i < dict->values.size(); ++i) {
    const Item& key = dict->table.keys()[i];
    if (!key.is_string()) return type_error("attribute names must be strings");
    TRY(Item copy, snapshot_item(eval.meter, dict->values[i]));
    TRY(eval.meter.take(key.str().size()));
    ns->data.emplace_back(std::string(key.str()), std::move(copy));
  }
  return Item(ns);
}

Result<Item> cycler(Evaluator&, Args& args) {
  if (args.size() == 0) return eval_error("RuntimeError: at least one item has to be provided");
  return Item(make<Cycler>(std::vector<Item>(args.rest(0).begin(), args.rest(0).end())));
}

Result<Item> joiner(Evaluator&, Args& args) {
  return Item(make<Joiner>(args.given(0) ? args[0] : Item(", ")));
}

constexpr Row kGlobals[] = {
    {"cycler", "*items", cycler},
    {"dict", "items? **", dict_global},
    {"joiner", "sep?", joiner},
    {"namespace", "items? **", namespace_global},
    {"range", "start stop? step?", range},
};

}  // namespace

std::span<const Row> jinja_test_rows() { return kTests; }

const Table& jinja_globals() {
  static const Table table{orquesta_rows(), st2_rows(), version_rows(), kGlobals};
  return table;
}

// Orquesta registers its functions as filters too.
const Table& jinja_filters() {
  static const Table table{jinja_text_filters(), jinja_html_filters(), jinja_sequence_filters(),
                           version_rows(),       orquesta_rows(),      st2_rows()};
  return table;
}

const Table& jinja_tests() {
  static const Table table{kTests};
  return table;
}

const Table& yaql_functions() {
  static const Table table{orquesta_rows(),        st2_rows(),         version_rows(),
                           yaql_math_rows(),       yaql_string_rows(), yaql_regex_rows(),
                           yaql_collection_rows(), yaql_stream_rows(), yaql_query_rows(),
                           yaql_ordering_rows()};
  return table;
}

uint32_t yaql_rows(std::string_view name) { return yaql_functions().find(name); }
std::string suggest_yaql(std::string_view name) { return yaql_functions().suggest(name); }

}  // namespace millrace::expr
