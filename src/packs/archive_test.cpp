// SPDX-License-Identifier: Apache-2.0
#include "packs/archive.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace millrace::packs {
namespace {

struct Item {
  std::string path;
  char type = '0';
  std::string bytes = {};
  std::string target = {};
  std::string size = {};  // another than that of the bytes
};

std::string tar_of(const std::vector<Item>& items) {
  std::string tar;
  for (const auto& item : items) {
    std::string header(512, '\0');
    auto put = [&](size_t at, std::string_view text) { header.replace(at, text.size(), text); };
    put(0, item.path);
    put(124, item.size.empty() ? fmt::format("{:011o}", item.bytes.size()) : item.size);
    put(148, "        ");
    header[156] = item.type;
    put(157, item.target);
    put(257, std::string_view("ustar\0"
                              "00",
                              8));
    unsigned sum = 0;
    for (unsigned char c : header) sum += c;
    put(148, fmt::format("{:06o}", sum));
    header[154] = '\0';
    tar += header + item.bytes;
    tar.append((512 - item.bytes.size() % 512) % 512, '\0');
  }
  return tar + std::string(1024, '\0');
}

const Item kPackYaml{.path = "tea/pack.yaml", .bytes = "ref: tea\n"};

std::string told(const std::vector<Item>& items, const FolderLimits& limits = {}) {
  auto pack = read_tar(tar_of(items), limits);
  if (pack.ok()) {
    std::string text = pack->folder + ":";
    for (const auto& [path, bytes] : pack->files) text += " " + path + "=" + bytes;
    return text;
  }
  std::string text(pack.error().code());
  if (pack.error().problems().empty()) text += " " + pack.error().message();
  for (const auto& problem : pack.error().problems()) {
    text += " " + problem.path + ": " + problem.message;
  }
  return text;
}

TEST(PackArchive, IsWhatWasWritten) {
  PackFiles files = {{"pack.yaml", "ref: tea\n"},
                     {"actions/" + std::string(200, 'a') + "/x.sh", std::string(1025, 'b')},
                     {"empty", ""}};
  for (const char* folder : {"tea", ""}) {
    auto pack = read_tar(write_tar(files, folder));
    ASSERT_TRUE(pack.ok()) << pack.error().describe();
    EXPECT_EQ(pack->files, files);
    EXPECT_EQ(pack->folder, folder);
  }
}

TEST(PackArchive, TakesWhatTarWritesInItsManyWays) {
  Item top{.path = "tea/pack.yaml", .bytes = "p"};
  EXPECT_EQ(told({top}), "tea: pack.yaml=p");
  EXPECT_EQ(told({{.path = "./", .type = '5'}, {.path = "./pack.yaml", .bytes = "p"}}),
            ": pack.yaml=p");
  EXPECT_EQ(told({{.path = "pax_global_header", .type = 'g', .bytes = "12 comment=\n"},
                  {.path = "tea/", .type = '5'},
                  top}),
            "tea: pack.yaml=p");
  EXPECT_EQ(told({top, {.path = "p", .type = 'x', .bytes = "14 path=tea/b\n"}, {.path = "c"}}),
            "tea: b= pack.yaml=p");
  EXPECT_EQ(told({top, {.path = "l", .type = 'L', .bytes = std::string("tea/d\0", 6)}, {}}),
            "tea: d= pack.yaml=p");
  EXPECT_EQ(told({top, {.path = "tea/.git/HEAD"}, {.path = "tea/__pycache__/x"}}),
            "tea: pack.yaml=p");
}

TEST(PackArchive, CountsALinkAsTheFileThatItLeadsTo) {
  Item a{.path = "tea/actions/a", .bytes = "x"};
  auto link = [](std::string path, std::string to, char type = '2') {
    return Item{.path = std::move(path), .type = type, .target = std::move(to)};
  };
  EXPECT_EQ(told({kPackYaml, link("tea/b", "actions/a"), a, link("tea/actions/c", "../b"),
                  link("tea/d", "tea/actions/a", '1')}),
            "tea: actions/a=x actions/c=x b=x d=x pack.yaml=ref: tea\n");
  for (const char* out : {"../../../etc/passwd", "/etc/passwd"}) {
    EXPECT_EQ(told({kPackYaml, link("tea/b", out)}),
              "PCK-0008 tea/b: is a link that leads out of the pack");
  }
  EXPECT_EQ(told({kPackYaml, link("tea/b", "../other")}),
            "PCK-0008 tea/b: is a link to 'other', which is no file of the pack");
  EXPECT_EQ(told({kPackYaml, link("tea/b", "c"), link("tea/c", "b")}),
            "PCK-0008 tea/b: is a link to 'tea/c', which is no file of the pack"
            " tea/c: is a link to 'tea/b', which is no file of the pack");
  EXPECT_EQ(told({kPackYaml, link("tea/actions", "."), a}),
            "PCK-0008 tea/actions: is a link to 'tea', which is no file of the pack"
            " tea/actions/a: lies below 'tea/actions', which is no folder");
}

TEST(PackArchive, RefusesWhatNoPackMayHold) {
  auto with = [](Item item) { return told({kPackYaml, std::move(item)}); };
  EXPECT_EQ(with({.path = "tea/../../x"}), "PCK-0008 tea/../../x: there is a '..' in its name");
  EXPECT_EQ(with({.path = "/etc/x"}), "PCK-0008 /etc/x: its name is absolute");
  for (char device : {'3', '4', '6', '8'}) {
    EXPECT_EQ(with({.path = "tea/x", .type = device}),
              "PCK-0008 tea/x: is no file: packs hold files and folders only");
  }
  EXPECT_EQ(told({kPackYaml,
                  {.path = "x", .type = 'x', .bytes = std::string("16 path=tea/b\0c\n", 16)},
                  {.path = "c"}}),
            std::string("PCK-0008 tea/b\0c: there is a NUL in its name", 44));
  EXPECT_EQ(told({kPackYaml, kPackYaml}), "PCK-0008 tea/pack.yaml: stands there twice");
  EXPECT_EQ(told({kPackYaml, {.path = "tea/x"}, {.path = "tea/x/y"}}),
            "PCK-0008 tea/x/y: lies below 'tea/x', which is no folder");
  EXPECT_EQ(with({.path = "tea//./x"}), "tea: pack.yaml=ref: tea\n x=");
}

TEST(PackArchive, HasTheLimitsOfAFolder) {
  FolderLimits limits{.max_files = 2, .max_file_bytes = 10, .max_total_bytes = 20, .max_depth = 2};
  Item x{.path = "tea/x", .bytes = "0123456789"};
  EXPECT_TRUE(told({kPackYaml, x}, limits).starts_with("tea:"));
  EXPECT_EQ(told({kPackYaml, x, {.path = "tea/y"}}, limits),
            "PCK-0009 the archive is larger than 2 files or 20 bytes: 'tea/y' is too much");
  EXPECT_EQ(told({kPackYaml, {.path = "tea/x", .bytes = "0123456789a"}}, limits),
            "PCK-0009 'tea/x' in the archive is larger than 10 bytes");
  limits.max_files = 9;
  Item link{.path = "tea/l", .type = '2', .target = "x"};
  EXPECT_EQ(told({kPackYaml, x, link}, limits).substr(0, 8), "PCK-0009") << "by its target's size";
  EXPECT_EQ(told({kPackYaml, {.path = "tea/a/b/c"}}, limits),
            "PCK-0008 tea/a/b/c: nested deeper than 2 folders");
}

TEST(PackArchive, SaysWhatIsWrongWithTheWhole) {
  auto of = [](std::string_view tar) { return read_tar(tar).error().message(); };
  EXPECT_EQ(of(""), "the archive is no pack: it is cut short");
  EXPECT_EQ(of(std::string(1024, '\0')),
            "the archive is no pack: there is no pack.yaml at its top, or in the one folder there");
  EXPECT_EQ(of(std::string(600, 'x')),
            "the archive is no pack: it is no tar archive, or is damaged");
  auto whole = tar_of({kPackYaml, {.path = "tea/x", .bytes = std::string(900, 'x')}});
  EXPECT_EQ(of(std::string_view(whole).substr(0, 1700)), "the archive is no pack: it is cut short");
  EXPECT_EQ(of(std::string_view(whole).substr(0, 1024)), "the archive is no pack: it is cut short");
  EXPECT_EQ(of(tar_of({{.path = "tea/x", .bytes = "x", .size = "77777777777"}})),
            "the archive is no pack: it is cut short");
  EXPECT_TRUE(told({kPackYaml, {.path = "other/x"}}).starts_with("PCK-0008 the archive"));
}

}  // namespace
}  // namespace millrace::packs
