// SPDX-License-Identifier: Apache-2.0
//
// What S3 and the network do that a folder does not: refuse, be slow, break off.
#include <gtest/gtest.h>

#include <thread>

#include "fake_s3.h"
#include "net/test_certificate.h"

namespace millrace::blob_s3 {
namespace {

class BlobS3 : public testing::Test {
 protected:
  static void SetUpTestSuite() { fake_ = new FakeS3({"--page", "7"}); }
  static void TearDownTestSuite() {
    delete fake_;
    fake_ = nullptr;
  }
  void SetUp() override {
    fake_->tell("faults", "[]");
    fake_->tell("clock", R"({"ahead_s": 0})");
    fake_->tell("keys", R"({"AKIAMILLRACE": "a secret/with+signs"})");
    prefix_ = "t" + std::to_string(++count_) + "/";
    open(fake_->options(prefix_));
    fake_->tell("seen", "");
    before_ = uploads();
  }
  void open(Options options) {
    auto opened = blob_s3::open(std::move(options));
    ASSERT_TRUE(opened.ok()) << opened.error().describe();
    blobs_ = std::move(*opened);
  }
  Result<void> put(const std::string& ref, std::string_view bytes) {
    TRY(auto writer, blobs_->create(ref));
    if (writer->append(bytes) < bytes.size()) return writer->fault();
    return writer->commit();
  }
  std::string whole(const std::string& ref) {
    auto bytes = blobs_->read(ref, 0, 1 << 30);
    return bytes.ok() ? *bytes : bytes.error().describe();
  }
  void fail(const std::string& faults) { fake_->tell("faults", faults); }
  // That have begun and not ended.
  int uploads() { return std::stoi(fake_->tell("uploads", "")); }
  // How many requests began so.
  int seen(std::string_view begin) {
    std::string text = fake_->tell("seen", "");
    int count = 0;
    for (size_t at = 0; (at = text.find('"' + std::string(begin), at)) != text.npos; ++at) ++count;
    return count;
  }

