// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"
#include "services/worker/process_walk.h"

namespace millrace::worker {

// Where there are no cgroups: the main process of every run, by slot, in a mapped file that
// outlives the spawner. Its successor finds with it what wiped its environment. The kernel itself
// writes the pid, when it makes the process, so that no process runs without its note.
//
//   file = note*, one per slot;  note = not_before:u64 pid:i32 unused:u32, in native order
class ProcessNotes {
 public:
  static constexpr int kSlots = 8192;

  static Result<ProcessNotes> create(const std::string& path);
  // The noted processes of an earlier spawner of this boot that are still there.
  static std::vector<Process> read(const std::string& path);

  ProcessNotes() = default;
  ProcessNotes(ProcessNotes&& other) noexcept : notes_(std::exchange(other.notes_, nullptr)) {}
  ProcessNotes& operator=(ProcessNotes&& other) noexcept {
    std::swap(notes_, other.notes_);
    return *this;
  }
  ~ProcessNotes();

  // Where the pid of the slot's next process goes; null when nothing is noted.
  pid_t* begin(int slot);
  void clear(int slot);

 private:
  struct Note {
    uint64_t not_before = 0;  // ticks since boot when the process was about to start
    pid_t pid = 0;
  };
  explicit ProcessNotes(Note* notes) : notes_(notes) {}
  Note* notes_ = nullptr;
};

}  // namespace millrace::worker
