// SPDX-License-Identifier: Apache-2.0
#include "kernel/blobs.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/text.h"

namespace millrace::kernel {
namespace {

// TENANT/EE/EXECUTION
std::string place(TenantId tenant, ExecutionId execution) {
  return fmt::format("{}/{:02x}/{}", tenant.value, execution.value & 0xff, execution.value);
}

}  // namespace

std::string output_ref(TenantId tenant, const RunKey& key, Stream stream) {
  constexpr std::string_view kEndings[] = {"out", "err", "result"};
  return fmt::format("{}{}.{}.{}.{}", kOutputBlobs, place(tenant, key.execution), key.attempt,
                     key.epoch, kEndings[static_cast<size_t>(stream)]);
}

std::string artifacts_prefix(TenantId tenant, const RunKey& key) {
  return fmt::format("{}{}/{}/", kArtifactBlobs, place(tenant, key.execution), key.attempt);
}

Of<ExecutionId> execution_of(std::string_view ref) {
  if (!ref.starts_with(kOutputBlobs) && !ref.starts_with(kArtifactBlobs)) return {};
  auto parts = split(ref, '/');
  if (parts.size() < 4) return {};
  Of<ExecutionId> of;
  std::from_chars(parts[1].data(), parts[1].data() + parts[1].size(), of.tenant.value);
  std::from_chars(parts[3].data(), parts[3].data() + parts[3].size(), of.id.value);
  return of;
}

Result<void> check_blob_ref(std::string_view ref, size_t most) {
  bool fits = !ref.empty() && ref.size() <= most && ref.find('\0') == ref.npos;
  for (size_t at = 0; fits && at <= ref.size();) {
    size_t end = std::min(ref.find('/', at), ref.size());
    std::string_view part = ref.substr(at, end - at);
    fits = !part.empty() && part != "." && part != "..";
    at = end + 1;
  }
  if (fits) return {};
  return Error(ErrorKind::Invalid, "BLB-0002",
               fmt::format("blob reference '{}': expected names with '/' between, none of them "
                           "'.' or '..', {} bytes at most",
                           ref.substr(0, 200), most));
}

}  // namespace millrace::kernel
