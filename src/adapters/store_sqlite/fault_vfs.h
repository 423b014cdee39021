// SPDX-License-Identifier: Apache-2.0
// For tests: a SQLite VFS over the system's that fails on demand and records what reaches the
// disk, so that the disk can be rebuilt as a power cut at any moment would leave it.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace millrace::store_sqlite {

enum class DiskOp : uint8_t { Write, Sync };

struct Fault {
  DiskOp op = DiskOp::Write;
  int nth = 1;           // counted from arming
  int error = 0;         // errno: ENOSPC, EIO
  bool for_ever = true;  // false: only this once
};

struct DiskRecord {
  enum class Kind : uint8_t { Write, Truncate, Sync, Delete, Mark };
  Kind kind;
  std::string file;    // its name without the folder
  int64_t offset = 0;  // of a write; the new size of a truncation; the number of a mark
  std::string bytes;
};

// The one instance, registered with SQLite on first use. Thread-safe.
class FaultVfs {
 public:
  static FaultVfs& instance();
  static constexpr const char* kName = "millrace-faults";

  void arm(Fault fault);
  void disarm();
  bool struck();  // since arming

  void record(bool on);
  void mark(int64_t number);  // into the record, between what was done before and after
  std::vector<DiskRecord> take_records();

  // What the shim's methods call. Returns 0 or an errno to fail with.
  int before(DiskOp op);
  void done(DiskRecord record);

 private:
  FaultVfs();

  std::mutex mutex_;
  Fault fault_;
  bool armed_ = false;
  bool struck_ = false;
  int seen_ = 0;
  bool recording_ = false;
  std::vector<DiskRecord> records_;
};

// The files of a folder as a power cut leaves them: what was synced is there, of the rest nobody
// knows. Names appear and disappear at once: SQLite syncs the folder itself.
class DiskImage {
 public:
  void apply(const DiskRecord& record);

  enum class Unsynced : uint8_t {
    Lost,     // all of it
    Kept,     // all of it
    Torn512,  // each sector of each write by chance
    Torn4096,
  };
  // Writes the files into `folder`. `seed` decides what is torn.
  void write_to(const std::string& folder, Unsynced unsynced, uint32_t seed) const;

 private:
  struct File {
    std::string synced;
    std::vector<DiskRecord> unsynced;
  };
  std::map<std::string, File> files_;
};

}  // namespace millrace::store_sqlite
