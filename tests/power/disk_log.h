// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace millrace::power {

// One thing that a process asked of the disk.
struct DiskRecord {
  enum class Kind : uint8_t {
    Write,
    Truncate,
    Sync,     // of a file, or of the names in a folder
    SyncAll,  // syncfs
    Bind,     // a name stands for a node
    Unbind,
    Mark,  // what was done before was acknowledged
  };
  Kind kind = Kind::Mark;
  uint64_t node = 0;    // a file or a folder, whatever it is called
  uint64_t folder = 0;  // of a name
  std::string name;
  bool is_folder = false;  // what is bound
  uint64_t group = 0;      // names that change at one blow, as in a rename, share it
  int64_t offset = 0;      // of a write; the new size of a truncation; the number of a mark
  std::string bytes;
};

struct DiskLog {
  uint64_t root = 0;
  std::vector<DiskRecord> records;
};

// Records what this process asks of the disk below one folder, whoever in it asks: disk_log.cpp
// stands in for the functions of the C library that write, sync and name files, for our code and
// for SQLite alike, does what they do and notes it. What is written through a mapping is not seen,
// and the -shm files of SQLite, which nobody syncs, are left out. One recording at a time; any
// thread may be recorded.
void start_recording(const std::string& empty_folder);
void mark(int64_t number);
DiskLog stop_recording();

}  // namespace millrace::power
