// SPDX-License-Identifier: Apache-2.0
#include "kernel/event_source.h"

#include "base/text.h"

namespace millrace::kernel {
namespace {

// In the order of SourceKind, then those that are kept for what the server may send one day.
constexpr std::string_view kPrefixes[] = {
    "webhook:", "timer:", "execution:", "sensor:", "millrace:", "rule:"};

}  // namespace

std::string own_source(SourceKind kind, std::string_view name) {
  return std::string(kPrefixes[static_cast<size_t>(kind)]) + std::string(name);
}

std::string_view reserved_prefix(std::string_view source) {
  source = trim(source);
  for (auto prefix : kPrefixes) {
    if (iequals_ascii(source.substr(0, prefix.size()), prefix)) return prefix;
  }
  return {};
}

std::string reserved_message(std::string_view prefix) {
  return "'" + std::string(prefix) +
         "...' is said by the server alone: expected a URI of the sender's own, such as "
         "https://ci.example.org";
}

}  // namespace millrace::kernel
