// SPDX-License-Identifier: Apache-2.0
#include "app/release_sweep.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/files.h"
#include "base/json.h"
#include "base/log.h"
#include "base/value.h"

namespace millrace::app {

namespace fs = std::filesystem;

namespace {

constexpr size_t kLargestTimesFile = 16 << 20;
constexpr size_t kDigestSize = 64;

bool is_digest(std::string_view name) {
  return name.size() == kDigestSize && name.find_first_not_of("0123456789abcdef") == name.npos;
}

std::vector<fs::path> folders_below(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code ec;
  for (fs::directory_iterator at(folder, ec), end; !ec && at != end; at.increment(ec)) {
    if (at->is_directory(ec) && !at->is_symlink(ec)) found.push_back(at->path());
  }
  std::ranges::sort(found);
  return found;
}

// Its name first: what is half gone must not be taken for a release.
Result<void> remove_release(const fs::path& folder) {
  std::error_code ec;
  fs::path going = folder.string() + ".gone";
  fs::rename(folder, going, ec);
  if (!ec) fs::remove_all(going, ec);
  if (!ec) return {};
  return Error(ErrorKind::Unavailable, "APP-0001",
               fmt::format("{}: {}", folder.string(), ec.message()));
}

// What a server that ended has left half done.
void remove_leftovers(const fs::path& pack) {
  for (const auto& folder : folders_below(pack)) {
    std::error_code ec;
    if (folder.extension() == ".gone") fs::remove_all(folder, ec);
  }
}

// By "PACK/DIGEST": when it was last needed.
Value read_times(const std::string& file) {
  auto text = read_file(file, kLargestTimesFile);
  if (!text.ok()) return Value::map();  // may fail: there is none yet
  auto times = parse_json(*text, kOwnJson);
  return times.ok() && times->is_map() ? *times : Value::map();
}

}  // namespace

Result<std::vector<ReleaseName>> sweep_releases(const std::string& data,
                                                const std::set<ReleaseName>& needed, int64_t now_ms,
                                                int64_t keep_ms) {
  std::string file = data + "/releases.json";
  Value before = read_times(file), times = Value::map();
  std::vector<ReleaseName> gone;
  for (const auto& pack : folders_below(data + "/packs")) {
    remove_leftovers(pack);
    bool has_some = false;
    for (const auto& release : folders_below(pack)) {
      ReleaseName name(pack.filename().string(), release.filename().string());
      if (!is_digest(name.second)) continue;
      auto key = fmt::format("{}/{}", name.first, name.second);
      int64_t last = before.int_or(key, now_ms);  // one that is new here counts from now on
      if (needed.contains(name)) last = now_ms;
      if (!needed.contains(name) && now_ms - last >= keep_ms) {
        TRY(remove_release(release));
        log_info("release.deleted", {{"pack", name.first}, {"digest", name.second}});
        gone.push_back(std::move(name));
        continue;
      }
      has_some = true;
      times.set(key, last);
    }
    bool is_needed = std::ranges::any_of(
        needed, [&](const auto& each) { return each.first == pack.filename().string(); });
    if (has_some || is_needed) continue;
    std::error_code ec;
    fs::remove_all(fs::path(data) / "envs" / pack.filename(), ec);
    fs::remove(pack, ec);  // may fail: something else lies there
  }
  if (times != before) TRY(replace_file(file, to_json(times)));
  return gone;
}

}  // namespace millrace::app
