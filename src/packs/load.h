// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
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
  Pack pack;                      // without the files that have errors, which are its `faults`
  std::vector<Problem> errors;    // paths are `file:line`
  std::vector<Problem> warnings;  // what costs nothing, has no effect, or waits for another pack
  bool is_usable = false;         // false: it cannot be told what the pack is named
};

// Reads a pack in two steps, for rules name what other packs have. `files` must outlive it.
class PackReader {
 public:
  PackReader(const PackFiles& files, expr::Engine& engine, std::string folder = {});
  PackReader(PackReader&&) noexcept;
  ~PackReader();
  // All but the judgement of its rules. Stays where it is until finish().
  const Pack& pack() const;
  bool is_usable() const;
  // Once.
  Report finish(const RuleCheck& check_rule);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// Both at once. Reads a pack: pack.yaml, config.schema.yaml, runtimes, triggers, actions, sensors
// (and their triggers), aliases, rules; policies for their form only. StackStorm's and Attune's
// keys. Everything that is wrong is found in one go; the first 100 mistakes are told. A file with
// an error is left out, and so is a rule that names what another pack does not have (yet): that is
// a warning. `folder`: the last name of its path, StackStorm's ref of a pack that gives itself
// none.
Report check(const PackFiles& files, expr::Engine& engine, const RuleCheck& check_rule = {},
             std::string folder = {});

// The pack, or Error PCK-0002 with all that check() found. `folder` becomes Pack::folder.
Result<Pack> load(const PackFiles& files, std::string folder, expr::Engine& engine,
                  const RuleCheck& check_rule = {});

}  // namespace millrace::packs
