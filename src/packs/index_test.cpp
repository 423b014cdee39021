// SPDX-License-Identifier: Apache-2.0
#include "packs/index.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace millrace::packs {
namespace {

TEST(Index, ReadsWhatStackStormExchangeWrites) {
  auto document = parse_json(R"({"metadata": {"generated_ts": 1}, "packs": {
    "aws": {"ref": "aws", "name": "aws", "version": "1.2", "description": "Amazon Web Services",
            "keywords": ["Cloud", 7], "repo_url": "https://github.com/X/stackstorm-aws",
            "content": {"actions": {"count": 3}}},
    "tea": {"repo_url": "https://example.org/tea"},
    "no_url": {"ref": "no_url"}, "Bad Name": {"repo_url": "https://x"}, "odd": 7}})");
  auto packs = read_index(*document);
  ASSERT_TRUE(packs.ok());
  ASSERT_EQ(packs->size(), 2U);
  EXPECT_EQ(
      (*packs)[0],
      (IndexedPack{
          "aws", "1.2", "Amazon Web Services", {"Cloud"}, "https://github.com/X/stackstorm-aws"}));
  EXPECT_EQ((*packs)[1].ref, "tea");
}

TEST(Index, IsRefusedWhenItIsNone) {
  for (const char* text : {"[]", "{}", R"({"packs": []})"}) {
    auto packs = read_index(*parse_json(text));
    ASSERT_FALSE(packs.ok()) << text;
    EXPECT_EQ(packs.error().code(), "PCK-0024");
  }
}

TEST(Index, AllWordsHaveToStandSomewhere) {
  IndexedPack pack{"aws", "", "Amazon Web Services", {"cloud"}, "u"};
  EXPECT_TRUE(matches(pack, ""));
  EXPECT_TRUE(matches(pack, "AMAZON cloud"));
  EXPECT_TRUE(matches(pack, "aw"));
  EXPECT_FALSE(matches(pack, "amazon azure"));
}

TEST(Index, NamesAreNoPathsAndNoUrls) {
  for (const char* text : {"aws", "aws=v1.0", "aws=main"})
    EXPECT_TRUE(is_wanted_pack(text)) << text;
  for (const char* text : {"./aws", "aws.tar.gz", "https://x/aws", "git@x:y", "aws=", "", "/aws"}) {
    EXPECT_FALSE(is_wanted_pack(text)) << text;
  }
  EXPECT_EQ(wanted_pack("aws=v1").name, "aws");
  EXPECT_EQ(wanted_pack("aws=v1").ref, "v1");
}

}  // namespace
}  // namespace millrace::packs
