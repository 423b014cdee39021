// SPDX-License-Identifier: Apache-2.0
// For tests: a SQLite VFS over the system's that fails on demand and records what reaches the disk.
#pragma once

#include <atomic>
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
  enum class Kind : uint8_t { Write, Sync };
  Kind kind;
  std::string file;  // its name without the folder
  int64_t offset = 0;
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
  // How often a lock of the log was asked for.
  int64_t locks_asked() const { return locks_asked_; }

  void record(bool on);
  std::vector<DiskRecord> take_records();

  // What the shim's methods call. Returns 0 or an errno to fail with.
  int before(DiskOp op);
  void done(DiskRecord record);
  void lock_asked() { ++locks_asked_; }

 private:
  FaultVfs();

  std::mutex mutex_;
  Fault fault_;
  bool armed_ = false;
  bool struck_ = false;
  int seen_ = 0;
  std::atomic<int64_t> locks_asked_{0};
  bool recording_ = false;
  std::vector<DiskRecord> records_;
};

}  // namespace millrace::store_sqlite
