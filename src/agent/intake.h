// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "agent/messages.h"
#include "kernel/blobs.h"

namespace millrace::agent {

// The server's side of what comes from the runs of one worker: live output, and the files that they
// have left. Outlives a connection, so that the next one goes on where the last one broke.
//
// Thread-safe; writes and syncs files, so not for a thread that decides or commits.
class Intake {
 public:
  explicit Intake(kernel::Blobs& blobs) : blobs_(blobs) {}

  struct Heard {
    std::optional<kernel::OutputChunk> chunk;  // what is new
    ToAgent answer;
  };
  Heard take(TenantId tenant, Output piece);

  // What is there of the file. Errors: Invalid (AGT-0003): no part of a run, or it does not follow
  // from what was said of it before; else those of the blobs.
  Result<BlobTaken> take(TenantId tenant, const Blob& piece);
  // The file has come as a whole and is durable.
  bool has(const kernel::RunKey& key, std::string_view part) const;

  // Waits for no file.
  void forget(const kernel::RunKey& key);

 private:
  struct Live {
    int64_t have = 0;
    bool asked = false;  // for what lies before the pieces that are on their way
  };
  struct File {
    int64_t have = 0;
    std::unique_ptr<kernel::BlobWriter> writer;  // none: it is whole
  };
  using Files = std::map<std::pair<kernel::RunKey, std::string>, File>;
  Result<void> append(File& file, const Blob& piece);
  void drop_forgotten();

  kernel::Blobs& blobs_;
  std::mutex forgotten_mutex_;
  std::vector<kernel::RunKey> forgotten_;
  mutable std::mutex mutex_;  // held while files are written
  std::map<std::pair<kernel::RunKey, kernel::Stream>, Live> live_;
  Files files_;
};

}  // namespace millrace::agent
