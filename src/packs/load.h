// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <vector>

#include "expr/expr.h"
#include "model/pack.h"
#include "packs/files.h"

namespace millrace::packs {

// Judges a rule of a pack whose actions and triggers are all read (rules::check_rule does, with the
// catalog of the other packs). Paths of the problems are JSON pointers into the rule:
// /trigger/type, /trigger/parameters/..., /criteria/..., /action/ref, /action/parameters/...
using RuleCheck = std::function<std::vector<Problem>(const RuleSpec&, const Pack&)>;

struct Report {
  Pack pack;                      // complete only when there are no errors
  std::vector<Problem> errors;    // paths are `file:line`
  std::vector<Problem> warnings;  // known keys that have no effect
};

// Reads a pack: pack.yaml, config.schema.yaml, runtimes, triggers, actions, sensors (and their
// triggers), rules; policies and aliases for their form only. StackStorm's and Attune's keys.
// Everything that is wrong is found in one go; the first 100 mistakes are told.
Report check(const PackFiles& files, expr::Engine& engine, const RuleCheck& check_rule = {});

// The pack, or Error PCK-0002 with all that check() found. `folder` becomes Pack::folder.
Result<Pack> load(const PackFiles& files, std::string folder, expr::Engine& engine,
                  const RuleCheck& check_rule = {});

}  // namespace millrace::packs
