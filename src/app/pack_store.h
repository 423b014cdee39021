// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "app/config_files.h"
#include "base/result.h"
#include "engine/transitions/commands.h"
#include "model/pack.h"
#include "packs/files.h"
#include "store/sql.h"

namespace millrace::app {

using Packs = std::vector<std::shared_ptr<const Pack>>;

// A release that open executions are pinned to and that cannot be read any more.
struct MissingRelease {
  TenantId tenant;
  std::string pack;
  std::string version;
  std::string digest;
  std::string why;
  int64_t executions = 0;
};

struct PinnedReleases {
  Packs found;
  std::vector<MissingRelease> missing;
};

// A release that somebody puts in force: what an archive holds, or the release before.
struct FreshRelease {
  packs::PackFiles files;
  PackOrigin origin;
  std::string name;  // for a pack that says no ref
  std::string ref;   // as load_all finds it
};

struct FoundPack;

// Reads, checks and stages pack releases. A release lies, read-only, under
// {data}/packs/{ref}/{digest}: what runs is never touched by an edit of its source folder. What
// lies there is believed only when it has that digest (staged_releases.h).
// All functions block; the store that they read has this binary's schema.
class PackStore {
 public:
  // `sources`: folders that each hold one pack, or folders of such folders.
  // `bring`: fetches a release that is not on this machine and stages it; without it such a one
  // counts as gone.
  using Bring = std::function<Result<void>(const std::string& pack, const std::string& digest)>;
  // `configs`: says what packs are configured with; may be null.
  PackStore(std::string data, std::vector<std::string> sources, Bring bring = {},
            ConfigFiles* configs = nullptr)
      : data_(std::move(data)),
        sources_(std::move(sources)),
        bring_(std::move(bring)),
        configs_(configs) {}

  // Why packs are loaded. Of several servers one that starts, or hears that another one has loaded
  // something, keeps to what the store says is in force: its own folder may be an old copy. Only
  // who is asked, or has a release that the store has never seen, puts another one in force.
  enum class Why : uint8_t { Start, Asked, News };

  // The core pack of this binary and every pack of the sources, checked and staged; and of each
  // pack that the store knows and no source holds the release that it had last: as it was
  // installed, or because its folder is gone (`source_gone`). A release that was changed where it
  // is staged is staged anew from its source; without one it counts as gone. What is wrong costs
  // the file that it stands in, or, where there is a release in force without faults, keeps that
  // one; either way it is told, and is among the pack's `faults`. An error: of the store, or of the
  // data folder.
  Result<Packs> load(sql::Connection& reader, Why why = Why::Asked) const;

  // The release of this pack that was in force before; read from where it is staged. Errors:
  // Conflict, PCK-0012: there was none; those of read_release.
  Result<FreshRelease> release_before(sql::Store& store, TenantId tenant, const Pack& now) const;

  // The releases that open executions are pinned to and that `current` does not hold.
  Result<PinnedReleases> load_pinned(sql::Connection& reader, const Packs& current) const;

  // Both, as the engine takes them; what is missing is told in the log, and counted.
  struct Loaded {
    engine::PackSet set;
    size_t gone = 0;  // releases that are in force, or that executions are pinned to
  };
  // `fresh`: comes in the place of the release that its pack has, and is not staged. Errors of it:
  // Mismatch, PCK-0010: it cannot be told what the pack is named; Conflict, PCK-0007, PCK-0011: a
  // pack of the binary or of a folder has its name.
  Result<Loaded> load_all(sql::Store& store, Why why, FreshRelease* fresh = nullptr) const;
  Result<void> stage(const FreshRelease& fresh) const;

  const std::string& data() const { return data_; }
  // Where a release lies once it is staged.
  std::string folder_of(std::string_view pack, std::string_view digest) const;

 private:
  using Releases = std::vector<kernel::PackReleaseRow>;
  Result<Packs> load(sql::Connection& reader, const Releases& known, Why why,
                     FreshRelease* fresh) const;
  FoundPack staged_one(const kernel::PackReleaseRow& release, packs::PackFiles files) const;
  bool hold_back(const Releases& known, const std::vector<std::shared_ptr<Pack>>& packs,
                 std::vector<FoundPack>& found) const;
  Result<bool> is_taken(sql::Connection& reader, const std::string& ref, const std::string& digest,
                        const Releases& known, Why why) const;
  Result<packs::PackFiles> staged(const std::string& pack, const std::string& digest) const;

  std::string data_;
  std::vector<std::string> sources_;
  Bring bring_;
  ConfigFiles* configs_;
};

// One line of the log for each, with what to do.
void log_missing(const std::vector<MissingRelease>& missing);

}  // namespace millrace::app
