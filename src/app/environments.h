// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "services/worker/worker.h"

namespace millrace::app {

// What the Python actions of a release need beside Python: a virtualenv by its requirements.txt, at
// {data}/envs/PACK/KEY, where KEY is of what is to be installed, so that releases with the same
// requirements share one. Built when the first run needs it, by pip with its own configuration, one
// at a time; used from then on; built anew when its interpreter is gone. The packages that
// StackStorm gives to its actions unasked are installed too, for its python-script actions.
class Environments {
 public:
  explicit Environments(const std::string& data);
  ~Environments();  // what is being built is given up
  Environments(const Environments&) = delete;
  Environments& operator=(const Environments&) = delete;

  // Makes the worker wait for environments, and use them. After its `prepare` is set, which brings
  // releases: it is asked first. Outlives the worker.
  void serve(worker::WorkerConfig& config);

  struct Wanted {
    std::string folder;        // of the environment
    std::string requirements;  // the file
    std::string python;        // the interpreter that it is made with
    bool of_stackstorm = false;
  };
  // Builds it, unless it is there. Blocks. Errors: Unavailable, APP-0044: what failed, with the
  // last words of the program that did.
  static Result<void> build(const Wanted& wanted, const std::vector<std::string>& env,
                            const std::atomic<bool>& stop);

 private:
  using Ready = std::function<void(Result<void>)>;
  std::optional<Wanted> wanted_by(const kernel::WorkOrder& order) const;
  void want(Wanted wanted, const Ready& ready);
  void work();

  std::string data_;
  std::vector<std::pair<std::string, std::string>> default_env_;  // of runs
  std::vector<std::string> env_;                                  // of what builds
  std::mutex mutex_;
  std::condition_variable changed_;
  std::atomic<bool> stopping_ = false;
  std::deque<Wanted> queue_;
  std::map<std::string, std::vector<Ready>> waiting_;  // by folder
  std::thread thread_;                                 // there once something was wanted
};

}  // namespace millrace::app
