// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "expr/expr.h"
#include "model/pack.h"

namespace millrace::packs {

// What the defaults of parameters may read beside the other parameters.
struct CallScope {
  Value pack_config;                     // {{ config_context.x }}, {{ pack.config.x }}
  Value action_context;                  // {{ action_context.user }}
  const expr::Lookup* lookup = nullptr;  // {{ st2kv.system.x }}
  expr::Allowance* allowance = nullptr;  // of rendering defaults and of checking against schemas
};

// A text with an expression in it.
bool is_template(const Value& value);

// The parameters of one call of an action: cast to their types (model/casts.h), defaults filled in
// (those that are templates are rendered over the other parameters), everything checked. Refused,
// all at once (Error PCK-0003, one problem per parameter, JSON pointers): unknown names with the
// nearest one, values of the wrong type or out of bounds, values for immutable parameters, required
// ones that are missing. A null counts as absent unless the schema allows null. Messages never
// quote secret values. EXP-0004 (expr::needed_key): load the value and check again.
Result<Value> check_parameters(const Action& action, const Value& given, const CallScope& scope,
                               expr::Engine& engine);

// Whether a call gives it. A null is a value only where the schema allows one.
bool is_given(const Parameter& parameter, const Value& given);

// The secret values of the pack's configuration that a run of this action is given, by name.
Value secret_config(const Pack& pack, const Action& action);

// The texts that must not appear in any output of a run with these parameters, longest first: the
// scalars of its secret parameters and of that configuration, also as JSON writes them, and the
// single lines of those that have several. Texts under 4 bytes and lines under 8 are left out:
// hiding each "1" of an output would hide nothing and spoil all.
std::vector<std::string> secret_values(const Action& action, const Value& parameters,
                                       const Value& secret_config = {});

// The parameters that become words of the command line: of shell actions, those with a position,
// in that order.
std::vector<std::string> argument_names(const Action& action);
// The first of them that is secret, empty when none is: no such action is run, since every user of
// the machine can read a command line.
std::string secret_argument(const Action& action);
// Those of the runner type (cwd, env, ...): they steer the run, the action does not get them.
std::vector<std::string> steering_names(const Action& action);

// The parameters as people may see them: secret ones are "********".
Value masked(const Action& action, const Value& parameters);

}  // namespace millrace::packs
