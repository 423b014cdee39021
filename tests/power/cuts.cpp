// SPDX-License-Identifier: Apache-2.0
#include "cuts.h"

#include <fmt/format.h>

#include <filesystem>
#include <iterator>

namespace millrace::power {
namespace {

using Unsynced = Disk::Unsynced;
using Kind = DiskRecord::Kind;

constexpr std::string_view kKinds[] = {"write", "truncate", "sync", "syncfs",
                                       "bind",  "unbind",   "mark"};
constexpr std::string_view kUnsynced[] = {"lost", "kept", "in part", "torn"};

// Where somebody can look at it.
std::string keep(const std::string& folder) {
  std::string pattern = "/tmp/millrace-power-cut-XXXXXX";
  std::string kept = mkdtemp(pattern.data());
  std::filesystem::copy(folder, kept, std::filesystem::copy_options::recursive);
  return kept;
}

}  // namespace

Cuts cut_everywhere(const DiskLog& log, const CutOptions& options, const Judge& judge) {
  Cuts cuts;
  Disk disk(log.root);
  Screen screen;
  std::vector<int64_t> marks;
  bool begun = options.from_mark == std::numeric_limits<int64_t>::min();
  size_t at = 0;
  auto look = [&](Unsynced unsynced, int nth = 0) {
    if (!cuts.failure.empty() || cuts.images >= options.most_images) return;
    uint64_t seed = (options.seed * 1'000'003 + at) * 61 + static_cast<uint64_t>(nth);
    screen.show(disk.image(unsynced, seed));
    ++cuts.images;
    std::string wrong = judge(screen.path(), marks);
    if (wrong.empty()) return;
    const auto& record = log.records[at];
    cuts.failure = fmt::format(
        "behind record {} of {} ({} {} at {}), the unsynced {}, acknowledged {}: {}\n  its files: "
        "{}",
        at, log.records.size(), kKinds[static_cast<size_t>(record.kind)], record.name,
        record.offset, kUnsynced[static_cast<size_t>(unsynced)],
        marks.empty() ? "nothing" : std::to_string(marks.back()), wrong,
        options.keeps ? keep(screen.path()) : "not kept");
  };
  look(Unsynced::Lost);
  for (; at < log.records.size() && cuts.failure.empty(); ++at) {
    if (cuts.images >= options.most_images) break;
    const auto& record = log.records[at];
    disk.apply(record);
    bool is_mark = record.kind == Kind::Mark;
    if (is_mark) marks.push_back(record.offset);
    begun |= is_mark && record.offset >= options.from_mark;
    if (!begun) continue;
    bool changes_what_is_synced = record.kind == Kind::Sync || record.kind == Kind::SyncAll;
    if (is_mark || changes_what_is_synced) {
      look(Unsynced::Lost);
    } else {
      look(Unsynced::Kept);
    }
    for (int nth = 0; nth < options.throws; ++nth) {
      if (disk.unsynced() > 0) look(Unsynced::Torn, nth);
      if (disk.unsynced() > 1) look(Unsynced::Subset, nth);
    }
  }
  return cuts;
}

}  // namespace millrace::power
