// SPDX-License-Identifier: Apache-2.0
//
// What every adapter of the port Blobs must do. A new adapter is one more line at the end.
#include "kernel/blobs.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include "adapters/blob_fs/blob_fs.h"
#include "fake_s3.h"

namespace millrace::kernel {
namespace {

namespace fs = std::filesystem;

struct Adapter {
  std::string name;
  std::function<Result<std::unique_ptr<Blobs>>(const std::string& folder)> open;
  bool has_links = false;  // names of blobs are those of files
};

// One for all tests; each has a prefix of its own.
Result<std::unique_ptr<Blobs>> open_s3(const std::string& folder) {
  static blob_s3::FakeS3 fake;
  return blob_s3::open(fake.options(folder.substr(1) + "/"));
}

class BlobsContract : public testing::TestWithParam<Adapter> {
 protected:
  BlobsContract() {
    char name[] = "/tmp/millrace-blobs-XXXXXX";
    folder_ = mkdtemp(name);
    fs::create_directory(folder_ + "/room");
    auto blobs = GetParam().open(folder_ + "/room");
    if (blobs.ok()) blobs_ = std::move(*blobs);
  }
  ~BlobsContract() override { fs::remove_all(folder_); }
  void SetUp() override { ASSERT_TRUE(blobs_); }

  void put(const std::string& ref, std::string_view bytes) {
    auto writer = blobs_->create(ref);
    ASSERT_TRUE(writer.ok()) << writer.error().describe();
    EXPECT_EQ((*writer)->append(bytes), bytes.size());
    auto committed = (*writer)->commit();
    EXPECT_TRUE(committed.ok()) << committed.error().describe();
  }
  std::string whole(const std::string& ref) {
    auto bytes = blobs_->read(ref, 0, 1 << 30);
    return bytes.ok() ? *bytes : bytes.error().describe();
  }
  bool is_there(const std::string& ref) { return blobs_->size(ref).ok(); }
  std::set<std::string> refs(const std::string& prefix) {
    std::set<std::string> found;
    EXPECT_TRUE(blobs_->each(prefix, [&](const BlobEntry& e) { found.insert(e.ref); }).ok());
    return found;
  }
  // A local folder outside of the room.
  std::string local_folder(const std::string& file, std::string_view bytes) {
    std::string folder = folder_ + "/local";
    fs::create_directories(fs::path(folder + "/" + file).parent_path());
    std::ofstream(folder + "/" + file) << bytes;
    return folder;
  }

