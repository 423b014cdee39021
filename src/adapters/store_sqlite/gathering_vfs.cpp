// SPDX-License-Identifier: Apache-2.0
#include "adapters/store_sqlite/gathering_vfs.h"

#include <sqlite3.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>

namespace millrace::store_sqlite {
namespace {

constexpr size_t kMostGathered = 1 << 20;  // of one file
// SQLite's own VFS takes the size of a write modulo 128 KiB.
constexpr size_t kMostAtOnce = 64 << 10;

struct Gathered {
  std::string bytes;
  sqlite3_int64 offset = 0;  // in the file, of the first byte
  int failure = SQLITE_OK;   // of a write, where nobody could be told of it
};

// SQLite allocates szOsFile bytes: this, and behind it the file below.
struct GatheringFile {
  sqlite3_file base;
  Gathered* gathered;
};

sqlite3_file* below(sqlite3_file* file) {
  return reinterpret_cast<sqlite3_file*>(reinterpret_cast<GatheringFile*>(file) + 1);
}
Gathered& gathered_of(sqlite3_file* file) {
  return *reinterpret_cast<GatheringFile*>(file)->gathered;
}

// A failed write is forgotten with its bytes, as one that was never gathered.
int flush(sqlite3_file* file) {
  Gathered& gathered = gathered_of(file);
  if (gathered.bytes.empty()) return std::exchange(gathered.failure, SQLITE_OK);
  auto* to = below(file);
  int rc = SQLITE_OK;
  for (size_t done = 0; rc == SQLITE_OK && done < gathered.bytes.size(); done += kMostAtOnce) {
    auto size = static_cast<int>(std::min(kMostAtOnce, gathered.bytes.size() - done));
    rc = to->pMethods->xWrite(to, gathered.bytes.data() + done, size,
                              gathered.offset + static_cast<sqlite3_int64>(done));
  }
  gathered.bytes.clear();
  int before = std::exchange(gathered.failure, SQLITE_OK);
  return before == SQLITE_OK ? rc : before;
}

// For what must not fail, or whose failure nobody looks at.
void flush_unseen(sqlite3_file* file) { gathered_of(file).failure = flush(file); }

int write(sqlite3_file* file, const void* data, int size, sqlite3_int64 offset) {
  Gathered& gathered = gathered_of(file);
  auto end = gathered.offset + static_cast<sqlite3_int64>(gathered.bytes.size());
  if (offset != end || gathered.bytes.size() >= kMostGathered) {
    if (int rc = flush(file); rc != SQLITE_OK) return rc;
  }
  if (gathered.bytes.empty()) gathered.offset = offset;
  gathered.bytes.append(static_cast<const char*>(data), static_cast<size_t>(size));
  return SQLITE_OK;
}

// A method of the file below, after what was gathered.
template <auto kMember>
struct Flushed;
template <typename... Args, int (*sqlite3_io_methods::*kMember)(sqlite3_file*, Args...)>
struct Flushed<kMember> {
  static int call(sqlite3_file* file, Args... args) {
    if (int rc = flush(file); rc != SQLITE_OK) return rc;
    return (below(file)->pMethods->*kMember)(below(file), args...);
  }
};

int close(sqlite3_file* file) {
  int failure = flush(file);
  int rc = below(file)->pMethods->xClose(below(file));
  delete reinterpret_cast<GatheringFile*>(file)->gathered;
  return failure == SQLITE_OK ? rc : failure;
}
int unlock(sqlite3_file* file, int level) {
  flush_unseen(file);
  return below(file)->pMethods->xUnlock(below(file), level);
}
int control(sqlite3_file* file, int op, void* arg) {
  // Why the last write failed.
  if (op != SQLITE_FCNTL_LAST_ERRNO) flush_unseen(file);
  return below(file)->pMethods->xFileControl(below(file), op, arg);
}
int sector_size(sqlite3_file* file) { return below(file)->pMethods->xSectorSize(below(file)); }
int device(sqlite3_file* file) {
  return below(file)->pMethods->xDeviceCharacteristics(below(file));
}

using Io = sqlite3_io_methods;
// Version 1: the shared memory of the log belongs to the main file.
constexpr sqlite3_io_methods kMethods = {
    .iVersion = 1,
    .xClose = close,
    .xRead = Flushed<&Io::xRead>::call,
    .xWrite = write,
    .xTruncate = Flushed<&Io::xTruncate>::call,
    .xSync = Flushed<&Io::xSync>::call,
    .xFileSize = Flushed<&Io::xFileSize>::call,
    .xLock = Flushed<&Io::xLock>::call,
    .xUnlock = unlock,
    .xCheckReservedLock = Flushed<&Io::xCheckReservedLock>::call,
    .xFileControl = control,
    .xSectorSize = sector_size,
    .xDeviceCharacteristics = device};

int open(sqlite3_vfs* vfs, sqlite3_filename name, sqlite3_file* file, int flags, int* out_flags) {
  auto* base = static_cast<sqlite3_vfs*>(vfs->pAppData);
  if ((flags & SQLITE_OPEN_WAL) == 0) return base->xOpen(base, name, file, flags, out_flags);
  auto* gathering = reinterpret_cast<GatheringFile*>(file);
  gathering->base.pMethods = nullptr;
  int rc = base->xOpen(base, name, below(file), flags, out_flags);
  if (rc != SQLITE_OK) return rc;
  gathering->gathered = new Gathered;
  gathering->base.pMethods = &kMethods;
  return SQLITE_OK;
}

}  // namespace

std::string gathering_vfs(const std::string& base) {
  static std::mutex mutex;
  static std::map<std::string, sqlite3_vfs> known;  // by name; SQLite keeps their addresses
  std::lock_guard lock(mutex);
  std::string name = base.empty() ? "millrace-gathering" : "millrace-gathering:" + base;
  auto [place, is_new] = known.try_emplace(name);
  if (!is_new) return name;
  auto* found = sqlite3_vfs_find(base.empty() ? nullptr : base.c_str());
  if (!found) {
    known.erase(place);
    return base;  // opening tells that there is none
  }
  sqlite3_vfs& vfs = place->second;
  vfs = *found;
  vfs.pNext = nullptr;
  vfs.zName = place->first.c_str();
  vfs.pAppData = found;
  vfs.szOsFile = static_cast<int>(sizeof(GatheringFile)) + found->szOsFile;
  vfs.xOpen = open;
  sqlite3_vfs_register(&vfs, 0);
  return name;
}

}  // namespace millrace::store_sqlite
