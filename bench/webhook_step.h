// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string_view>

#include "store/writer.h"

namespace millrace::bench {

// The real rows of the n-th webhook, of one that matches a rule: dedupe, event, enforcement,
// execution, queue and three entries of the change feed.
std::unique_ptr<store::Step> webhook_step(int64_t n, std::string_view payload);

}  // namespace millrace::bench