  const std::string ref_ = output_ref(TenantId(1), {ExecutionId(0x1234), 2, 3}, Stream::Stdout);
  std::string folder_;
  std::unique_ptr<Blobs> blobs_;
};

TEST_P(BlobsContract, EveryByteComesBackByRange) {
  std::string bytes;
  for (int i = 0; i < 300'000; ++i) bytes += static_cast<char>(i * 7 + i / 256);
  auto writer = blobs_->create(ref_);
  ASSERT_TRUE(writer.ok()) << writer.error().describe();
  for (size_t at = 0; at < bytes.size(); at += 70'001) {
    (*writer)->append(std::string_view(bytes).substr(at, 70'001));
  }
  ASSERT_TRUE((*writer)->commit().ok());
  EXPECT_EQ(*blobs_->size(ref_), 300'000);
  EXPECT_EQ(whole(ref_), bytes);
  EXPECT_EQ(*blobs_->read(ref_, 70'000, 10), bytes.substr(70'000, 10));
  EXPECT_EQ(*blobs_->read(ref_, 299'999, 10), bytes.substr(299'999));
  EXPECT_EQ(*blobs_->read(ref_, 300'000, 10), "");
  EXPECT_EQ(*blobs_->read(ref_, 1LL << 60, 10), "");
}

TEST_P(BlobsContract, AWriterKnowsItsTailBeforeTheCommit) {
  auto writer = blobs_->create(ref_);
  ASSERT_TRUE(writer.ok());
  EXPECT_EQ((*writer)->tail(5), "");
  (*writer)->append("one ");
  (*writer)->append("two");
  EXPECT_EQ((*writer)->tail(5), "e two");
  EXPECT_EQ((*writer)->tail(100), "one two");
}

TEST_P(BlobsContract, WhatIsNotCommittedIsGoneWithItsWriter) {
  {
    auto writer = blobs_->create(ref_);
    ASSERT_TRUE(writer.ok());
    (*writer)->append("half");
  }
  EXPECT_FALSE(is_there(ref_));
  EXPECT_EQ(blobs_->read(ref_, 0, 1).error().kind(), ErrorKind::NotFound);
}

TEST_P(BlobsContract, AnotherWritingTakesThePlaceOfTheFirst) {
  put(ref_, "a longer first text");
  put(ref_, "second");
  EXPECT_EQ(whole(ref_), "second");
  put(ref_, "");
  EXPECT_EQ(*blobs_->size(ref_), 0);
}

TEST_P(BlobsContract, RemovedIsNotThereAndMayBeRemovedAgain) {
  put(ref_, "x");
  EXPECT_TRUE(blobs_->remove(ref_).ok());
  EXPECT_FALSE(is_there(ref_));
  EXPECT_TRUE(blobs_->remove(ref_).ok());
  EXPECT_TRUE(refs("output/").empty());
  put(ref_, "again");
  EXPECT_EQ(whole(ref_), "again");
}

TEST_P(BlobsContract, ListsAndRemovesWhatLiesBelowAPrefix) {
  EXPECT_TRUE(refs("output/").empty());
  put("output/1/00/256.1.1.out", "1");
  put("output/1/01/257.1.1.err", "22");
  put("output/2/00/256.1.1.out", "3");
  put("artifacts/1/00/256/1/log", "4");
  EXPECT_EQ(refs("output/1/").size(), 2U);
  EXPECT_EQ(refs("output/").size(), 3U);
  EXPECT_EQ(refs("artifacts/"), (std::set<std::string>{"artifacts/1/00/256/1/log"}));
  int64_t size = 0;
  ASSERT_TRUE(blobs_->each("output/1/", [&](const BlobEntry& e) { size += e.size; }).ok());
  EXPECT_EQ(size, 3);
  EXPECT_TRUE(blobs_->remove_all("output/1/").ok());
  EXPECT_TRUE(blobs_->remove_all("output/1/").ok());
  EXPECT_EQ(refs("output/"), (std::set<std::string>{"output/2/00/256.1.1.out"}));
}

TEST_P(BlobsContract, TakesAFolderIn) {
  std::string prefix = artifacts_prefix(TenantId(1), {ExecutionId(256), 2, 9});
  ASSERT_TRUE(blobs_->take_folder(prefix, local_folder("sub/report.txt", "fine")).ok());
  EXPECT_FALSE(fs::exists(folder_ + "/local"));
  EXPECT_EQ(whole(prefix + "sub/report.txt"), "fine");
  EXPECT_EQ(refs(prefix), std::set<std::string>{prefix + "sub/report.txt"});
}

TEST_P(BlobsContract, NoReferenceLeadsOut) {
  std::ofstream(folder_ + "/secret") << "outside";
  for (const auto& ref :
       {std::string("../secret"), std::string("output/../../secret"), std::string("/etc/passwd"),
        std::string("output//x"), std::string(), std::string("."), std::string("output/."),
        std::string("output/"), std::string("a\0b", 3)}) {
    EXPECT_FALSE(blobs_->create(ref).ok()) << ref;
    EXPECT_FALSE(blobs_->read(ref, 0, 10).ok()) << ref;
    EXPECT_FALSE(blobs_->remove(ref).ok()) << ref;
  }
  EXPECT_FALSE(blobs_->remove_all("../").ok());
  EXPECT_FALSE(blobs_->remove_all("").ok());
  EXPECT_FALSE(blobs_->take_folder("../out/", local_folder("f", "x")).ok());
  EXPECT_TRUE(fs::exists(folder_ + "/secret"));
}

// A run may leave links among its artifacts.
TEST_P(BlobsContract, NoLinkLeadsOut) {
  std::ofstream(folder_ + "/secret") << "outside";
  std::string folder = local_folder("f", "x");
  fs::create_symlink(folder_ + "/secret", folder + "/link");
  fs::create_directory_symlink(folder_, folder + "/way");
  mkfifo((folder + "/fifo").c_str(), 0600);
  std::string prefix = artifacts_prefix(TenantId(1), {ExecutionId(5), 1, 1});
  ASSERT_TRUE(blobs_->take_folder(prefix, folder).ok());
  for (const char* name : {"link", "way/secret", "fifo", "way"}) {
    EXPECT_FALSE(blobs_->read(prefix + name, 0, 10).ok()) << name;
  }
  if (GetParam().has_links) {
    EXPECT_FALSE(blobs_->create(prefix + "way/planted").ok());
    EXPECT_FALSE(blobs_->take_folder(prefix + "way/planted/", local_folder("g", "x")).ok());
  }
  EXPECT_TRUE(blobs_->remove_all(prefix).ok());
  EXPECT_TRUE(fs::exists(folder_ + "/secret"));
  EXPECT_FALSE(fs::exists(folder_ + "/planted"));
  EXPECT_TRUE(refs("artifacts/").empty());
}

TEST_P(BlobsContract, WritersAndTheSweepDoNotDisturbEachOther) {
  std::thread sweep([&] {
    for (int i = 0; i < 300; ++i) EXPECT_TRUE(blobs_->remove("output/1/07/7.1.1.out").ok());
  });
  for (int i = 0; i < 100; ++i) put("output/1/07/263.1.1.out", "kept");
  sweep.join();
  EXPECT_EQ(whole("output/1/07/263.1.1.out"), "kept");
}

TEST(BlobRefs, NameTenantExecutionAndAttempt) {
  RunKey key{ExecutionId(0x1ab), 2, 3};
  EXPECT_EQ(output_ref(TenantId(4), key, Stream::Stdout), "output/4/ab/427.2.3.out");
  EXPECT_EQ(output_ref(TenantId(4), key, Stream::Stderr), "output/4/ab/427.2.3.err");
  EXPECT_EQ(artifacts_prefix(TenantId(4), key), "artifacts/4/ab/427/2/");
  EXPECT_EQ(execution_of("output/4/ab/427.2.3.out"), Of(TenantId(4), key.execution));
  EXPECT_EQ(execution_of("artifacts/4/ab/427/2/sub/file"), Of(TenantId(4), key.execution));
  EXPECT_FALSE(execution_of("output/4/427.2.3.out"));
  EXPECT_FALSE(execution_of("packs/4/ab/427"));
}

INSTANTIATE_TEST_SUITE_P(Adapters, BlobsContract,
                         testing::Values(Adapter{"fs", blob_fs::open, true},
                                         Adapter{"s3", open_s3}),
                         [](const auto& tested) { return tested.param.name; });

}  // namespace
}  // namespace millrace::kernel
