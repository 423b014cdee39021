// SPDX-License-Identifier: Apache-2.0
#include "base/fuzzing.h"
#include "base/json.h"
#include "base/yaml.h"
#include "rules/index.h"

namespace millrace::rules {
namespace {

// So many more rules that the index arranges them, and no event matches one.
std::vector<RulePtr> among_others(RulePtr rule) {
  static const std::vector<RulePtr> others = [] {
    std::vector<RulePtr> out;
    expr::Engine engine;
    for (int i = 0; i < 20; ++i) {
      RuleSpec spec{.ref = "f.other" + std::to_string(i), .trigger = "f.t"};
      spec.criteria = Value::map({{"trigger.never.there", Value::map({{"type", "exists"}})}});
      out.push_back(compile(std::move(spec), RuleId(2), 1, engine).value());
    }
    return out;
  }();
  std::vector<RulePtr> all = others;
  all.push_back(std::move(rule));
  return all;
}

// A rule that compiles is found by the index exactly when trying it alone says that it matches.
void check(std::string_view payload_text, std::string_view criteria_text) {
  auto payload = parse_json(payload_text);
  auto criteria = parse_yaml(criteria_text, "f");
  if (!payload || !criteria) return;
  static expr::Engine engine;
  RuleSpec spec{.ref = "f.rule", .trigger = "f.t", .criteria = criteria->value};
  auto rule = compile(spec, RuleId(1), 1, engine);
  if (!rule) return;
  EventScope scope{.event = event_value(EventId(1), "f.t", 0, *payload, {})};
  scope.now_ms = 1'800'000'000'000;
  auto matched = RuleIndex(among_others(*rule)).match(scope, engine);
  auto explained = explain(**rule, scope, engine);
  ASSERT(matched.ok() == explained.ok());
  if (!matched) return;
  bool holds = explained->matches;
  bool is_broken = criteria->value.is_null() || criteria_text.contains("search");
  if (fuzz::planted() && holds && is_broken) holds = false;
  ASSERT(matched->empty() != holds);
}

// The first line is a JSON payload, the rest the YAML of criteria.
FUZZ(criteria) {
  fuzz::Reader in(input);
  auto payload = in.line();
  check(payload, in.rest());
}

constexpr std::string_view kCriteriaGrammar = R"(criteria
  {}
  {<entry>}
  {<entry>, <entry>}
  {"any": [<criteria>, <criteria>]}
  {"all": [<criteria>, <criteria>]}
  {"not": <criteria>}
  "{{ trigger.<name> == <value> }}"
  "{{ trigger.<name> is defined and trigger.<name> }}"
  "<% $.trigger.<name> = <value> %>"
entry
  "<path>": <test>
  "<path>": {"type": "exists"}
  "<path>": {"type": "nexists"}
  "<path>": {"type": "search", "condition": "<condition>", "pattern": {<item>}}
item
  "item.<name>": <test>
test
  {"type": "<type>", "pattern": <value>}
path
  trigger.a
  trigger.<name>
  trigger.<name>.<name>
  trigger.<name>[0]
  trigger.<any>
type
  eq
  neq
  equals
  nequals
  iequals
  contains
  icontains
  ncontains
  incontains
  startswith
  istartswith
  endswith
  iendswith
  matchregex
  regex
  iregex
  matchwildcard
  greaterthan
  lessthan
  timediff_lt
  timediff_gt
  inside
  ninside
condition
  any
  all
  all2any
  any2any
value
  null
  true
  1
  2.0
  "a"
  "b"
  "ab"
  "<any>"
  "^a.*"
  "{{ trigger.<name> }}"
  [<value>, <value>]
  {"<name>": <value>}
name
  a
  b
  c
payload
  {}
  {"<name>": <data>}
  {"<name>": <data>, "<name>": <data>}
data
  1
  null
  2
  "a"
  "ab"
  "b"
  "2026-01-01T00:00:00Z"
  "<any>"
  [<data>, <data>]
  {"<name>": <data>}
)";

FUZZ(criteria_grammar) {
  static const fuzz::Grammar grammar(kCriteriaGrammar);
  fuzz::Reader in(input);
  auto payload = grammar.text(in, "payload");
  check(payload, grammar.text(in, "criteria"));
}

}  // namespace
}  // namespace millrace::rules
