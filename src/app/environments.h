// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "services/worker/worker.h"

namespace millrace::app {

// What the actions of a release need beside their interpreter, by the recipe of their runtime: a
// virtualenv by requirements.txt, node_modules by package.json, what a pack's own runtime says. At
// {data}/envs/PACK/KEY, where KEY is of what is to be installed, so that releases with the same
// requirements share one. Built when the first run needs it, by pip or npm with their own
// configuration, one at a time; used from then on; built anew when its interpreter is gone. The
// packages that StackStorm gives to its actions unasked are installed too, for its python-script
// actions. The Python of a release and of the SDK is compiled beside it, when the first run has it,
// so that later ones need not: they may not write there.
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
    std::string folder;  // of the environment
    std::string pack_dir;
    EnvironmentRecipe recipe;
    std::string interpreter;  // that it is made with and for
    bool of_stackstorm = false;
  };
  // Builds it, unless it is there. Blocks. Errors: Unavailable, APP-0044: what failed, with the
  // last words of the program that did.
  static Result<void> build(const Wanted& wanted, const std::vector<std::string>& env,
                            const std::atomic<bool>& stop);

 private:
  using Ready = std::function<void(Result<void>)>;
  std::optional<Wanted> wanted_by(const kernel::WorkOrder& order);
  std::optional<Wanted> read_wanted(const kernel::WorkOrder& order) const;
  void want(Wanted wanted, const Ready& ready);
  void build_wanted(const Wanted& wanted);
  void compile_once(const kernel::WorkOrder& order);
  Result<void> do_later(std::function<void()> job);
  void work();

  std::string data_;
  std::vector<std::pair<std::string, std::string>> default_env_;  // of runs
  std::vector<std::string> env_;                                  // of what builds
  std::mutex mutex_;
  std::condition_variable changed_;
  std::atomic<bool> stopping_ = false;
  std::deque<std::function<void()>> jobs_;
  std::map<std::string, std::vector<Ready>> waiting_;  // by folder
  std::thread thread_;                                 // there once something was wanted
  // Of releases that are here, which do not change: what is read of them is read once.
  std::map<std::string, std::optional<Wanted>> known_;
  std::set<std::string> compiled_;  // releases, by their folders; the worker's thread
  std::function<Result<std::string>(Sdk)> sdk_;
};

}  // namespace millrace::app
