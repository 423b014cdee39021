// SPDX-License-Identifier: Apache-2.0
#include "packs/index.h"

#include <algorithm>
#include <cctype>

#include "base/text.h"
#include "packs/readers.h"

namespace millrace::packs {
namespace {

constexpr size_t kMostIndexed = 20'000;
constexpr size_t kLongestText = 1000;

std::string text_in(const Value& entry, std::string_view name) {
  return std::string(entry.string_or(name, "").substr(0, kLongestText));
}

std::string in_lower_case(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return std::tolower(c); });
  return out;
}

}  // namespace

Result<std::vector<IndexedPack>> read_index(const Value& document) {
  const Value& packs = document["packs"];
  if (!packs.is_map()) {
    return Error(ErrorKind::Invalid, "PCK-0024",
                 "the index has no map `packs`: expected the form of StackStorm-Exchange's "
                 "index.json");
  }
  std::vector<IndexedPack> found;
  for (const auto& entry : packs.as_map()) {
    if (found.size() == kMostIndexed) break;
    if (!entry.value.is_map()) continue;
    IndexedPack pack{.ref = text_in(entry.value, "ref"),
                     .version = text_in(entry.value, "version"),
                     .description = text_in(entry.value, "description"),
                     .keywords = {},
                     .repo_url = text_in(entry.value, "repo_url")};
    if (pack.ref.empty()) pack.ref = std::string(entry.name());
    if (!is_pack_ref(pack.ref) || pack.repo_url.empty()) continue;
    if (const Value& words = entry.value["keywords"]; words.is_list()) {
      for (const Value& word : words.as_list()) {
        if (word.is_string()) pack.keywords.emplace_back(word.as_string().substr(0, kLongestText));
      }
    }
    found.push_back(std::move(pack));
  }
  return found;
}

bool matches(const IndexedPack& pack, std::string_view words) {
  std::string all = in_lower_case(pack.ref) + '\n' + in_lower_case(pack.description);
  for (const auto& word : pack.keywords) all += '\n' + in_lower_case(word);
  std::string wanted = in_lower_case(words);
  auto stands = [&](std::string_view word) { return all.find(word) != all.npos; };
  return std::ranges::all_of(split(wanted, ' '), stands);
}

bool is_wanted_pack(std::string_view text) {
  auto equals = text.find('=');
  bool has_ref = equals != text.npos && equals + 1 < text.size();
  return is_pack_ref(text.substr(0, equals)) && (equals == text.npos || has_ref);
}

WantedPack wanted_pack(std::string_view text) {
  auto equals = text.find('=');
  if (equals == text.npos) return {std::string(text), {}};
  return {std::string(text.substr(0, equals)), std::string(text.substr(equals + 1))};
}

}  // namespace millrace::packs
