// SPDX-License-Identifier: Apache-2.0
#include "kernel/permits.h"

#include <fmt/format.h>

#include <array>
#include <charconv>

namespace millrace::kernel {

namespace {
constexpr std::string_view kRun = "run ";
}

std::string to_text(const PermitUse& use) {
  return fmt::format("{}{} {} {} {} {}", kRun, use.run.execution.value, use.run.attempt,
                     use.run.epoch, use.home, use.number);
}

std::optional<PermitUse> parse_permit_use(std::string_view text) {
  if (!text.starts_with(kRun)) return std::nullopt;
  text.remove_prefix(kRun.size());
  std::array<int64_t, 5> numbers{};
  const char* at = text.data();
  const char* end = text.data() + text.size();
  for (auto& number : numbers) {
    if (&number != numbers.data() && (at == end || *at++ != ' ')) return std::nullopt;
    auto read = std::from_chars(at, end, number);
    if (read.ec != std::errc()) return std::nullopt;
    at = read.ptr;
  }
  if (at != end || numbers[1] < 0 || numbers[1] > INT32_MAX) return std::nullopt;
  return PermitUse{.run = {ExecutionId{numbers[0]}, static_cast<int32_t>(numbers[1]), numbers[2]},
                   .home = numbers[3],
                   .number = numbers[4]};
}

}  // namespace millrace::kernel
