// SPDX-License-Identifier: Apache-2.0
#include "services/api/output_store.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>

#include "store/read.h"

namespace millrace::api {
namespace {

Error unreadable(const std::string& file, std::string_view why) {
  return Error(ErrorKind::Internal, "API-0031",
               fmt::format("output file '{}' cannot be read: {}", file, why));
}

Result<std::string> read_piece(const std::string& folder, const std::string& file, int64_t from,
                               int64_t count) {
  if (file.find("..") != std::string::npos) return unreadable(file, "it leads out of its folder");
  int fd = ::open((folder + '/' + file).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return unreadable(file, strerror(errno));
  std::string bytes(static_cast<size_t>(count), '\0');
  size_t got = 0;
  while (got < bytes.size()) {
    ssize_t n = ::pread(fd, bytes.data() + got, bytes.size() - got, from + static_cast<off_t>(got));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    got += static_cast<size_t>(n);
  }
  ::close(fd);
  bytes.resize(got);
  return bytes;
}

}  // namespace

Result<OutputSlice> read_output(sql::Connection& db, const std::string& output_folder,
                                TenantId tenant, ExecutionId id, int attempt, kernel::Stream stream,
                                int64_t from, int64_t limit) {
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
    TRY(slice.bytes, read_piece(output_folder, content.blob, begin, count));
  }
  return slice;
}

}  // namespace millrace::api
