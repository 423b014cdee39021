// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "base/value.h"

namespace millrace::conductor {

// One violation. Paths are written as the reference writes them: `tasks.a.next[0].when` and
// `properties.tasks.patternProperties.^\w+$.properties.next.items.properties.when.type`.
struct SchemaProblem {
  std::string spec_path;
  std::string schema_path;
  std::string message;
  std::string key;  // the first unknown key, when that is the problem
};

// Checks a value against a JSON Schema (draft 4) of the keywords that workflow documents need:
// type, enum, minimum, maximum, minLength, pattern, minItems, uniqueItems, items, properties,
// patternProperties, additionalProperties, required, minProperties, maxProperties, oneOf, anyOf.
// `pattern` and the keys of `patternProperties` know two expressions only: kWordPattern and
// kItemsPattern.
std::vector<SchemaProblem> validate(const Value& schema, const Value& instance);

inline constexpr std::string_view kWordPattern = "^\\w+$";
// `<% list %>` or `x, y in <% list %>`.
inline constexpr std::string_view kItemsPattern =
    R"re(^(\s+)?({{.*?}}|<%.*?%>)(\s+)?$|)re"
    R"re(^(\s+)?((\w+,\s?|\s+)+)?(\w+)\s+in\s+({{.*?}}|<%.*?%>)(\s+)?$)re";

bool is_word(std::string_view text);
bool is_items_clause(std::string_view text);

// The schema of a workflow document, in the language of the reference or with the native keys.
const Value& orquesta_schema();
const Value& native_schema();

}  // namespace millrace::conductor
