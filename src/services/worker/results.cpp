// SPDX-License-Identifier: Apache-2.0
#include "services/worker/results.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include "base/stderr.h"
#include "base/wire.h"
#include "services/worker/control.h"
#include "services/worker/posix.h"

namespace millrace::worker {
namespace {

Result<kernel::Completion> read_result(const std::string& path) {
  FrameBuffer buffer;
  buffer.append(read_small_file(path));
  TRY(auto frame, buffer.next());
  if (frame) {
    TRY(auto message, decode(*frame));
    if (auto* exited = std::get_if<Exited>(&message)) return std::move(exited->completion);
  }
  return Error(ErrorKind::Internal, "WRK-0004", "the file holds no whole result");
}

}  // namespace

Result<ResultShelf> ResultShelf::open(const std::string& folder) {
  TRY(make_folders(folder, 0700));
  ResultShelf shelf(folder);
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    auto result = read_result(entry.path());
    if (result.ok()) {
      kernel::RunKey key = result->key;
      shelf.results_.insert_or_assign(key, Kept{std::move(*result), true});
    } else {
      // A write that a crash cut short: nobody was told of that result.
      put_stderr("spawner: '{}' is dropped: {}\n", entry.path().string(), result.error().message());
      unlink(entry.path().c_str());
    }
  }
  return shelf;
}

std::string ResultShelf::path_of(const kernel::RunKey& key) const {
  return fmt::format("{}/{}.{}.{}", folder_, key.execution.value, key.attempt, key.epoch);
}

const kernel::Completion& ResultShelf::add(kernel::Completion completion) {
  kernel::RunKey key = completion.key;
  auto [at, inserted] = results_.insert_or_assign(key, Kept{std::move(completion)});
  return at->second.completion;
}

void ResultShelf::forget(const kernel::RunKey& key) {
  auto at = results_.find(key);
  if (at == results_.end()) return;
  if (at->second.on_disk) unlink(path_of(key).c_str());
  results_.erase(at);
}

bool ResultShelf::persist() {
  bool all = true;
  for (auto& [key, kept] : results_) {
    if (kept.on_disk) continue;
    std::string frame;
    encode(frame, Exited{kept.completion});
    auto written = replace_file(path_of(key), frame);
    kept.on_disk = written.ok();
    all = all && kept.on_disk;
    if (!written.ok()) put_stderr("spawner: {}\n", written.error().describe());
  }
  return all;
}

}  // namespace millrace::worker
