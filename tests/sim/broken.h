// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string_view>

#include "base/mutants.h"

namespace millrace::sim {

// A broken variant of the protocol, for the table of docs/reliability.md.
struct Broken {
  Mutant mutant;
  std::string_view name;
  std::string_view what;
  bool of_several = false;  // what only several servers can get wrong: looked for in their worlds
  bool of_limits = false;   // what only policies can: the same
};
std::span<const Broken> all_broken();
const Broken* find_broken(std::string_view name);

}  // namespace millrace::sim
