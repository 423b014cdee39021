// SPDX-License-Identifier: Apache-2.0
// The shim of fault_vfs.h, and the tests that it does what it says.
#include "adapters/store_sqlite/fault_vfs.h"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <cerrno>
#include <cstring>

#include "store/test_support.h"

namespace millrace::store_sqlite {
namespace {

// SQLite allocates szOsFile bytes: this, and behind it the system's own file.
struct ShimFile {
  sqlite3_file base;
  const char* name;  // owned by SQLite, lives as long as the file
  int last_error;    // errno of the last injected failure
};

sqlite3_vfs* real_vfs() {
  static sqlite3_vfs* vfs = sqlite3_vfs_find(nullptr);
  return vfs;
}

sqlite3_file* real(sqlite3_file* file) {
  return reinterpret_cast<sqlite3_file*>(reinterpret_cast<ShimFile*>(file) + 1);
}

std::string last_part(const char* path) {
  const char* slash = path ? std::strrchr(path, '/') : nullptr;
  return slash ? slash + 1 : "";
}

std::string name_of(sqlite3_file* file) {
  return last_part(reinterpret_cast<ShimFile*>(file)->name);
}

// As the system's VFS answers: a full disk is told as such only by writes.
int failed(sqlite3_file* file, DiskOp op, int error) {
  reinterpret_cast<ShimFile*>(file)->last_error = error;
  if (op == DiskOp::Sync) return SQLITE_IOERR_FSYNC;
  return error == ENOSPC ? SQLITE_FULL : SQLITE_IOERR_WRITE;
}

int shim_write(sqlite3_file* file, const void* data, int size, sqlite3_int64 offset) {
  if (int error = FaultVfs::instance().before(DiskOp::Write)) {
    return failed(file, DiskOp::Write, error);
  }
  int rc = real(file)->pMethods->xWrite(real(file), data, size, offset);
  if (rc == SQLITE_OK) {
    FaultVfs::instance().done(
        {DiskRecord::Kind::Write, name_of(file), offset,
         std::string(static_cast<const char*>(data), static_cast<size_t>(size))});
  }
  return rc;
}

int shim_truncate(sqlite3_file* file, sqlite3_int64 size) {
  return real(file)->pMethods->xTruncate(real(file), size);
}

int shim_sync(sqlite3_file* file, int flags) {
  if (int error = FaultVfs::instance().before(DiskOp::Sync)) {
    return failed(file, DiskOp::Sync, error);
  }
  // The record stands in for the disk: a real sync would only cost time.
  (void)flags;
  FaultVfs::instance().done({DiskRecord::Kind::Sync, name_of(file), 0, {}});
  return SQLITE_OK;
}

int shim_close(sqlite3_file* file) { return real(file)->pMethods->xClose(real(file)); }
int shim_read(sqlite3_file* file, void* data, int size, sqlite3_int64 offset) {
  return real(file)->pMethods->xRead(real(file), data, size, offset);
}
int shim_file_size(sqlite3_file* file, sqlite3_int64* size) {
  return real(file)->pMethods->xFileSize(real(file), size);
}
int shim_lock(sqlite3_file* file, int level) {
  return real(file)->pMethods->xLock(real(file), level);
}
int shim_unlock(sqlite3_file* file, int level) {
  return real(file)->pMethods->xUnlock(real(file), level);
}
int shim_check_lock(sqlite3_file* file, int* out) {
  return real(file)->pMethods->xCheckReservedLock(real(file), out);
}
int shim_control(sqlite3_file* file, int op, void* arg) {
  auto* shim = reinterpret_cast<ShimFile*>(file);
  if (op == SQLITE_FCNTL_LAST_ERRNO && shim->last_error != 0) {
    *static_cast<int*>(arg) = shim->last_error;
    return SQLITE_OK;
  }
  return real(file)->pMethods->xFileControl(real(file), op, arg);
}
int shim_sector_size(sqlite3_file* file) { return real(file)->pMethods->xSectorSize(real(file)); }
int shim_device(sqlite3_file* file) {
  return real(file)->pMethods->xDeviceCharacteristics(real(file));
}
int shim_shm_map(sqlite3_file* file, int page, int size, int extend, void volatile** out) {
  return real(file)->pMethods->xShmMap(real(file), page, size, extend, out);
}
int shim_shm_lock(sqlite3_file* file, int offset, int n, int flags) {
  FaultVfs::instance().lock_asked();
  return real(file)->pMethods->xShmLock(real(file), offset, n, flags);
}
void shim_shm_barrier(sqlite3_file* file) { real(file)->pMethods->xShmBarrier(real(file)); }
int shim_shm_unmap(sqlite3_file* file, int remove) {
  return real(file)->pMethods->xShmUnmap(real(file), remove);
}

// Version 2: with shared memory for the WAL, without mmap of the main file.
const sqlite3_io_methods kMethods = {2,
                                     shim_close,
                                     shim_read,
                                     shim_write,
                                     shim_truncate,
                                     shim_sync,
                                     shim_file_size,
                                     shim_lock,
                                     shim_unlock,
                                     shim_check_lock,
                                     shim_control,
                                     shim_sector_size,
                                     shim_device,
                                     shim_shm_map,
                                     shim_shm_lock,
                                     shim_shm_barrier,
                                     shim_shm_unmap,
                                     nullptr,
                                     nullptr};

int shim_open(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out_flags) {
  auto* shim = reinterpret_cast<ShimFile*>(file);
  shim->base.pMethods = nullptr;
  shim->name = name;
  shim->last_error = 0;
  int rc = real_vfs()->xOpen(real_vfs(), name, real(file), flags, out_flags);
  if (rc == SQLITE_OK) shim->base.pMethods = &kMethods;
  return rc;
}

}  // namespace

FaultVfs& FaultVfs::instance() {
  static FaultVfs vfs;
  return vfs;
}

FaultVfs::FaultVfs() {
  static sqlite3_vfs shim = *real_vfs();
  shim.pNext = nullptr;
  shim.zName = kName;
  shim.szOsFile = static_cast<int>(sizeof(ShimFile)) + real_vfs()->szOsFile;
  shim.xOpen = shim_open;
  sqlite3_vfs_register(&shim, 0);
}

void FaultVfs::arm(Fault fault) {
  std::lock_guard lock(mutex_);
  fault_ = fault;
  armed_ = true;
  struck_ = false;
  seen_ = 0;
}

void FaultVfs::disarm() {
  std::lock_guard lock(mutex_);
  armed_ = false;
}

bool FaultVfs::struck() {
  std::lock_guard lock(mutex_);
  return struck_;
}

void FaultVfs::record(bool on) {
  std::lock_guard lock(mutex_);
  recording_ = on;
}

std::vector<DiskRecord> FaultVfs::take_records() {
  std::lock_guard lock(mutex_);
  return std::exchange(records_, {});
}

int FaultVfs::before(DiskOp op) {
  std::lock_guard lock(mutex_);
  if (!armed_ || op != fault_.op) return 0;
  ++seen_;
  if (seen_ < fault_.nth || (seen_ > fault_.nth && !fault_.for_ever)) return 0;
  struck_ = true;
  return fault_.error;
}

void FaultVfs::done(DiskRecord record) {
  std::lock_guard lock(mutex_);
  if (recording_) records_.push_back(std::move(record));
}

namespace {

// A database through the shim, with bare SQLite.
class FaultVfsTest : public ::testing::Test {
 protected:
  FaultVfsTest() {
    FaultVfs::instance();
    std::string file = folder_.path() + "/t.db";
    sqlite3_open_v2(file.c_str(), &db_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
                    FaultVfs::kName);
    exec("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t (a)");
  }
  ~FaultVfsTest() override {
    FaultVfs::instance().disarm();
    FaultVfs::instance().record(false);
    FaultVfs::instance().take_records();
    sqlite3_close(db_);
  }
  int exec(const char* text) { return sqlite3_exec(db_, text, nullptr, nullptr, nullptr); }

