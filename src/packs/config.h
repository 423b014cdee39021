// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/value.h"
#include "expr/expr.h"
#include "model/pack.h"

// The configuration of a pack: what config.schema.yaml says of it, and what people have set. Its
// parts lie one above the other: the defaults of the schema, `config` of pack.yaml,
// configs/PACK.yaml, and what a tenant has stored.
namespace millrace::packs {

inline constexpr std::string_view kHiddenConfig = "********";

// Maps entry by entry; of anything else the upper one counts.
Value merged(const Value& under, const Value& over);

// With the defaults of everything that is not there, also inside of maps and lists that are.
Value with_defaults(const Value& schema, Value config);

// What is wrong with it; paths are JSON pointers. A template is judged when it is rendered, and a
// secret value is never quoted. Not among them: what is required and not there (missing_config).
std::vector<Problem> config_problems(const Value& schema, const Value& config);
// The places of what is required and not there, as `a.b`.
std::vector<std::string> missing_config(const Value& schema, const Value& config);
// The first names that the schema does not describe, as warnings.
std::vector<Problem> unknown_config(const Value& schema, const Value& config);

// Only what is secret, at its places.
Value secret_parts(const Value& schema, const Value& config);
// With "********" in the place of what is secret.
Value masked_config(const Value& schema, const Value& config);
// The other way: "********" in a secret place is what `stored` has there.
Value unmasked_config(const Value& schema, const Value& config, const Value& stored);

// Whether a text in it reads the key store ({{ st2kv.system.x }}).
bool reads_keys(const Value& config);
// With these texts rendered. What is secret is read in clear, also without decrypt_kv, as in
// StackStorm. What cannot be rendered (there is no such key) is null. Errors: EXP-0004, the keys
// that have to be loaded first.
Result<Value> render_config(const Value& schema, const Value& config, const expr::Lookup& lookup,
                            expr::Engine& engine, expr::Allowance* allowance = nullptr);

}  // namespace millrace::packs
