// SPDX-License-Identifier: Apache-2.0
// The shim of fault_vfs.h, and the tests that it does what it says.
#include "adapters/store_sqlite/fault_vfs.h"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <random>

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
  int rc = real(file)->pMethods->xTruncate(real(file), size);
  if (rc == SQLITE_OK) {
    FaultVfs::instance().done({DiskRecord::Kind::Truncate, name_of(file), size, {}});
  }
  return rc;
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

int shim_delete(sqlite3_vfs*, const char* name, int sync_folder) {
  int rc = real_vfs()->xDelete(real_vfs(), name, sync_folder);
  if (rc == SQLITE_OK) {
    FaultVfs::instance().done({DiskRecord::Kind::Delete, last_part(name), 0, {}});
  }
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
  shim.xDelete = shim_delete;
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

void FaultVfs::mark(int64_t number) { done({DiskRecord::Kind::Mark, "", number, {}}); }

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

void DiskImage::apply(const DiskRecord& record) {
  if (record.kind == DiskRecord::Kind::Mark) return;
  if (record.kind == DiskRecord::Kind::Delete) {
    files_.erase(record.file);
    return;
  }
  File& file = files_[record.file];
  if (record.kind != DiskRecord::Kind::Sync) {
    file.unsynced.push_back(record);
    return;
  }
  for (const auto& write : file.unsynced) {
    size_t end = static_cast<size_t>(write.offset) + write.bytes.size();
    if (write.kind == DiskRecord::Kind::Truncate || end > file.synced.size()) {
      file.synced.resize(end);
    }
    file.synced.replace(static_cast<size_t>(write.offset), write.bytes.size(), write.bytes);
  }
  file.unsynced.clear();
}

void DiskImage::write_to(const std::string& folder, Unsynced unsynced, uint32_t seed) const {
  std::minstd_rand random(seed);
  for (const auto& [name, file] : files_) {
    std::string bytes = file.synced;
    for (const auto& write : file.unsynced) {
      if (unsynced == Unsynced::Lost) break;
      if (write.kind == DiskRecord::Kind::Truncate) {
        if (unsynced == Unsynced::Kept || random() % 2 == 0) {
          bytes.resize(static_cast<size_t>(write.offset));
        }
        continue;
      }
      // Sectors as the disk has them: aligned to the file, not to the write.
      size_t sector = unsynced == Unsynced::Torn512 ? 512 : 4096;
      auto begin = static_cast<size_t>(write.offset);
      size_t end = begin + write.bytes.size();
      for (size_t at = begin; at < end;) {
        size_t next = std::min(end, (at / sector + 1) * sector);
        if (unsynced == Unsynced::Kept || random() % 2 == 0) {
          if (bytes.size() < next) bytes.resize(next);
          bytes.replace(at, next - at, write.bytes, at - begin, next - at);
        }
        at = next;
      }
    }
    std::ofstream(folder + "/" + name, std::ios::binary | std::ios::trunc) << bytes;
  }
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

TEST_F(FaultVfsTest, AnImageHasWhatWasSyncedAndOnlyThat) {
  DiskImage image;
  using Kind = DiskRecord::Kind;
  image.apply({Kind::Write, "f", 0, "aaaa"});
  image.apply({Kind::Sync, "f", 0, {}});
  image.apply({Kind::Write, "f", 2, "bbbb"});
  auto content = [&](DiskImage::Unsynced unsynced) {
    image.write_to(folder_.path(), unsynced, 1);
    std::ifstream in(folder_.path() + "/f");
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  EXPECT_EQ(content(DiskImage::Unsynced::Lost), "aaaa");
  EXPECT_EQ(content(DiskImage::Unsynced::Kept), "aabbbb");
  image.apply({Kind::Truncate, "f", 3, {}});
  EXPECT_EQ(content(DiskImage::Unsynced::Kept), "aab");
  image.apply({Kind::Sync, "f", 0, {}});
  EXPECT_EQ(content(DiskImage::Unsynced::Lost), "aab");
}

TEST_F(FaultVfsTest, AnImageIsTornAtSectors) {
  DiskImage image;
  image.apply({DiskRecord::Kind::Write, "f", 0, std::string(16 * 512, 'x')});
  image.write_to(folder_.path(), DiskImage::Unsynced::Torn512, 7);
  std::ifstream in(folder_.path() + "/f");
  std::string bytes(std::istreambuf_iterator<char>(in), {});
  size_t kept = 0;
  for (size_t at = 0; at < bytes.size(); at += 512) {
    std::string sector = bytes.substr(at, 512);
    bool whole = sector == std::string(512, 'x');
    EXPECT_TRUE(whole || sector == std::string(512, '\0'));
    kept += whole ? 1 : 0;
  }
  EXPECT_GT(kept, 0U);
  EXPECT_LT(kept, 16U);
}

}  // namespace
}  // namespace millrace::store_sqlite
