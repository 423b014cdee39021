// SPDX-License-Identifier: Apache-2.0
#include "agent/upload.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"

namespace millrace::agent {

using kernel::Stream;

std::string ref_of_part(TenantId tenant, const kernel::RunKey& key, std::string_view part) {
  if (part == kOutPart) return kernel::output_ref(tenant, key, Stream::Stdout);
  if (part == kErrPart) return kernel::output_ref(tenant, key, Stream::Stderr);
  if (!part.starts_with(kArtifactParts) || part == kArtifactParts) return {};
  return kernel::artifacts_prefix(tenant, key) + std::string(part.substr(kArtifactParts.size()));
}

Upload::Upload(kernel::Blobs& blobs, const kernel::Completion& completion,
               std::function<void(Blob)> send)
    : blobs_(blobs), key_(completion.key), send_(std::move(send)) {
  if (!completion.out.blob.empty()) {
    files_.push_back({std::string(kOutPart), completion.out.blob, completion.out.size});
  }
  if (!completion.err.blob.empty()) {
    files_.push_back({std::string(kErrPart), completion.err.blob, completion.err.size});
  }
  std::string prefix = kernel::artifacts_prefix(completion.tenant, completion.key);
  auto listed = blobs_.each(prefix, [&](const kernel::BlobEntry& entry) {
    auto part = std::string(kArtifactParts) + entry.ref.substr(prefix.size());
    files_.push_back({std::move(part), entry.ref, entry.size});
  });
  if (!listed.ok()) log_warn("agent.artifacts_not_listed", {{"error", listed.error().message()}});
}

void Upload::begin() { go_on(0); }

void Upload::go_on(int64_t offset) {
  for (; !is_done(); ++at_, offset = 0) {
    auto sent = send_from(offset);
    if (sent.ok()) return;
    files_[at_].fault = sent.error().message();
    log_warn("agent.file_not_read", sent.error(), {{"blob", files_[at_].ref}});
  }
}

Result<void> Upload::send_from(int64_t offset) {
  const File& file = files_[at_];
  TRY(auto bytes, blobs_.read(file.ref, offset, std::min(file.size - offset, kPieceBytes)));
  if (bytes.empty() && offset < file.size) {
    return Error(ErrorKind::Unavailable, "EXE-0024",
                 fmt::format("{} of {} bytes are there", offset, file.size));
  }
  send_({.key = key_,
         .part = file.part,
         .offset = offset,
         .bytes = std::move(bytes),
         .size = file.size});
  return {};
}

void Upload::taken(const BlobTaken& taken) {
  if (is_done() || taken.part != files_[at_].part || taken.offset < 0) return;
  if (taken.offset < files_[at_].size) return go_on(taken.offset);
  ++at_;
  go_on(0);
}

void Upload::settle(kernel::Completion& completion) const {
  for (const auto& file : files_) {
    auto* stream = file.part == kOutPart   ? &completion.out
                   : file.part == kErrPart ? &completion.err
                                           : nullptr;
    if (!stream || file.fault.empty()) continue;
    std::string note = fmt::format("[millrace: the output is lost: {}]\n", file.fault);
    auto size = static_cast<int64_t>(note.size());
    *stream = {.bytes = std::move(note), .size = size, .dropped = stream->dropped + stream->size};
  }
}

}  // namespace millrace::agent
