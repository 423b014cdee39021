// SPDX-License-Identifier: Apache-2.0
#include "services/api/output_store.h"

#include <fmt/format.h>

#include <algorithm>

#include "store/read.h"

namespace millrace::api {
namespace {

// That it is not there, or shorter than its row says, is a fault of the store, not of the caller.
Result<std::string> read_whole(kernel::Blobs& blobs, const std::string& ref, int64_t from,
                               int64_t count) {
  auto bytes = blobs.read(ref, from, count);
  if (bytes.ok() && static_cast<int64_t>(bytes->size()) == count) return bytes;
  return Error(ErrorKind::Internal, "API-0031",
               fmt::format("output '{}' cannot be read: {}", ref,
                           bytes.ok() ? "it is shorter than it was" : bytes.error().message()));
}

}  // namespace

Result<OutputSlice> read_output(sql::Connection& db, kernel::Blobs& blobs, TenantId tenant,
                                ExecutionId id, int attempt, kernel::Stream stream, int64_t from,
                                int64_t limit) {
  TRY(auto rows, store::outputs_of(db, tenant, id));
  const kernel::OutputRow* chosen = nullptr;
  for (const auto& row : rows) {
    if (row.stream != stream || (attempt != 0 && row.attempt != attempt)) continue;
    if (!chosen || row.attempt > chosen->attempt) chosen = &row;
  }
  OutputSlice slice;
  if (!chosen) return slice;
  const auto& content = chosen->content;
  slice.durable = true;
  slice.size = content.size;
  slice.dropped = content.dropped;
  int64_t begin = std::clamp<int64_t>(from, 0, content.size);
  int64_t count = std::min(limit, content.size - begin);
  if (count == 0) return slice;
  if (content.blob.empty()) {
    slice.bytes = content.bytes.substr(static_cast<size_t>(begin), static_cast<size_t>(count));
  } else {
    TRY(slice.bytes, read_whole(blobs, content.blob, begin, count));
  }
  return slice;
}

}  // namespace millrace::api
