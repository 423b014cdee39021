// SPDX-License-Identifier: Apache-2.0
#include "base/fuzzing.h"
#include "base/json.h"
#include "expr/expr.h"
#include "expr/functions.h"

// Evaluates texts in all languages and modes under a small budget: every evaluation ends with a
// value that JSON can hold, or with an error, and with the same when it is done again.
namespace millrace::expr {
namespace {

const Value& context() {
  static const Value ctx = *parse_json(R"({"i": 3, "n": -7, "f": 2.5, "s": "Hello World", "e": "",
    "t": true, "z": null, "l": [3, 1, 2, 3], "d": {"a": 1, "b": {"c": "x"}, "k-y": 5},
    "ld": [{"n": "a", "v": 1}, {"n": "b", "v": 2}], "nested": [[1, 2], [3, [4]]], "csv": "a,b,,c",
    "u": "h\u00e9llo", "js": "{\"x\": [1, 2]}", "y": "<% ctx().i %>", "j": "{{ ctx().i }}"})");
  return ctx;
}

class Values : public Lookup {
 public:
  Answer kv(std::string_view key, bool) const override {
    if (key == "n") return Answer::need("n");
    return key == "system.x" ? Answer::of(Value("kv")) : Answer::absent();
  }
  Answer task(std::optional<std::string_view>, std::optional<int64_t>) const override {
    return Answer::of(context());
  }
  Answer task_status(std::string_view, std::optional<int64_t>) const override {
    return Answer::of(Value("succeeded"));
  }
  Answer current_status() const override { return Answer::of(Value("failed")); }
  Answer result() const override { return Answer::of(context()); }
  Answer item() const override { return Answer::of(context()); }
};

std::string evaluate(std::string_view text, Mode mode) {
  static Engine engine(64 << 10);
  Values lookup;
  Scope scope{.ctx = context(),
              .names = context(),
              .lookup = &lookup,
              .random_seed = 1,
              .mode = mode,
              .budget = {.steps = 20'000, .output_bytes = 64 << 10, .memory_bytes = 1 << 20}};
  auto outcome = [&]() -> std::string {
    auto result = engine.evaluate(text, scope);
    if (!result.ok()) return result.error().code();
    std::string json = to_json(*result);
    // A value that comes from the context alone is not measured; nothing there is large.
    ASSERT(json.size() < (1 << 20));
    ASSERT(parse_json(json).ok());
    return json;
  };
  std::string first = outcome();
  ASSERT(outcome() == first);
  (void)engine.variables(Value(text), mode);
  return first;
}

FUZZ(eval) {
  if (input.size() > 2048) return;
  std::string text(input);
  auto json = evaluate("<% " + text + " %>", Mode::Orquesta);
  fuzz::plant(std::string_view("0123456789tf{").contains(json[0]));
  evaluate("{{ " + text + " }}", Mode::Orquesta);
  evaluate(text, Mode::Orquesta);
  evaluate(text, Mode::Native);
}

constexpr std::string_view kRules = R"(template
  x
  {{ <jinja> }}
  <% <yaql> %>
  a {{ <jinja> }} b {{ <jinja> }}
  {% if <jinja> %}<template>{% elif <jinja> %}<template>{% else %}<template>{% endif %}
  {% for x in <jinja> %}<template>{{ loop.index }}{% endfor %}
  {% for x, y in <jinja> if <jinja> %}<template>{% else %}<template>{% endfor %}
  {% set x = <jinja> %}<template>
  {% set x %}<template>{% endset %}{{ x }}
  {% macro m(x, y=<jinja>) %}<template>{% endmacro %}{{ m(<jinja>, y=<jinja>) }}
  {% filter <filter> %}<template>{% endfilter %}
  {% with x = <jinja> %}<template>{% endwith %}
  {%- raw %}<any>{% endraw -%}
  <any>
jinja
  <atom>
  <jinja> | <filter>
  <jinja> | <filter>(<jinja>)
  <jinja> | <filter>(<jinja>, <jinja>)
  <jinja> | map(attribute='<name>') | list
  <jinja> | map('<filter>') | list
  <jinja> | selectattr('<name>', '<test>', <jinja>) | list
  <jinja> is <test>
  <jinja> is not <test> <jinja>
  <jinja> <operator> <jinja>
  <jinja> if <jinja> else <jinja>
  not <jinja>
  -<jinja>
  (<jinja>)
  [<jinja>, <jinja>]
  (<jinja>, <jinja>)
  {'<name>': <jinja>, <jinja>: <jinja>}
  <jinja>.<name>
  <jinja>[<jinja>]
  <jinja>[<jinja>:<jinja>:<jinja>]
  <jinja>.<method>(<jinja>)
  <jinja>.format(<jinja>, x=<jinja>)
  <jinja> % (<jinja>, <jinja>)
  <global>(<jinja>)
  <global>(<jinja>, <jinja>)
yaql
  <atom>
  $
  $1
  <yaql>.<function>()
  <yaql>.<function>(<yaql>)
  <yaql>.<function>(<yaql>, <yaql>)
  <function>(<yaql>)
  <function>(<yaql>, <yaql>)
  <yaql>.<name>
  <yaql>?.<name>
  <yaql>[<yaql>]
  <yaql> <word> <yaql>
  not <yaql>
  -<yaql>
  (<yaql>)
  [<yaql>, <yaql>]
  {<name> => <yaql>, <yaql> => <yaql>}
  let(x => <yaql>) -> <yaql>
  <yaql>.select(<yaql>)
  <yaql>.where(<yaql>)
  <yaql>.toDict(<yaql>, <yaql>)
  switch(<yaql> => <yaql>, true => <yaql>)
atom
  1
  ctx().<name>
  ctx().<name>
  ctx().<name>
  0
  -1
  2.5
  1e308
  9223372036854775807
  170141183460469231731687303715884105727
  true
  null
  none
  x
  <name>
  'a'
  '<any>'
  "<any>"
  '%s %-5d {0} {x!r:>5}'
  '(a)|(?P<x>b*)'
  '2026-01-01'
  '1.2.3'
  '<1.0.0'
  []
  {}
name
  l
  i
  n
  f
  s
  e
  t
  z
  d
  a
  b
  c
  ld
  v
  nested
  csv
  u
  js
operator
  +
  -
  *
  /
  //
  %
  **
  ~
  ==
  !=
  <
  >=
  in
  not in
  and
  or
word
  +
  -
  *
  /
  mod
  =
  !=
  <
  >=
  in
  and
  or
  =~
  !~
  =>
  .
method
  upper
  split
  join
  replace
  strip
  find
  count
  index
  items
  keys
  values
  get
  update
  append
  pop
  extend
  insert
  center
  zfill
  partition
  splitlines
  startswith
)";

std::string with_functions() {
  std::string rules(kRules);
  auto add = [&](std::string_view rule, const Table& table) {
    rules.append(rule) += '\n';
    for (uint32_t i = 0; i < table.size(); ++i) {
      auto name = table.at(i).name;
      bool is_word = (name[0] >= 'a' && name[0] <= 'z') || (name[0] >= 'A' && name[0] <= 'Z');
      if (is_word) rules.append("  ").append(name) += '\n';
    }
  };
  add("filter", jinja_filters());
  add("test", jinja_tests());
  add("global", jinja_globals());
  add("function", yaql_functions());
  return rules;
}

// Texts that a grammar makes, with all functions of the tables.
FUZZ(templates) {
  static const fuzz::Grammar grammar(with_functions());
  fuzz::Reader in(input);
  bool is_native = in.flag();
  auto text = grammar.text(in, "template");
  auto json = evaluate(text, is_native ? Mode::Native : Mode::Orquesta);
  fuzz::plant(json.starts_with('['));
}

}  // namespace
}  // namespace millrace::expr
