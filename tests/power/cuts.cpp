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
constexpr std::string_view kUnsynced[] = {"lost", "kept", "in part", "torn", "cut short"};

// Where somebody can look at it.
std::string keep(const std::string& folder) {
  std::string pattern = "/tmp/millrace-power-cut-XXXXXX";
  std::string kept = mkdtemp(pattern.data());
  std::filesystem::copy(folder, kept, std::filesystem::copy_options::recursive);
  return kept;
}

bool syncs(const DiskRecord& record) {
  return record.kind == Kind::Sync || record.kind == Kind::SyncAll;
}

// Behind how many records is something unsynced.
int64_t open_positions(const DiskLog& log) {
  Disk disk(log.root);
  int64_t count = 0;
  for (const auto& record : log.records) {
    disk.apply(record);
    count += disk.unsynced() > 0 ? 1 : 0;
  }
  return count;
}

}  // namespace

Cuts cut_everywhere(const DiskLog& log, const CutOptions& options, const Judge& judge) {
  Cuts cuts;
  Disk disk(log.root);
  Screen screen;
  Image image;
  std::vector<int64_t> marks;
  size_t at = 0;
  auto look = [&](Unsynced unsynced, int64_t nth = 0) {
    if (!cuts.failure.empty()) return;
    uint64_t seed = (options.seed * 1'000'003 + at) * 1'000'003 + static_cast<uint64_t>(nth);
    disk.image(unsynced, seed, image);
    screen.show(image);
    ++cuts.images;
    std::string wrong = judge(screen.path(), marks);
    if (wrong.empty()) return;
    const auto& record = log.records[at];
    cuts.failure = fmt::format(
        "behind record {} of {} ({} {} at {}), the unsynced {}, seed {}: {}\n  its files: {}", at,
        log.records.size(), kKinds[static_cast<size_t>(record.kind)], record.name, record.offset,
        kUnsynced[static_cast<size_t>(unsynced)], options.seed, wrong,
        options.keeps ? keep(screen.path()) : "not kept");
  };
  // What one position has by chance: one of each kind, or its part of all that is wanted.
  int64_t positions = options.images ? open_positions(log) : 0;
  int64_t position = 0;
  auto throw_dice = [&] {
    bool has_several = disk.unsynced() > 1;
    int64_t most = has_several ? 3 : 2;
    if (options.images) most = *options.images * ++position / positions - cuts.images;
    for (int64_t nth = 0; nth < most && cuts.failure.empty(); ++nth) {
      if (nth % 3 == 2 && has_several) {
        look(Unsynced::Subset, nth);
      } else {
        look(nth % 3 == 1 ? Unsynced::Cut : Unsynced::Torn, nth);
      }
    }
  };
  look(Unsynced::Lost);
  for (; at < log.records.size() && cuts.failure.empty(); ++at) {
    const auto& record = log.records[at];
    disk.apply(record);
    bool is_mark = record.kind == Kind::Mark;
    if (is_mark) marks.push_back(record.offset);
    look(is_mark || syncs(record) ? Unsynced::Lost : Unsynced::Kept);
    if (disk.unsynced() > 0) throw_dice();
  }
  return cuts;
}

}  // namespace millrace::power
