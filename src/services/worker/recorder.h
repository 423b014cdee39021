// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "kernel/work.h"
#include "services/worker/mask.h"
#include "services/worker/posix.h"

namespace millrace::worker {

// A stream up to this size stays in memory and travels in the completion; above, it is a file.
// 64 KiB less the room for a note.
inline constexpr size_t kMemoryPerStream = (64 << 10) - 256;

// The folder {data}/output. Files are opened beneath it: no link and no `..` leads out.
class OutputFolder {
 public:
  static Result<OutputFolder> open(const std::string& path);

  // Creates or empties the file `name`, "folder/file", for appending.
  Result<Fd> create_file(const std::string& name) const;
  void remove(const std::string& name) const;
  // The last `n` bytes of a file, or what there is of them.
  std::string tail(const std::string& name, size_t n) const;

 private:
  explicit OutputFolder(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

// One output stream of one run: masks, keeps the first kMemoryPerStream bytes in memory, spills
// all into a file beyond that, stores at most `cap` bytes and counts the rest.
class StreamRecorder {
 public:
  StreamRecorder(std::shared_ptr<const SecretSet> secrets, const OutputFolder& folder,
                 std::string file_name, int64_t cap);

  // Takes raw bytes. Returns what has been stored, masked, at offset size() - its length; valid
  // until the next call or as long as `raw`.
  std::string_view append(std::string_view raw);
  // Stores what the masker held back and syncs the file. Nothing may be appended after.
  kernel::StreamOutput finish();

  int64_t size() const { return output_.size; }
  // The last bytes stored so far, for a follower that comes late.
  std::string tail(size_t n) const;

 private:
  std::string_view store(std::string_view masked);
  size_t keep(std::string_view bytes);
  bool spill();
  void write_back(int64_t added);

  Masker masker_;
  const OutputFolder& folder_;
  std::string file_name_;
  int64_t cap_;
  kernel::StreamOutput output_;
  Fd file_;
  int64_t unsynced_ = 0;  // bytes since the kernel was asked to begin writing them back
  bool full_ = false;     // the cap or a fault was met: from here on bytes are only counted
  std::string fault_;
  std::string noted_;  // what `store` returns when a note was added
};

}  // namespace millrace::worker
