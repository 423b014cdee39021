// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/transitions/commands.h"
#include "model/pack.h"
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

// Reads, checks and stages pack releases. A release lies, read-only, under
// {data}/packs/{ref}/{digest}: what runs is never touched by an edit of its source folder. What
// lies there is believed only when it has that digest (staged_releases.h).
// All functions block; the store that they read has this binary's schema.
class PackStore {
 public:
  // `sources`: folders that each hold one pack, or folders of such folders.
  PackStore(std::string data, std::vector<std::string> sources)
      : data_(std::move(data)), sources_(std::move(sources)) {}

  // The core pack of this binary and every pack of the sources, checked and staged; and of each
  // pack that the store knows and no source holds any more the release that it had last
  // (`source_gone`). A release that was changed where it is staged is staged anew from its source;
  // without one it counts as gone. Or an error with every problem of every pack, and then nothing
  // is staged.
  Result<Packs> load(sql::Connection& reader) const;

  // The releases that open executions are pinned to and that `current` does not hold.
  Result<PinnedReleases> load_pinned(sql::Connection& reader, const Packs& current) const;

  // Both, as the engine takes them; what is missing is told in the log.
  Result<engine::PackSet> load_all(sql::Store& store) const;

  const std::string& data() const { return data_; }
  // Where a release lies once it is staged.
  std::string folder_of(std::string_view pack, std::string_view digest) const;

 private:
  std::string data_;
  std::vector<std::string> sources_;
};

// One line of the log for each, with what to do.
void log_missing(const std::vector<MissingRelease>& missing);

}  // namespace millrace::app
