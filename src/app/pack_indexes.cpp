// SPDX-License-Identifier: Apache-2.0
#include "app/pack_indexes.h"

#include <fmt/format.h>

#include <algorithm>

#include "async/deadline.h"
#include "base/files.h"
#include "base/json.h"
#include "base/text.h"
#include "base/time.h"

namespace millrace::app {
namespace {

constexpr size_t kLargestIndex = 16 << 20;
constexpr async::Duration kIndexFetchLimit{20'000};
constexpr int64_t kIndexKeptMs = 60'000;

bool is_index_url(std::string_view place) {
  return place.starts_with("http://") || place.starts_with("https://");
}

Error index_not_read(const std::string& place, const Error& why) {
  return Error(ErrorKind::Unavailable, "PCK-0024",
               fmt::format("the index of packs '{}' cannot be read: {}", place, why.message()));
}

}  // namespace

Task<Result<std::string>> PackIndexes::fetch(const std::string& place) {
  net::ClientRequest request{.url = place};
  auto got = co_await async::with_deadline(kIndexFetchLimit, client_.send(std::move(request)));
  if (!got.ok()) co_return std::move(got).error();
  if (got->status == 200) co_return std::move(got->body);
  co_return Error(ErrorKind::Unavailable, "PCK-0024",
                  fmt::format("the server answers {}", got->status));
}

Task<Result<PackIndexes::Packs>> PackIndexes::read(const std::string& place) {
  auto kept = kept_.find(place);
  if (kept != kept_.end() && unix_ms() < kept->second.until_ms) co_return kept->second.packs;
  Result<std::string> text = std::string();
  if (is_index_url(place)) {
    text = co_await fetch(place);
  } else {
    text = co_await pool_.run([&] { return read_file(place, kLargestIndex); });
  }
  if (!text.ok()) co_return index_not_read(place, text.error());
  auto packs = co_await pool_.run([&]() -> Result<Packs> {
    TRY(auto document, parse_json(*text));
    return packs::read_index(document);
  });
  if (!packs.ok()) co_return index_not_read(place, packs.error());
  // A file costs nothing to read again, and may just have been written.
  if (is_index_url(place)) kept_[place] = {*packs, unix_ms() + kIndexKeptMs};
  co_return packs;
}

Task<Result<PackIndexes::Packs>> PackIndexes::search(std::string words) {
  if (places_.empty()) {
    co_return Error(ErrorKind::Conflict, "PCK-0023",
                    "this server knows no index of packs: packs.indexes names them");
  }
  std::map<std::string, packs::IndexedPack> found;
  for (const auto& place : places_) {
    CO_TRY(auto packs, co_await read(place));
    for (auto& pack : packs) {
      if (packs::matches(pack, words)) found.emplace(pack.ref, std::move(pack));
    }
  }
  Packs list;
  for (auto& [ref, pack] : found) list.push_back(std::move(pack));
  co_return list;
}

Task<Result<packs::IndexedPack>> PackIndexes::find(std::string ref) {
  CO_TRY(auto all, co_await search({}));
  auto found = std::ranges::find(all, ref, &packs::IndexedPack::ref);
  if (found != all.end()) co_return std::move(*found);
  std::vector<std::string_view> names;
  for (const auto& pack : all) names.push_back(pack.ref);
  co_return Error(ErrorKind::NotFound, "PCK-0023",
                  fmt::format("no index has a pack '{}'{}", ref, did_you_mean(ref, names)));
}

}  // namespace millrace::app
