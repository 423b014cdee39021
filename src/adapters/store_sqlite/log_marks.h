// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mutex>

namespace millrace::store_sqlite {

// How far the log has grown and up to where it was moved, in pages: SQLite is to be asked for a
// checkpoint only where there is something to move. Before 3.51.3 one that has nothing to do, while
// another connection's commit lets the log begin anew, notes the pages of the new log as moved that
// never were (sqlite.org/wal.html#walresetbug): they are lost when it begins anew again. As long as
// something is to be moved no commit can let it begin anew. Thread-safe.
class LogMarks {
 public:
  // A commit has ended, and the log has so many pages. Each adds some, unless it begins anew.
  void grew_to(int pages) {
    std::lock_guard lock(mutex_);
    if (pages <= grown_to_) {
      ++beginning_;
      moved_to_ = 0;
    }
    grown_to_ = pages;
  }
  // False as well while a commit that is in the log is not yet told here: it was moved with the
  // others, or is next time.
  bool is_more() {
    std::lock_guard lock(mutex_);
    return grown_to_ > moved_to_;
  }
  int moved_to() {
    std::lock_guard lock(mutex_);
    return moved_to_ < 0 ? 0 : moved_to_;
  }
  // Which of its beginnings this is.
  int beginning() {
    std::lock_guard lock(mutex_);
    return beginning_;
  }
  // All that it had was moved.
  void moved(int pages, int of_beginning) {
    std::lock_guard lock(mutex_);
    if (beginning_ == of_beginning) moved_to_ = pages;
  }

 private:
  std::mutex mutex_;
  int grown_to_ = 0;
  int moved_to_ = -1;  // what another process has left in it nobody knows
  int beginning_ = 0;
};

}  // namespace millrace::store_sqlite
