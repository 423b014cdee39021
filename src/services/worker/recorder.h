// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "kernel/blobs.h"
#include "kernel/limits.h"
#include "services/worker/mask.h"

namespace millrace::worker {

// A stream up to this size stays in memory and travels in the completion; above, it is a blob.
// 64 KiB less the room for a note.
inline constexpr size_t kMemoryPerStream = kernel::kInlineOutput.most - 256;

// One output stream of one run: masks, keeps the first kMemoryPerStream bytes in memory, spills
// all into a blob beyond that, stores at most `cap` bytes and counts the rest.
class StreamRecorder {
 public:
  StreamRecorder(std::shared_ptr<const SecretSet> secrets, kernel::Blobs& blobs, std::string ref,
                 int64_t cap);

  // Takes raw bytes. Returns what has been stored, masked, at offset size() - its length; valid
  // until the next call or as long as `raw`.
  std::string_view append(std::string_view raw);
  // Stores what the masker held back and commits the blob. Nothing may be appended after.
  kernel::StreamOutput finish();

  int64_t size() const { return output_.size; }
  // The last bytes stored so far, for a follower that comes late.
  std::string tail(size_t n) const;

 private:
  std::string_view store(std::string_view masked);
  size_t keep(std::string_view bytes);
  bool spill();

  Masker masker_;
  kernel::Blobs& blobs_;
  std::string ref_;
  int64_t cap_;
  kernel::StreamOutput output_;
  std::unique_ptr<kernel::BlobWriter> blob_;
  bool full_ = false;  // the cap or a fault was met: from here on bytes are only counted
  std::string fault_;
  std::string noted_;  // what `store` returns when a note was added
};

}  // namespace millrace::worker
