// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "model/pack.h"

namespace millrace::packs {

// How the output of a run or of a workflow breaks what its action declares, every problem with its
// JSON pointer; empty: it does not. It never quotes the output, which may hold secrets.
std::string output_fault(const Action& action, const Value& output);

}  // namespace millrace::packs
