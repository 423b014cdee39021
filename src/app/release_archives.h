// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mutex>
#include <string>

#include "agent/messages.h"
#include "base/result.h"

namespace millrace::app {

// The staged releases of a data folder as archives, piece by piece, for agents. Keeps the last one,
// since an agent asks for one piece after the other. Thread-safe; reads files.
class ReleaseArchives {
 public:
  explicit ReleaseArchives(std::string data) : data_(std::move(data)) {}

  // Errors are those of read_release; Invalid, AGT-0005: there is no such piece.
  Result<agent::ReleasePiece> read(const agent::WantRelease& want);

 private:
  std::string data_;
  std::mutex mutex_;
  std::string digest_;  // of `archive_`
  std::string archive_;
};

}  // namespace millrace::app
