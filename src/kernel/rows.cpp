// SPDX-License-Identifier: Apache-2.0
#include "kernel/rows.h"

#include <array>

#include "base/mix.h"

namespace millrace::kernel {
namespace {

constexpr std::array<std::string_view, 13> kEntityNames{
    "event",  "enforcement", "execution", "rule",      "webhook", "pack", "token",
    "worker", "inquiry",     "key",       "operation", "policy",  "timer"};
constexpr std::array<std::string_view, 4> kInquiryStatusNames{"pending", "answered", "expired",
                                                              "canceled"};
constexpr std::array<std::string_view, 3> kOpNames{"created", "updated", "deleted"};

}  // namespace

int shard_of(TenantId tenant, int64_t root) {
  uint64_t x = static_cast<uint64_t>(root) + static_cast<uint64_t>(tenant.value) * kGolden64;
  return static_cast<int>(mix64(x) % kShards);
}

std::string_view to_string(EntityType type) { return kEntityNames[static_cast<size_t>(type)]; }

std::optional<EntityType> parse_entity_type(std::string_view text) {
  for (size_t i = 0; i < kEntityNames.size(); ++i) {
    if (kEntityNames[i] == text) return static_cast<EntityType>(i);
  }
  return std::nullopt;
}

std::string_view to_string(InquiryStatus status) {
  auto number = static_cast<size_t>(status);
  return number < kInquiryStatusNames.size() ? kInquiryStatusNames[number] : "unknown";
}

std::optional<InquiryStatus> parse_inquiry_status(std::string_view text) {
  for (size_t i = 0; i < kInquiryStatusNames.size(); ++i) {
    if (kInquiryStatusNames[i] == text) return static_cast<InquiryStatus>(i);
  }
  return std::nullopt;
}

std::string_view to_string(OperationStatus status) {
  switch (status) {
    case OperationStatus::Running: return "running";
    case OperationStatus::Succeeded: return "succeeded";
    case OperationStatus::Failed: return "failed";
  }
  return "unknown";
}

std::string_view to_string(ChangeOp op) { return kOpNames[static_cast<size_t>(op)]; }

}  // namespace millrace::kernel
