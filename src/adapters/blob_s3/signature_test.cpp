// SPDX-License-Identifier: Apache-2.0
#include "adapters/blob_s3/signature.h"

#include <gtest/gtest.h>

#include <fstream>

#include "adapters/blob_s3/answers.h"
#include "base/json.h"

namespace millrace::blob_s3 {
namespace {

// The examples of AWS's own documentation ("Signature Calculations for the Authorization Header",
// "Authenticating Requests: Using Query Parameters").
const Keys kPublished{.access = "AKIAIOSFODNN7EXAMPLE",
                      .secret = Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
                      .session = Secret()};
const Scope kPublishedScope{
    .host = "examplebucket.s3.amazonaws.com", .region = "us-east-1", .now_ms = 1'369'353'600'000};

std::string header_of(const Request& request, std::string_view name) {
  for (const auto& [key, value] : request.headers) {
    if (key == name) return value;
  }
  return {};
}

TEST(S3Signature, ARangeIsSignedAsPublished) {
  Request request{
      .path = "/test.txt", .query = {}, .headers = {{"range", "bytes=0-9"}}, .body = {}};
  sign(request, kPublishedScope, kPublished);
  EXPECT_EQ(header_of(request, "authorization"),
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
            "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,"
            "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
  EXPECT_EQ(header_of(request, "x-amz-date"), "20130524T000000Z");
}

TEST(S3Signature, AQueryIsSignedAsPublished) {
  Request request{
      .path = "/", .query = {{"max-keys", "2"}, {"prefix", "J"}}, .headers = {}, .body = {}};
  sign(request, kPublishedScope, kPublished);
  EXPECT_TRUE(header_of(request, "authorization")
                  .ends_with("34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"));
}

TEST(S3Signature, APresignedGetIsAsPublished) {
  EXPECT_EQ(
      presign({.path = "/test.txt", .query = {}, .headers = {}, .body = {}}, kPublishedScope,
              kPublished, 86'400),
      "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F"
      "20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires="
      "86400&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404&"
      "X-Amz-SignedHeaders=host");
}

// 200 requests that botocore 1.44.8 has signed.
TEST(S3Signature, SignsAsBotocoreDoes) {
  std::ifstream file(MILLRACE_SOURCE_DIR "/src/adapters/blob_s3/golden/signed.jsonl");
  int count = 0;
  auto pairs_of = [](const Value& list) {
    Pairs pairs;
    for (const auto& pair : list.as_list()) {
      pairs.emplace_back(pair.as_list()[0].as_string(), pair.as_list()[1].as_string());
    }
    return pairs;
  };
  for (std::string line; std::getline(file, line); ++count) {
    auto parsed = parse_json(line, kOwnJson);
    ASSERT_TRUE(parsed.ok()) << line;
    const Value& given = *parsed;
    auto text = [&](std::string_view name) { return std::string(given.string_or(name, "")); };
    Request request{.method = text("method"),
                    .path = text("path"),
                    .query = pairs_of(*given.find("query")),
                    .headers = pairs_of(*given.find("headers")),
                    .body = text("body")};
    Keys keys{text("access"), Secret(text("secret")), Secret(text("session"))};
    Scope scope{text("host"), text("region"), given.int_or("now", 0) * 1000};
    std::string signature;
    if (given.find("presigned")->as_bool()) {
      signature = presign(request, scope, keys, 900);
      EXPECT_NE(signature.find("X-Amz-Signature=" + text("signature")), signature.npos) << line;
    } else {
      sign(request, scope, keys);
      EXPECT_TRUE(header_of(request, "authorization").ends_with(text("signature"))) << line;
    }
  }
  EXPECT_EQ(count, 200);
}

TEST(S3Answers, AListIsRead) {
  auto page = read_list(
      "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"x\"><Prefix>p/</Prefix>"
      "<Contents><Key>p/a%20b%2Bc</Key><ETag>&quot;e&quot;</ETag><Size>12</Size></Contents>"
      "<Contents><Size>0</Size><Key>p/%C3%A9</Key></Contents><IsTruncated>true</IsTruncated>"
      "<NextContinuationToken>a&amp;b==</NextContinuationToken></ListBucketResult>");
  ASSERT_TRUE(page.ok()) << page.error().describe();
  ASSERT_EQ(page->entries.size(), 2U);
  EXPECT_EQ(page->entries[0].key, "p/a b+c");
  EXPECT_EQ(page->entries[0].size, 12);
  EXPECT_EQ(page->entries[1].key, "p/é");
  EXPECT_EQ(page->next, "a&b==");
}

TEST(S3Answers, WhatIsNoListIsRefused) {
  for (const char* text : {"", "<html>", "<Error><Code>x</Code></Error>",
                           "<ListBucketResult><Contents><Key>a%2</Key><Size>1</Size></Contents>",
                           "<ListBucketResult><Contents><Key>a</Key><Size>-1</Size></Contents>",
                           "<ListBucketResult><Contents><Key>a</Key></Contents>"}) {
    EXPECT_FALSE(read_list(text).ok()) << text;
  }
}

TEST(S3Answers, TextOfAnElement) {
  EXPECT_EQ(text_of("<E><Code>Slow&amp;Down</Code></E>", "Code"), "Slow&Down");
  EXPECT_EQ(text_of("<E><Code>Slow", "Code"), "");
  EXPECT_EQ(text_of("", "Code"), "");
}

}  // namespace
}  // namespace millrace::blob_s3