  store::testing::TempFolder folder_;
  sqlite3* db_ = nullptr;
};

TEST_F(FaultVfsTest, FailsTheNthWriteAsAFullDisk) {
  FaultVfs::instance().arm({.op = DiskOp::Write, .nth = 1, .error = ENOSPC, .for_ever = false});
  EXPECT_EQ(exec("INSERT INTO t VALUES (1)"), SQLITE_FULL);
  EXPECT_TRUE(FaultVfs::instance().struck());
  EXPECT_EQ(exec("INSERT INTO t VALUES (1)"), SQLITE_OK);
}

TEST_F(FaultVfsTest, FailsSyncsForEverWithItsErrno) {
  FaultVfs::instance().arm({.op = DiskOp::Sync, .nth = 2, .error = EIO});
  EXPECT_EQ(exec("INSERT INTO t VALUES (1)"), SQLITE_OK);
  EXPECT_EQ(exec("INSERT INTO t VALUES (2)"), SQLITE_IOERR);
  sqlite3_file* log = nullptr;
  sqlite3_file_control(db_, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
  int error = 0;
  log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &error);
  EXPECT_EQ(error, EIO);
  EXPECT_EQ(exec("INSERT INTO t VALUES (3)"), SQLITE_IOERR);
}

}  // namespace
}  // namespace millrace::store_sqlite
