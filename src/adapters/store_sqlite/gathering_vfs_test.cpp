// SPDX-License-Identifier: Apache-2.0
#include "adapters/store_sqlite/gathering_vfs.h"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <algorithm>
#include <cerrno>
#include <fstream>

#include "adapters/store_sqlite/fault_vfs.h"
#include "adapters/store_sqlite/store_sqlite.h"
#include "adapters/store_sqlite/whole_steps.h"

namespace millrace::store_sqlite {
namespace {

using namespace store::testing;

// The log of a database, opened below SQLite's pager, over the VFS of the faults.
class GatheringFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    FaultVfs::instance();
    auto* vfs = sqlite3_vfs_find(gathering_vfs(FaultVfs::kName).c_str());
    ASSERT_NE(vfs, nullptr);
    std::ofstream(folder_.path() + "/main");  // whose mode the log gets
    name_ = sqlite3_create_filename((folder_.path() + "/main-wal").c_str(), "", "", 0, nullptr);
    memory_.resize(static_cast<size_t>(vfs->szOsFile));
    int flags = SQLITE_OPEN_WAL | SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    ASSERT_EQ(vfs->xOpen(vfs, name_, file(), flags, nullptr), SQLITE_OK);
    FaultVfs::instance().record(true);
  }
  void TearDown() override {
    FaultVfs::instance().disarm();
    file()->pMethods->xClose(file());
    FaultVfs::instance().record(false);
    FaultVfs::instance().take_records();
    sqlite3_free_filename(name_);
  }
  sqlite3_file* file() { return reinterpret_cast<sqlite3_file*>(memory_.data()); }
  int write(std::string_view bytes, int64_t offset) {
    return file()->pMethods->xWrite(file(), bytes.data(), static_cast<int>(bytes.size()), offset);
  }
  int sync() { return file()->pMethods->xSync(file(), SQLITE_SYNC_NORMAL); }
  // "OFFSET:BYTES" of each write that has reached the disk.
  std::vector<std::string> writes() {
    std::vector<std::string> out;
    for (const auto& record : FaultVfs::instance().take_records()) {
      if (record.kind != DiskRecord::Kind::Write) continue;
      out.push_back(std::to_string(record.offset) + ":" + record.bytes);
    }
    return out;
  }
  using Writes = std::vector<std::string>;

  TempFolder folder_;
  const char* name_ = nullptr;
  std::vector<char> memory_;
};

TEST_F(GatheringFileTest, WhatFollowsIsOneWriteAtTheSync) {
  write("ab", 10);
  write("cd", 12);
  EXPECT_EQ(writes(), Writes());
  EXPECT_EQ(sync(), SQLITE_OK);
  EXPECT_EQ(writes(), Writes{"10:abcd"});
  EXPECT_EQ(sync(), SQLITE_OK);
  EXPECT_EQ(writes(), Writes());
}

TEST_F(GatheringFileTest, WhatStandsElsewhereIsAnotherWriteInTheOrderAsked) {
  write("ab", 10);
  write("cd", 20);
  write("ef", 11);
  EXPECT_EQ(sync(), SQLITE_OK);
  EXPECT_EQ(writes(), (Writes{"10:ab", "20:cd", "11:ef"}));
}

TEST_F(GatheringFileTest, WhatIsAskedOfTheFileComesAfterIt) {
  char bytes[4] = {};
  write("ab", 0);
  EXPECT_EQ(file()->pMethods->xRead(file(), bytes, 2, 0), SQLITE_OK);
  EXPECT_EQ(std::string_view(bytes, 2), "ab");
  write("cd", 2);
  sqlite3_int64 size = 0;
  EXPECT_EQ(file()->pMethods->xFileSize(file(), &size), SQLITE_OK);
  EXPECT_EQ(size, 4);
  write("ef", 4);
  EXPECT_EQ(file()->pMethods->xTruncate(file(), 5), SQLITE_OK);
  EXPECT_EQ(file()->pMethods->xFileSize(file(), &size), SQLITE_OK);
  EXPECT_EQ(size, 5);
  write("gh", 5);
  file()->pMethods->xUnlock(file(), SQLITE_LOCK_NONE);
  EXPECT_EQ(writes(), (Writes{"0:ab", "2:cd", "4:ef", "5:gh"}));
}

TEST_F(GatheringFileTest, AWriteThatFailsIsToldByWhatComesNextAndForgotten) {
  FaultVfs::instance().arm({.op = DiskOp::Write, .error = ENOSPC, .for_ever = false});
  EXPECT_EQ(write("ab", 0), SQLITE_OK);
  EXPECT_EQ(sync(), SQLITE_FULL);
  EXPECT_EQ(sync(), SQLITE_OK);
  EXPECT_EQ(writes(), Writes());
  // An unlock tells nobody: the sync behind it does.
  FaultVfs::instance().arm({.op = DiskOp::Write, .error = EIO, .for_ever = false});
  write("ab", 0);
  file()->pMethods->xUnlock(file(), SQLITE_LOCK_NONE);
  EXPECT_EQ(sync(), SQLITE_IOERR_WRITE);
  EXPECT_EQ(sync(), SQLITE_OK);
}

// More than SQLite's own VFS takes in one write, and more than is held.
TEST_F(GatheringFileTest, WhatIsLargeIsThereWhole) {
  std::string all;
  for (int i = 0; i < 500; ++i) {
    std::string piece(4096, static_cast<char>('a' + i % 26));
    write(piece, static_cast<int64_t>(all.size()));
    all += piece;
  }
  EXPECT_FALSE(writes().empty()) << "2 MB are held";
  EXPECT_EQ(sync(), SQLITE_OK);
  std::string found(all.size(), '\0');
  for (size_t at = 0; at < all.size(); at += 4096) {
    file()->pMethods->xRead(file(), found.data() + at, 4096, static_cast<int64_t>(at));
  }
  EXPECT_EQ(found, all);
}

TEST(GatheringVfs, AStoreInMemoryHasNoSharedMemory) {
  auto store = must(open("/gathering_vfs_test", {.vfs = "memdb"}));
  auto stays = must(store->open_writer());  // it lasts as long as somebody has it open
  Desk desk(*store);
  desk.write(whole_step(1));
}

TEST(GatheringVfs, ASmallCommitIsOneWriteAndOneSyncOfTheLog) {
  TempFolder folder;
  auto store = must(open(folder.path(), {.vfs = FaultVfs::kName}));
  Desk desk(*store);
  desk.write(whole_step(1));
  FaultVfs::instance().record(true);
  std::vector<Order> orders;
  orders.push_back({whole_step(2), 0});
  desk.commit(std::move(orders));
  FaultVfs::instance().record(false);
  auto records = FaultVfs::instance().take_records();
  auto count = [&](DiskRecord::Kind kind) {
    return std::ranges::count_if(records, [&](const auto& record) {
      return record.kind == kind && record.file == "millrace.db-wal";
    });
  };
  EXPECT_EQ(count(DiskRecord::Kind::Write), 1);
  EXPECT_EQ(count(DiskRecord::Kind::Sync), 1);
}

}  // namespace
}  // namespace millrace::store_sqlite
