// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/files.h"
#include "base/result.h"

namespace millrace::app {

// A name that is no part of a pack: what editors and version control write beside the files.
bool is_passing_name(std::string_view name);

// Tells when something has changed in folders of packs (inotify(7)): those that are one, those that
// hold some, and folders of plain files; after a second in which nothing more did, or ten if it
// never stops. Has a thread of its own, which sleeps while nothing happens.
class FolderWatch {
 public:
  struct Pace {
    int quiet_ms = 1000;
    int longest_ms = 10'000;
  };
  // `changed` is called on that thread.
  explicit FolderWatch(std::function<void()> changed) : FolderWatch(std::move(changed), Pace()) {}
  FolderWatch(std::function<void()> changed, Pace pace)
      : changed_(std::move(changed)), pace_(pace) {}
  ~FolderWatch();

  // These from now on. Any thread. Errors: Unavailable, APP-0014: the system gives no watch; what
  // it could not watch is read when it is asked for.
  Result<void> watch(std::vector<std::string> folders);

  // Of how many folders it hears; for tests.
  size_t watched() const;

 private:
  Result<void> begin();
  void run();
  bool take_notices();
  Result<void> look_again();

  const std::function<void()> changed_;
  const Pace pace_;
  mutable std::mutex mutex_;
  std::vector<std::string> folders_;
  std::vector<int> watches_;
  Fd notices_;  // inotify
  Fd stop_;     // eventfd
  std::thread thread_;
};

}  // namespace millrace::app
