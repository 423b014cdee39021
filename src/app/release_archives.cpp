// SPDX-License-Identifier: Apache-2.0
#include "app/release_archives.h"

#include <fmt/format.h>

#include "agent/release_archive.h"
#include "app/staged_releases.h"

namespace millrace::app {

Result<agent::ReleasePiece> ReleaseArchives::read(const agent::WantRelease& want) {
  std::lock_guard lock(mutex_);
  if (digest_ != want.digest) {
    TRY(auto files, read_release(data_, want.pack, want.digest));
    archive_ = agent::write_archive(files);
    digest_ = want.digest;
  }
  auto size = static_cast<int64_t>(archive_.size());
  if (want.offset < 0 || want.offset > size) {
    return Error(ErrorKind::Invalid, "AGT-0005",
                 fmt::format("release {} has {} bytes, and a piece from {} on was asked for",
                             want.digest.substr(0, 12), size, want.offset));
  }
  return agent::ReleasePiece{
      .pack = want.pack,
      .digest = want.digest,
      .offset = want.offset,
      .size = size,
      .bytes = archive_.substr(static_cast<size_t>(want.offset), agent::kPieceBytes)};
}

}  // namespace millrace::app
