// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/rows.h"

namespace millrace::api {

// Why an execution that needs these labels (model/labels.h) waits for a slot, for people:
// "needs label gpu: 2 workers do not offer it". `servers`: the names of those that live, by epoch;
// none: one process has the store.
std::string waiting_reason(std::string_view needs, const std::vector<kernel::WorkerRow>& workers,
                           const std::map<int64_t, std::string>& servers = {});

}  // namespace millrace::api