  static inline FakeS3* fake_ = nullptr;
  static inline int count_ = 0;
  std::string prefix_;
  int before_ = 0;
  std::unique_ptr<kernel::Blobs> blobs_;
  const std::string large_ = std::string(200'000, 'l') + "end";
};

TEST_F(BlobS3, LargeOnesGoUpInPartsAndSmallOnesWhole) {
  ASSERT_TRUE(put("output/small", "small").ok());
  EXPECT_EQ(seen("PUT"), 1);
  ASSERT_TRUE(put("output/large", large_).ok());
  EXPECT_EQ(seen("PUT"), 4);
  EXPECT_TRUE(whole("output/large") == large_);
  EXPECT_EQ(uploads(), before_);
}

TEST_F(BlobS3, WhatIsGivenUpLeavesNoParts) {
  {
    auto writer = *blobs_->create("output/half");
    EXPECT_EQ(writer->append(large_), large_.size());
    EXPECT_EQ(uploads(), before_ + 1);
    EXPECT_TRUE(writer->tail(100'000) == large_.substr(large_.size() - 100'000));
  }
  EXPECT_EQ(uploads(), before_);
  EXPECT_FALSE(blobs_->size("output/half").ok());
}

TEST_F(BlobS3, ListsPageByPage) {
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(put("output/1/a b+c%/" + std::to_string(i), "x").ok());
  int count = 0;
  ASSERT_TRUE(blobs_->each("output/1/", [&](const auto&) { ++count; }).ok());
  EXPECT_EQ(count, 20);
  ASSERT_TRUE(blobs_->remove_all("output/").ok());
  ASSERT_TRUE(blobs_->each("output/", [&](const auto&) { ++count; }).ok());
  EXPECT_EQ(count, 20);
}

TEST_F(BlobS3, TwoPrefixesDoNotSeeEachOther) {
  ASSERT_TRUE(put("output/1", "mine").ok());
  open(fake_->options("other/"));
  EXPECT_FALSE(blobs_->size("output/1").ok());
}

TEST_F(BlobS3, AWrongKeyIsToldAndNotTriedAgain) {
  auto options = fake_->options(prefix_);
  options.keys = [] {
    auto keys = FakeS3::keys();
    keys.secret = Secret("wrong");
    return Result<Keys>(keys);
  };
  open(std::move(options));
  auto put_it = put("output/1", "x");
  ASSERT_FALSE(put_it.ok());
  EXPECT_EQ(put_it.error().code(), "BLB-0003");
  EXPECT_NE(put_it.error().message().find("SignatureDoesNotMatch"), std::string::npos);
  EXPECT_EQ(put_it.error().message().find("wrong"), std::string::npos);
  EXPECT_EQ(seen("PUT"), 1);
}

TEST_F(BlobS3, KeysThatWereReplacedAreReadAgain) {
  auto given = std::make_shared<Keys>(FakeS3::keys());
  auto options = fake_->options(prefix_);
  options.keys = [given] { return Result<Keys>(*given); };
  open(std::move(options));
  ASSERT_TRUE(put("output/1", "x").ok());
  fake_->tell("keys", R"({"AKIANEXT": "next"})");
  EXPECT_FALSE(put("output/1", "y").ok());
  *given = {"AKIANEXT", Secret("next"), Secret()};
  EXPECT_TRUE(put("output/1", "y").ok());
  EXPECT_EQ(whole("output/1"), "y");
}

TEST_F(BlobS3, AClockThatIsWrongIsSetRightByTheServers) {
  fake_->tell("clock", R"({"ahead_s": 7200})");
  ASSERT_TRUE(put("output/1", "x").ok());
  EXPECT_EQ(seen("PUT"), 2);
  EXPECT_TRUE(blobs_->size("output/1").ok());
  EXPECT_EQ(seen("HEAD"), 1);
  fake_->tell("clock", R"({"ahead_s": -7200})");
  EXPECT_TRUE(blobs_->size("output/1").ok());  // an answer without a body that says why
  EXPECT_EQ(seen("HEAD"), 2);
}

TEST_F(BlobS3, WhatMayPassIsTriedAgain) {
  fail(R"([{"times": 3, "status": 503, "code": "SlowDown"}])");
  ASSERT_TRUE(put("output/1", "x").ok());
  EXPECT_EQ(seen("PUT"), 4);
  fail(R"([{"times": 1, "status": 500, "code": "InternalError"},
           {"times": 1, "status": 429, "code": "TooManyRequests"},
           {"times": 1, "status": 400, "code": "RequestTimeout"}])");
  EXPECT_EQ(whole("output/1"), "x");
}

TEST_F(BlobS3, WhatDoesNotPassIsGivenUpAfterFiveTries) {
  fail(R"([{"times": 99, "status": 503, "code": "SlowDown"}])");
  auto given_up = put("output/1", "x");
  ASSERT_FALSE(given_up.ok());
  EXPECT_EQ(given_up.error().kind(), ErrorKind::Unavailable);
  EXPECT_NE(given_up.error().message().find("5 times: 503 SlowDown"), std::string::npos)
      << given_up.error().message();
  EXPECT_EQ(seen("PUT"), 5);
  auto read = blobs_->read("output/1", 0, 10);
  EXPECT_EQ(read.error().kind(), ErrorKind::Unavailable);  // and not: it is not there
  EXPECT_EQ(blobs_->size("output/1").error().kind(), ErrorKind::Unavailable);
}

// Whether the server has done it or not: done again, the outcome is the same.
TEST_F(BlobS3, ConnectionsThatBreakAreMadeAgain) {
  for (const char* when : {"before", "after", "body"}) {
    for (const char* method : {"PUT", "GET", "POST", "HEAD", "DELETE"}) {
      fail(std::string(R"([{"times": 1, "method": ")") + method + R"(", "cut": ")" + when + "\"}]");
      std::string ref = "output/" + std::string(method);
      auto large = put(ref, large_);
      EXPECT_TRUE(large.ok()) << when << method << large.error().describe();
      EXPECT_TRUE(whole(ref) == large_) << when << method;
      EXPECT_EQ(*blobs_->size(ref), 200'003);
      EXPECT_TRUE(blobs_->remove(ref).ok()) << when << method;
      EXPECT_FALSE(blobs_->size(ref).ok());
    }
  }
}

TEST_F(BlobS3, TheEndOfAnUploadWhoseAnswerWasLostIsFound) {
  auto writer = *blobs_->create("output/large");
  ASSERT_EQ(writer->append(large_), large_.size());
  fail(R"([{"times": 1, "method": "POST", "cut": "after"}])");
  auto committed = writer->commit();
  EXPECT_TRUE(committed.ok()) << committed.error().describe();
  EXPECT_TRUE(whole("output/large") == large_);
}

TEST_F(BlobS3, APartThatCannotGoUpIsAFaultOfTheWriter) {
  auto writer = *blobs_->create("output/large");
  fail(R"([{"times": 99, "status": 503, "code": "SlowDown"}])");
  EXPECT_LT(writer->append(large_), large_.size());
  EXPECT_EQ(writer->fault().code(), "BLB-0003");
  fail("[]");
  writer.reset();
  EXPECT_EQ(uploads(), before_);
}

TEST_F(BlobS3, AServerThatHangsCostsItsTimeout) {
  auto options = fake_->options(prefix_);
  options.timeout = std::chrono::milliseconds(300);
  open(std::move(options));
  fail(R"([{"times": 1, "hang_s": 3}])");
  EXPECT_TRUE(put("output/1", "x").ok());
  EXPECT_EQ(whole("output/1"), "x");
}

TEST_F(BlobS3, ManyAskAtTheSameTime) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([this, i] {
      std::string ref = "output/" + std::to_string(i);
      for (int round = 0; round < 20; ++round) {
        EXPECT_TRUE(put(ref, std::to_string(round)).ok());
        EXPECT_EQ(whole(ref), std::to_string(round));
      }
    });
  }
  for (auto& thread : threads) thread.join();
}

TEST_F(BlobS3, SpeaksTls) {
  net::SelfSigned certificate;
  FakeS3 fake({"--tls", certificate.certificate, certificate.key});
  auto options = fake.options();
  open(options);
  auto refused = put("output/1", "x");
  ASSERT_FALSE(refused.ok()) << "a certificate that nobody knows";
  options.ca_file = certificate.certificate;
  open(options);
  ASSERT_TRUE(put("output/1", "x").ok());
  EXPECT_EQ(whole("output/1"), "x");
}

TEST_F(BlobS3, OptionsThatCannotBeAreRefused) {
  auto wrong = [](auto change) {
    auto options = fake_->options();
    change(options);
    auto opened = blob_s3::open(std::move(options));
    return opened.ok() ? std::string() : opened.error().code();
  };
  EXPECT_EQ(wrong([](auto& o) { o.bucket = ""; }), "BLB-0004");
  EXPECT_EQ(wrong([](auto& o) { o.bucket = "a/b"; }), "BLB-0004");
  EXPECT_EQ(wrong([](auto& o) { o.region = ""; }), "BLB-0004");
  EXPECT_EQ(wrong([](auto& o) { o.prefix = "a"; }), "BLB-0004");
  EXPECT_EQ(wrong([](auto& o) { o.endpoint = "ftp://x"; }), "BLB-0004");
  EXPECT_EQ(wrong([](auto& o) { o.endpoint += "/x"; }), "BLB-0004");
  EXPECT_EQ(wrong([](auto& o) {
              o.keys = [] {
                return Result<Keys>(Error(ErrorKind::Invalid, "BLB-0005", "no keys"));
              };
            }),
            "BLB-0005");
}

}  // namespace
}  // namespace millrace::blob_s3
