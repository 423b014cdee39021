// SPDX-License-Identifier: Apache-2.0
#include "base/fuzzing.h"
#include "base/json.h"
#include "base/json_schema.h"
#include "base/problems.h"

namespace millrace {
namespace {

constexpr std::string_view kRules = R"(schema
  {}
  true
  false
  {<keyword>}
  {<keyword>,<keyword>}
  {<keyword>,<keyword>,<keyword>}
keyword
  "type":<type>
  "type":[<type>,<type>]
  "enum":[<value>,<value>,<value>]
  "const":<value>
  "minimum":<number>
  "maximum":<number>
  "exclusiveMinimum":<number>
  "exclusiveMaximum":<number>
  "multipleOf":<number>
  "minLength":<count>
  "maxLength":<count>
  "pattern":"<pattern>"
  "items":<schema>
  "items":[<schema>,<schema>]
  "minItems":<count>
  "maxItems":<count>
  "uniqueItems":true
  "properties":{"<name>":<schema>,"<name>":<schema>}
  "patternProperties":{"<pattern>":<schema>,"<pattern>":<schema>}
  "additionalProperties":<schema>
  "required":["<name>"]
  "required":true
  "minProperties":<count>
  "maxProperties":<count>
  "allOf":[<schema>,<schema>]
  "anyOf":[<schema>,<schema>]
  "oneOf":[<schema>,<schema>]
  "not":<schema>
  "default":<value>
  "<any>":<value>
type
  "string"
  "integer"
  "number"
  "boolean"
  "array"
  "object"
  "null"
value
  null
  true
  <number>
  "<name>"
  "<any>"
  []
  [<value>]
  [<value>,<value>]
  [<value>,<value>,<value>]
  {}
  {"<name>":<value>}
  {"<name>":<value>,"<name>":<value>,"<name>":<value>}
number
  0
  1
  -1
  2.5
  3e0
  0.1
  9223372036854775807
  -9223372036854775808
  1e308
  -4.9e-324
count
  0
  1
  2
  9223372036854775807
name
  a
  b
  ab
  ~1
  é
pattern
  a
  ^a?b*$
  (a|ab)(c|bcd)*
  [^a]
  \\d{2,}
  .{0,1000}
  (?i)A
  <any>
)";

bool accepts(const Value& schema, const Value& value) {
  return validate_json(schema, value).empty();
}
Value around(std::string_view keyword, Value inner) {
  return Value::map({{keyword, std::move(inner)}});
}

// No answer tells more problems than people read, and none is longer.
void check_bound(const std::vector<Problem>& problems) {
  ASSERT(problems.size() <= kMostProblems + 1);  // the last says that there are more
  for (const Problem& problem : problems) ASSERT(problem.message.size() <= kLongestProblem + 64);
}

// A schema and what stands around it must agree; a schema that is refused is never used.
void check(const Value& schema, const Value& value) {
  auto refused = check_json_schema(schema);
  check_bound(refused);
  if (!refused.empty()) return;
  auto problems = validate_json(schema, value);
  check_bound(problems);
  ASSERT(validate_json(schema, value, ShowValues::No).size() == problems.size());
  bool fits = problems.empty();
  bool is_broken = value.is_list() && value.size() != 3;
  if (fuzz::planted() && is_broken) fits = !fits;
  ASSERT(accepts(around("allOf", ValueList{schema}), value) == fits);
  ASSERT(accepts(around("anyOf", ValueList{false, schema}), value) == fits);
  ASSERT(accepts(around("oneOf", ValueList{schema, false}), value) == fits);
  ASSERT(accepts(around("not", schema), value) == !fits);
  ASSERT(accepts(around("items", schema), ValueList{value}) == fits);
  ASSERT(accepts(around("enum", ValueList{schema, value}), value));
  ASSERT(accepts(around("const", value), value));
}

// A line of JSON that is the schema, then the value.
FUZZ(json_schema) {
  fuzz::Reader in(input);
  auto schema = parse_json(in.line());
  auto value = parse_json(in.rest());
  if (schema.ok() && value.ok()) check(*schema, *value);
}

FUZZ(schema_grammar) {
  static const fuzz::Grammar grammar(kRules);
  fuzz::Reader in(input);
  auto schema = parse_json(grammar.text(in, "schema"));
  auto value = parse_json(grammar.text(in, "value"));
  if (schema.ok() && value.ok()) check(*schema, *value);
}

}  // namespace
}  // namespace millrace
