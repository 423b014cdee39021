// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/value.h"
#include "base/yaml.h"

namespace millrace::engine {

// Adds to the errors of a workflow where the expression stands that failed: `spec_path`, as
// `tasks.a.input.cmd`, and `line`. Of one that came out of a value nothing is known.
void put_places(const YamlNode& document, Value& errors);

}  // namespace millrace::engine
