// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/value.h"

// JSON Schema, drafts 4 to 2020-12, as far as packs use it: type, enum, const, minimum, maximum,
// exclusiveMinimum, exclusiveMaximum (numbers, or draft 4's flags), multipleOf, minLength,
// maxLength, pattern, items, prefixItems, additionalItems, contains, minItems, maxItems,
// uniqueItems, properties, patternProperties, additionalProperties, propertyNames, required,
// dependencies, dependentRequired, dependentSchemas, minProperties, maxProperties, allOf, anyOf,
// oneOf, not, if, then, else. `required: true` inside a property (draft 3, StackStorm's spelling)
// counts too. format, title, description, default, examples, definitions and the like say nothing
// about validity. $ref is refused: who reads a file writes it out.
namespace millrace {

// What is wrong with the schema itself, 100 problems at most; each path is a JSON pointer into it.
// `annotations` are further keywords that may stand beside it (StackStorm's `secret`, `position`,
// ...). What its patterns cost to compile is taken from `regex_steps`, which many schemas may
// share; without it each has kRegexStepsOfDocument (regex_cost.h). Keywords that nobody knows go to
// `unknown` where it is given: validation passes over them.
std::vector<Problem> check_json_schema(const Value& schema,
                                       std::vector<std::string_view> annotations = {},
                                       uint64_t* regex_steps = nullptr,
                                       std::vector<Problem>* unknown = nullptr);

enum class ShowValues : uint8_t { Yes, No };  // No: messages never quote the value (secrets)

// Work that one validation may do: steps of some 50 ns, counted, so that the same input always ends
// alike.
inline constexpr uint64_t kSchemaSteps = 4'000'000;

// How `value` breaks the schema, one problem per violation, 100 at most; each path is a JSON
// pointer into the value. `schema` has passed check_json_schema; what it does not understand is
// ignored. What takes more than kSchemaSteps, or than `steps` has left (which are taken from it),
// is one problem that says so.
std::vector<Problem> validate_json(const Value& schema, const Value& value,
                                   ShowValues show = ShowValues::Yes, uint64_t* steps = nullptr);

// The schemas by which the entry `name` of an object is judged: of properties and
// patternProperties, else of additionalProperties.
std::vector<const Value*> member_schemas(const Value& schema, std::string_view name);

// `pointer` with one more reference token, escaped (RFC 6901).
std::string json_pointer(std::string_view pointer, std::string_view token);
std::string json_pointer(std::string_view pointer, size_t index);

}  // namespace millrace
