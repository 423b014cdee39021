// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>

#include "base/result.h"
#include "kernel/work.h"

namespace millrace::worker {

// The completions that no server has acknowledged yet. They are in memory while a server is
// connected; `persist` writes them to {run}/results/EXECUTION.ATTEMPT.EPOCH, one Exited frame per
// file, so that they outlive the spawner.
class ResultShelf {
 public:
  // Takes up what an earlier spawner left.
  static Result<ResultShelf> open(const std::string& folder);

  const kernel::Completion& add(kernel::Completion completion);
  void forget(const kernel::RunKey& key);
  bool holds(const kernel::RunKey& key) const { return results_.contains(key); }
  // Writes to disk, synced, what is in memory only. False when something could not be written.
  bool persist();
  template <typename Function>
  void for_each(Function function) const {
    for (const auto& [key, result] : results_) function(result.completion);
  }

 private:
  struct Kept {
    kernel::Completion completion;
    bool on_disk = false;
  };
  explicit ResultShelf(std::string folder) : folder_(std::move(folder)) {}
  std::string path_of(const kernel::RunKey& key) const;

  std::string folder_;
  std::map<kernel::RunKey, Kept> results_;
};

}  // namespace millrace::worker
