// SPDX-License-Identifier: Apache-2.0
#include "base/charset.h"

#include <gtest/gtest.h>

#include <iconv.h>

#include "base/json.h"

namespace millrace {
namespace {

std::string text(std::string_view bytes, std::string_view charset) {
  auto text = to_utf8(bytes, charset);
  return text.ok() ? *text : text.error().code() + " " + text.error().message();
}

TEST(Charset, ReadsWhatItKnows) {
  EXPECT_EQ(text("M\xFCnchen", "ISO-8859-1"), "München");
  EXPECT_EQ(text("M\xFCnchen \x80 5", "windows-1252"), "München € 5");
  EXPECT_EQ(text("\xA4 5", "iso-8859-15"), "€ 5");
  EXPECT_EQ(text("\xEF\xBB\xBF"
                 "a",
                 "UTF-8"),
            "a");
  EXPECT_EQ(text("\xFE\xFF" + std::string("\0a", 2), "utf-16"), "a");
  EXPECT_EQ(text("\xFF\xFE" + std::string("a\0", 2), "utf-16"), "a");
  EXPECT_EQ(text(std::string("a\0\x3D\xD8\x00\xDE", 6), "utf-16le"), "a\U0001F600");
}

TEST(Charset, RefusesWithThePlace) {
  EXPECT_EQ(text("ab\xFF", "utf-8"), "BAS-0013 expected utf-8 text, found the byte FF at byte 2");
  EXPECT_EQ(text("a\xFC", "us-ascii"),
            "BAS-0013 expected us-ascii text, found the byte FC at byte 1");
  EXPECT_EQ(text("a\x81", "cp1252"), "BAS-0013 expected cp1252 text, found the byte 81 at byte 1");
  EXPECT_EQ(text("abc", "utf-16be"),
            "BAS-0013 expected utf-16be text, found the byte 63 at byte 2");
  EXPECT_TRUE(text("\xD8\x3D", "utf-16be").starts_with("BAS-0013"));
  EXPECT_TRUE(text("\xDE\x01\xD8\x3D", "utf-16be").starts_with("BAS-0013"));
  EXPECT_TRUE(
      text("abc", "shift_jis").starts_with("BAS-0012 charset 'shift_jis': expected one of"));
}

// Each byte as the C library reads it.
TEST(Charset, AgreesWithTheCLibrary) {
  for (const char* charset : {"ISO-8859-1", "ISO-8859-15", "WINDOWS-1252"}) {
    iconv_t known = iconv_open("UTF-8", charset);
    if (known == iconv_t(-1)) GTEST_SKIP() << "no " << charset << " here";
    for (int c = 0; c < 256; ++c) {
      char in = static_cast<char>(c);
      char out[8] = {};
      char* from = &in;
      char* to = out;
      size_t in_left = 1;
      size_t out_left = sizeof out;
      bool read = iconv(known, &from, &in_left, &to, &out_left) != size_t(-1);
      auto ours = to_utf8({&in, 1}, charset);
      EXPECT_EQ(ours.ok(), read) << charset << " " << c;
      if (ours.ok() && read) EXPECT_EQ(*ours, std::string(out, to)) << charset << " " << c;
      iconv(known, nullptr, nullptr, nullptr, nullptr);
    }
    iconv_close(known);
  }
}

TEST(Charset, RepairsAndCounts) {
  Repaired whole = repair_utf8("München");
  EXPECT_EQ(whole.text, "München");
  EXPECT_EQ(whole.replaced, 0u);
  Repaired broken = repair_utf8("a\xFF\xFE\xC3\xA4\xC3");
  EXPECT_EQ(broken.text, "a\xEF\xBF\xBD\xEF\xBF\xBDä\xEF\xBF\xBD");
  EXPECT_EQ(broken.replaced, 3u);
  EXPECT_EQ(broken.first, 1u);
  EXPECT_TRUE(is_utf8(broken.text));
}

}  // namespace
}  // namespace millrace
