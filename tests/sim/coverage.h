// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "ledger.h"

namespace millrace::sim {

// Prints what was seen; returns what of the lists was not. Over a few thousand worlds all is.
std::vector<std::string> report_coverage(const Coverage& coverage, bool in_full);

}  // namespace millrace::sim
