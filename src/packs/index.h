// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/value.h"

namespace millrace::packs {

// A pack that can be had, as an index tells of it.
struct IndexedPack {
  std::string ref;
  std::string version;
  std::string description;
  std::vector<std::string> keywords;
  std::string repo_url;
  bool operator==(const IndexedPack&) const = default;
};

// Reads an index in the form of StackStorm-Exchange's index.json: {"packs": {REF: {...}}}. Entries
// without a ref or a repo_url are passed over; the first 20,000 count. Error: Invalid, PCK-0024.
Result<std::vector<IndexedPack>> read_index(const Value& document);

// Each word stands in the ref, the description or a keyword; upper and lower case are one.
bool matches(const IndexedPack& pack, std::string_view words);

// What somebody asks for by `NAME` or `NAME=REF`. Nothing of it is a path or a URL.
struct WantedPack {
  std::string name;
  std::string ref;  // a branch, tag or commit; empty: none was given
};
bool is_wanted_pack(std::string_view text);
WantedPack wanted_pack(std::string_view text);

}  // namespace millrace::packs
