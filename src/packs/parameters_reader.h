// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "expr/expr.h"
#include "model/pack.h"
#include "packs/section.h"

namespace millrace::packs {

// Reads the parameters of an action, a trigger or a pack's configuration. Two spellings: a map of
// names to schemas (StackStorm, Attune), or one JSON Schema of an object. `at` may be nullptr.
std::vector<Parameter> read_parameters(Section& owner, const YamlNode* at, expr::Engine& engine);

// All of config.schema.yaml, in either of the two spellings, as JSON Schema.
Value config_schema_of(Section& owner, const YamlNode& file, expr::Engine& engine);

// A schema of an object in either of the two spellings, as JSON Schema; null when `at` is nullptr.
Value read_object_schema(Section& owner, const YamlNode* at);

// The JSON Schema of an object with these parameters.
Value schema_of(const std::vector<Parameter>& parameters);

}  // namespace millrace::packs
