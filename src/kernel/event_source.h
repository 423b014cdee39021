// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

// Who sent an event stands in its source. What the server itself sends, and what it has seen a
// valid signature of, has a source that nobody else may give: `webhook:NAME`, `timer:TRIGGER`,
// `execution:ID`, `sensor:REF`, `millrace:WHAT`.
namespace millrace::kernel {

enum class SourceKind : uint8_t { Webhook, Timer, Execution, Sensor, Server };

// The only way to a source of the server's own.
std::string own_source(SourceKind kind, std::string_view name);

// The prefix (`webhook:`) when a stranger may not give this source, else empty. Schemes of URIs
// have no case, and blanks in front of one do not count.
std::string_view reserved_prefix(std::string_view source);
// What whoever gave it is told.
std::string reserved_message(std::string_view prefix);

}  // namespace millrace::kernel
