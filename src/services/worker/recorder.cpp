// SPDX-License-Identifier: Apache-2.0
#include "services/worker/recorder.h"

#include <fmt/format.h>

#include <algorithm>

namespace millrace::worker {

StreamRecorder::StreamRecorder(std::shared_ptr<const SecretSet> secrets, kernel::Blobs& blobs,
                               std::string ref, int64_t cap)
    : masker_(std::move(secrets)), blobs_(blobs), ref_(std::move(ref)), cap_(cap) {}

std::string_view StreamRecorder::append(std::string_view raw) {
  if (full_) {
    output_.dropped += static_cast<int64_t>(raw.size());
    return {};
  }
  return store(masker_.feed(raw));
}

std::string_view StreamRecorder::store(std::string_view masked) {
  auto room = static_cast<size_t>(std::max<int64_t>(cap_ - output_.size, 0));
  std::string_view fitting = masked.substr(0, room);
  size_t kept = keep(fitting);
  if (kept == masked.size()) return masked;

  std::string note =
      kept < fitting.size()
          ? fmt::format("\n[millrace: the output could not be stored: {}]\n", fault_)
          : fmt::format("\n[millrace: output capped at {} bytes, the rest was dropped]\n", cap_);
  full_ = true;
  output_.dropped += static_cast<int64_t>(masked.size() - kept);
  noted_.assign(masked.substr(0, kept));
  noted_.append(note, 0, keep(note));
  return noted_;
}

// Returns how many of the bytes are stored; fewer than given only on a fault, with fault_ set.
size_t StreamRecorder::keep(std::string_view bytes) {
  size_t kept = bytes.size();
  if (!blob_ && (full_ || output_.bytes.size() + bytes.size() <= kMemoryPerStream)) {
    output_.bytes += bytes;
  } else if (blob_ || spill()) {
    kept = blob_->append(bytes);
    if (kept < bytes.size()) fault_ = blob_->fault().message();
  } else {
    kept = 0;
  }
  output_.size += static_cast<int64_t>(kept);
  return kept;
}

// Moves what memory holds into the blob. Memory stays as it is when that fails.
bool StreamRecorder::spill() {
  auto blob = blobs_.create(ref_);
  if (!blob.ok()) {
    fault_ = blob.error().message();
    return false;
  }
  if ((*blob)->append(output_.bytes) < output_.bytes.size()) {
    fault_ = (*blob)->fault().message();
    return false;
  }
  blob_ = std::move(*blob);
  output_.bytes = std::string();
  return true;
}

kernel::StreamOutput StreamRecorder::finish() {
  if (!full_) store(masker_.finish());
  output_.hidden = masker_.take_hidden();
  if (!blob_) return std::move(output_);
  if (auto committed = blob_->commit(); committed.ok()) {
    output_.blob = ref_;
  } else {
    output_.bytes =
        fmt::format("[millrace: the output is lost: {}]\n", committed.error().message());
    output_.dropped += output_.size;
    output_.size = static_cast<int64_t>(output_.bytes.size());
  }
  blob_.reset();
  return std::move(output_);
}

std::string StreamRecorder::tail(size_t n) const {
  if (blob_) return blob_->tail(n);
  return output_.bytes.substr(output_.bytes.size() - std::min(n, output_.bytes.size()));
}

}  // namespace millrace::worker
