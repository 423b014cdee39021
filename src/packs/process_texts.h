// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "base/problems.h"
#include "model/pack.h"

// Texts of a call that end as C strings of a process or as lines of a request: what could not
// arrive there as it is, is refused while the caller listens.
namespace millrace::packs {

// Why this cannot be a variable of a process's environment; empty: it can.
std::string env_fault(std::string_view name, std::string_view value);

// What is wrong with `values`, the parameters of one call: each word of the command line, `cwd` and
// `env` of runs, `url` and `headers` of requests. Values are not quoted.
void check_process_texts(const Action& action, const Value& values, Problems& problems);

}  // namespace millrace::packs
