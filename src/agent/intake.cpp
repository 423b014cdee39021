// SPDX-License-Identifier: Apache-2.0
#include "agent/intake.h"

#include <fmt/format.h>

#include "agent/upload.h"

namespace millrace::agent {
namespace {

// Of all runs of one worker.
constexpr size_t kMostFiles = 100'000;

Error not_of_the_run(const Blob& piece, std::string_view why) {
  return Error(ErrorKind::Invalid, "AGT-0003",
               fmt::format("file '{}' of execution {}: {}", piece.part.substr(0, 200),
                           piece.key.execution.value, why));
}

}  // namespace

Intake::Heard Intake::take(TenantId tenant, Output piece) {
  std::lock_guard lock(mutex_);
  drop_forgotten();
  Live& live = live_[{piece.key, piece.stream}];
  auto end = piece.offset + static_cast<int64_t>(piece.bytes.size());
  if (piece.offset > live.have && !piece.lost_before) {
    // Those behind it are on their way as well: one word is enough.
    if (std::exchange(live.asked, true)) {
      return {{}, OutputTaken{piece.key, piece.stream, live.have}};
    }
    return {{}, OutputWanted{piece.key, piece.stream, live.have}};
  }
  live.asked = false;
  Heard heard{{}, OutputTaken{piece.key, piece.stream, std::max(live.have, end)}};
  if (end <= live.have) return heard;
  if (piece.offset < live.have) {
    piece.bytes.erase(0, static_cast<size_t>(live.have - piece.offset));
  }
  heard.chunk = {.tenant = tenant,
                 .key = piece.key,
                 .stream = piece.stream,
                 .offset = std::max(piece.offset, live.have),
                 .bytes = std::move(piece.bytes)};
  live.have = end;
  return heard;
}

Result<void> Intake::append(File& file, const Blob& piece) {
  auto known = static_cast<size_t>(file.have - piece.offset);
  std::string_view rest = std::string_view(piece.bytes).substr(std::min(known, piece.bytes.size()));
  size_t taken = file.writer->append(rest);
  file.have += static_cast<int64_t>(taken);
  if (taken < rest.size()) return file.writer->fault();
  if (file.have < piece.size) return {};
  TRY(file.writer->commit());
  file.writer.reset();
  return {};
}

Result<BlobTaken> Intake::take(TenantId tenant, const Blob& piece) {
  std::lock_guard lock(mutex_);
  drop_forgotten();
  std::string ref = ref_of_part(tenant, piece.key, piece.part);
  if (ref.empty()) return not_of_the_run(piece, "expected out, err or artifacts/NAME");
  auto end = piece.offset + static_cast<int64_t>(piece.bytes.size());
  if (piece.offset < 0 || piece.size < end) {
    return not_of_the_run(piece, "a piece lies outside of it");
  }
  if (files_.size() >= kMostFiles) return not_of_the_run(piece, "too many files at once");
  auto [at, is_new] = files_.try_emplace({piece.key, piece.part});
  File& file = at->second;
  if (is_new) {
    auto writer = blobs_.create(ref);
    if (!writer.ok()) {
      files_.erase(at);
      return writer.error();
    }
    file.writer = *std::move(writer);
  }
  bool follows = piece.offset <= file.have && file.have <= piece.size;
  if (file.writer && follows) {
    if (auto appended = append(file, piece); !appended.ok()) {
      files_.erase(at);
      return appended.error();
    }
  }
  return BlobTaken{piece.key, piece.part, file.have};
}

bool Intake::has(const kernel::RunKey& key, std::string_view part) const {
  std::lock_guard lock(mutex_);
  auto at = files_.find({key, std::string(part)});
  return at != files_.end() && !at->second.writer;
}

void Intake::forget(const kernel::RunKey& key) {
  std::lock_guard lock(forgotten_mutex_);
  forgotten_.push_back(key);
}

void Intake::drop_forgotten() {
  std::unique_lock lock(forgotten_mutex_);
  auto forgotten = std::exchange(forgotten_, {});
  lock.unlock();
  for (const auto& run : forgotten) {
    auto of = [](const auto& entry) -> const kernel::RunKey& { return entry.first.first; };
    for (auto at = live_.lower_bound({run, {}}); at != live_.end() && of(*at) == run;) {
      at = live_.erase(at);
    }
    for (auto at = files_.lower_bound({run, {}}); at != files_.end() && of(*at) == run;) {
      at = files_.erase(at);
    }
  }
}

}  // namespace millrace::agent
