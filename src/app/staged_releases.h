// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/result.h"
#include "packs/files.h"

namespace millrace::app {

// {data}/packs/PACK/DIGEST, where a staged release lies.
std::string release_path(std::string_view data, std::string_view pack, std::string_view digest);

// The files of a staged release, held against its digest. NotFound (APP-0011) when the folder is
// gone, Conflict (APP-0012) when what lies there is not what was staged.
Result<packs::PackFiles> read_release(const std::string& data, const std::string& pack,
                                      const std::string& digest);

// Finds the files of staged releases for those who start them, and sees to it that nothing of a
// release has changed since its digest was last checked. The whole release is read once. Then its
// folders are watched (inotify(7)), and a look costs the stat of two places. When something was
// seen to happen there, when it cannot be watched, and after a second (who writes through a map or
// another link is not seen), it costs one fstatat for each of its files and folders: nobody but
// root can change a file and leave its time of change (ctime) as it was.
//
// Not thread-safe.
class StagedReleases {
 public:
  explicit StagedReleases(std::string data) : data_(std::move(data)) {}

  // The absolute path of `file`. Errors are those of read_release.
  Result<std::string> file(const std::string& pack, const std::string& digest,
                           const std::string& file);

  // How often a whole release was read, and how often all that lies there was looked at; for tests.
  int64_t reads() const { return reads_; }
  int64_t sweeps() const { return sweeps_; }

 private:
  struct Seen {
    std::string path;  // below the release's folder; empty: the folder itself
    uint64_t device = 0, inode = 0;
    int64_t size = 0, modified_ns = 0, changed_ns = 0;
    bool is_folder = false;
    bool operator==(const Seen&) const = default;
    bool is_unchanged(const Fd& folder) const;
  };
  using Looks = std::vector<Seen>;  // by path
  struct Release {
    Looks looks;
    std::vector<int> watches;  // empty: it cannot be watched
    int64_t looked_ms = 0;     // monotonic; 0: not since it is watched, or since something happened
  };

  static Result<Looks> look_at(const std::string& folder);
  static bool is_unchanged(const std::string& folder, const Looks& looks);
  static bool is_settled(const Looks& looks);
  bool is_as_seen(const std::string& folder, Release& release, const std::string& file);
  std::vector<int> watch(const std::string& folder, const Looks& looks);
  void unwatch(const std::vector<int>& watches);
  void take_notice();

  std::string data_;
  std::map<std::string, Release> checked_;  // by folder
  Fd notices_;                              // inotify
  std::map<int, std::string> watched_;      // the folder of each watch
  int64_t reads_ = 0;
  int64_t sweeps_ = 0;
};

}  // namespace millrace::app
