// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/pack.h"
#include "store/sql.h"

namespace millrace::app {

// {data}/packs/PACK/DIGEST, where the staged release lies. NotFound (APP-0011) when it is gone.
Result<std::string> release_folder(const std::string& data, const std::string& pack,
                                   const std::string& digest);

// Reads, checks and stages pack releases. A release lies, read-only, under
// {data}/packs/{ref}/{digest}: what runs is never touched by an edit of its source folder.
// All functions block.
class PackStore {
 public:
  // `sources`: folders that each hold one pack, or folders of such folders.
  PackStore(std::string data, std::vector<std::string> sources)
      : data_(std::move(data)), sources_(std::move(sources)) {}

  // The core pack of this binary and every pack of the sources, checked and staged; or an error
  // with every problem of every pack, and then nothing is staged.
  Result<std::vector<std::shared_ptr<const Pack>>> load() const;

  // Releases that open executions are pinned to and that `current` does not hold. One that cannot
  // be read any more is left out: its executions say so when they would start.
  Result<std::vector<std::shared_ptr<const Pack>>> load_pinned(
      sql::Connection& reader, const std::vector<std::shared_ptr<const Pack>>& current) const;

 private:
  std::string data_;
  std::vector<std::string> sources_;
};

}  // namespace millrace::app
