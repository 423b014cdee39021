// SPDX-License-Identifier: Apache-2.0
#include "app/releases.h"

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "adapters/blob_fs/blob_fs.h"
#include "app/write_release.h"
#include "packs/files.h"

namespace millrace::app {
namespace {

namespace fs = std::filesystem;

// A folder stands for the room that servers share.
class ReleasesTest : public testing::Test {
 protected:
  ReleasesTest() {
    char name[] = "/tmp/millrace-releases-XXXXXX";
    home_ = mkdtemp(name);
    fs::create_directories(home_ + "/room");
    room_ = *blob_fs::open(home_ + "/room");
    for (int i = 0; i < 50; ++i) files_["actions/" + std::to_string(i)] = std::string(2000, 'a');
    files_["pack.yaml"] = "ref: tea\n";
    digest_ = packs::digest_of(files_);
  }
  ~ReleasesTest() override { fs::remove_all(home_); }

  Releases releases(const std::string& data) {
    return Releases(
        {.data = home_ + "/" + data, .room = room_.get(), .run = [](const auto& job) { job(); }});
  }
  bool is_staged(const std::string& data) {
    auto files = read_release(home_ + "/" + data, "tea", digest_);
    return files.ok() && *files == files_;
  }
  void publish() {
    auto pack = std::make_shared<Pack>();
    pack->ref = "tea";
    pack->digest = digest_;
    ASSERT_TRUE(write_release(files_, release_path(home_ + "/one", "tea", digest_)).ok());
    releases("one").publish({pack});
  }

  std::string home_;
  std::unique_ptr<kernel::Blobs> room_;
  packs::PackFiles files_;
  std::string digest_;
};

TEST_F(ReleasesTest, WhatOneHasPublishedAnotherBrings) {
  publish();
  auto two = releases("two");
  auto brought = two.bring()("tea", digest_);
  ASSERT_TRUE(brought.ok()) << brought.error().describe();
  EXPECT_TRUE(is_staged("two"));
}

TEST_F(ReleasesTest, WhatIsNotThereOrIsAnotherIsNotStaged) {
  auto two = releases("two");
  EXPECT_EQ(two.bring()("tea", digest_).error().kind(), ErrorKind::NotFound);
  publish();
  auto ref = "releases/tea/" + std::string(64, '0');
  auto archive = *room_->read("releases/tea/" + digest_, 0, 1 << 30);
  auto writer = *room_->create(ref);
  writer->append(archive);
  ASSERT_TRUE(writer->commit().ok());
  EXPECT_FALSE(two.bring()("tea", std::string(64, '0')).ok());
  EXPECT_FALSE(fs::exists(home_ + "/two/packs"));
}

// As orders do that come together.
TEST_F(ReleasesTest, ManyBringTheSameAtOnce) {
  publish();
  auto two = releases("two");
  auto bring = two.bring();
  for (int round = 0; round < 5; ++round) {
    fs::remove_all(home_ + "/two");
    std::vector<std::thread> threads;
    for (int i = 0; i < 6; ++i) {
      threads.emplace_back([&] {
        EXPECT_TRUE(bring("tea", digest_).ok());
        EXPECT_TRUE(is_staged("two"));
      });
    }
    for (auto& thread : threads) thread.join();
  }
}

}  // namespace
}  // namespace millrace::app
