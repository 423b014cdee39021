// SPDX-License-Identifier: Apache-2.0
#include "net/content_coding.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include "net/media_type.h"

namespace millrace::net {
namespace {

std::string packed(std::string_view text, int window_bits) {
  z_stream stream{};
  deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY);
  std::string in(text);
  std::string out(deflateBound(&stream, in.size()), 0);
  stream.next_in = reinterpret_cast<Bytef*>(in.data());
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}
std::string gzip(std::string_view text) { return packed(text, 31); }

std::string decoded(std::string body, std::string_view coding, size_t most = 1 << 20) {
  auto text = decode_content(std::move(body), coding, most);
  return text.ok() ? *text : text.error().code();
}

TEST(ContentCoding, IsTakenOff) {
  std::string text(100'000, 'x');
  EXPECT_EQ(decoded(gzip(text), "gzip"), text);
  EXPECT_EQ(decoded(gzip(text), "X-GZIP"), text);
  EXPECT_EQ(decoded(gzip("a") + gzip("b"), "gzip"), "ab");
  EXPECT_EQ(decoded(packed(text, 15), "deflate"), text);
  EXPECT_EQ(decoded(packed(text, -15), "deflate"), text);
  EXPECT_EQ(decoded(gzip(packed(text, 15)), "deflate, gzip"), text);
  EXPECT_EQ(decoded("plain", "identity"), "plain");
  EXPECT_EQ(decoded("plain", ""), "plain");
  EXPECT_EQ(decoded("", "gzip"), "");
}

TEST(ContentCoding, IsRefusedByName) {
  auto refused = decode_content("x", "br", 100);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().message(), "Content-Encoding 'br': expected gzip, deflate or identity");
  EXPECT_EQ(decoded("no gzip", "gzip"), "NET-0021");
  EXPECT_EQ(decoded(gzip("text").substr(0, 15), "gzip"), "NET-0021");
  EXPECT_EQ(decoded(gzip("text") + "x", "gzip"), "NET-0021");
  EXPECT_EQ(decoded(packed("text", 15) + "x", "deflate"), "NET-0021");
  std::string damaged = gzip("a text that is long enough to be damaged");
  damaged[damaged.size() - 6] ^= 1;  // its checksum
  EXPECT_EQ(decoded(damaged, "gzip"), "NET-0021");
}

TEST(ContentCoding, UnpacksNoFurtherThanTheLimit) {
  EXPECT_EQ(decoded(gzip(std::string(10 << 20, 'x')), "gzip"), "NET-0015");
  EXPECT_EQ(decoded(gzip(gzip(std::string(10 << 20, 'x'))), "gzip, gzip"), "NET-0015");
}

TEST(MediaType, GoesByItsSuffix) {
  for (auto type : {"application/json", "application/problem+json", "application/vnd.x+json"}) {
    EXPECT_TRUE(is_json(type)) << type;
    EXPECT_TRUE(is_text(type)) << type;
  }
  for (auto type : {"application/json-seq", "application/x-ndjson", "application/jsonl",
                    "application/json+xml", "image/png", ""}) {
    EXPECT_FALSE(is_json(type)) << type;
  }
  EXPECT_TRUE(is_text("image/svg+xml"));
  EXPECT_FALSE(is_text("image/png"));
  EXPECT_EQ(media_type(" Application/Problem+JSON ; charset=UTF-8"), "application/problem+json");
  EXPECT_EQ(charset_of("text/plain; a=b; Charset=\"ISO-8859-1\""), "iso-8859-1");
}

}  // namespace
}  // namespace millrace::net
