// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "packs/files.h"

namespace millrace::packs {

// What `millrace pack new` can make one of, in the order of its help.
const std::vector<std::string>& template_kinds();

// A pack that has nothing but its name, and a README.
PackFiles new_pack(std::string_view ref);

// The files of one of each of these kinds, which name each other only where all are there. They
// check without a warning, but for kinds that have no effect yet, and their tests pass. Errors:
// Invalid, PCK-0019: no such kind, no such name.
Result<PackFiles> new_things(std::string_view ref, const std::vector<std::string>& kinds);

}  // namespace millrace::packs
