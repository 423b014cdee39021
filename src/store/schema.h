// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string_view>

namespace millrace::store {

// The SQL of schema/*.sql in order: step i brings a store from schema version i to i + 1.
std::span<const std::string_view> schema_steps();

}  // namespace millrace::store
