// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "expr/expr.h"
#include "model/pack.h"

namespace millrace::rules {

// What a rule may name: the actions and triggers of all packs, by ref.
struct Catalog {
  std::map<std::string, const Action*, std::less<>> actions;
  std::map<std::string, const Trigger*, std::less<>> triggers;

  void add(const Pack& pack);  // which must outlive this
};

// Everything that is wrong with a rule, for `pack check` and for the API: what compile() reports;
// unknown actions and triggers, with the nearest name; trigger parameters that the trigger does
// not take or that are no valid schedule; action parameters that the action does not take, lacks,
// or that cannot be of the right type. Paths are JSON pointers into the rule as a file has it.
std::vector<Problem> check_rule(const RuleSpec& spec, const Catalog& known, expr::Engine& engine);

}  // namespace millrace::rules
