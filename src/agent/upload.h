// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "agent/messages.h"
#include "kernel/blobs.h"

namespace millrace::agent {

// Brings the server what a run has left as files, output above 64 KiB and artifacts, a piece at a
// time: the next one is sent when this one is taken. The server says from where on: what it had of
// an earlier connection need not come again.
//
// Not thread-safe.
class Upload {
 public:
  Upload(kernel::Blobs& blobs, const kernel::Completion& completion,
         std::function<void(Blob)> send);

  // Sends the first piece, if there is one.
  void begin();
  void taken(const BlobTaken& taken);
  bool is_done() const { return at_ == files_.size(); }
  // A stream that cannot be read here is lost, and says so.
  void settle(kernel::Completion& completion) const;

 private:
  struct File {
    std::string part;
    std::string ref;
    int64_t size = 0;
    std::string fault = {};  // why it cannot be read
  };
  // Errors: it cannot be read.
  Result<void> send_from(int64_t offset);
  // The first piece of the first file, from here on, that can be read.
  void go_on(int64_t offset);

  kernel::Blobs& blobs_;
  kernel::RunKey key_;
  std::function<void(Blob)> send_;
  std::vector<File> files_;
  size_t at_ = 0;
};

// The parts of a run: how its files are called in Blob::part.
inline constexpr std::string_view kOutPart = "out";
inline constexpr std::string_view kErrPart = "err";
inline constexpr std::string_view kArtifactParts = kernel::kArtifactBlobs;  // and its name
// The reference of a part; empty: there is no such part.
std::string ref_of_part(TenantId tenant, const kernel::RunKey& key, std::string_view part);

}  // namespace millrace::agent
