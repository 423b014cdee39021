// SPDX-License-Identifier: Apache-2.0
// What the API asks of whoever puts packs in force.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "async/task.h"
#include "base/fields.h"
#include "base/result.h"
#include "engine/transitions/commands.h"

namespace millrace::api {

struct PackInstall {
  engine::Caller caller;
  std::string archive;  // .tar.gz
  std::string kind;     // what its installer had: "folder", "archive"
  std::string from;     // its path, for people
  bool is_trial = false;
  bool force = false;
};

struct PackRollback {
  engine::Caller caller;
  std::string ref;
  bool is_trial = false;
  bool force = false;
};

// A pack of a git repository: fetched while an operation tells how far it is.
struct PackFetch {
  engine::Caller caller;
  std::string url;
  std::string name;  // in the place of the URL: of a pack in an index
  std::string ref;   // empty: what the repository's HEAD is
  bool is_trial = false;
  bool force = false;
};

// What comes, or would come, of another release of a pack.
struct PackChange {
  std::string ref;
  std::string outcome;  // "installed", "upgraded", "unchanged", "rolled_back"
  bool dry_run = false;
  std::string version;
  std::string digest;
  std::string version_before;
  std::string digest_before;
  int64_t actions = 0;
  int64_t triggers = 0;
  int64_t rules = 0;
  int64_t faults = 0;
  std::vector<std::string> problems;
  std::vector<std::string> waiting;
  std::vector<std::string> added;
  std::vector<std::string> removed;
  std::vector<std::string> changed;
  std::vector<std::string> breaks;
  std::vector<std::string> missing;

  static const Fields& fields();
};

// A pack that can be had, as the indexes of this server tell of it.
struct IndexedPackView {
  std::string ref;
  std::string version;
  std::string installed;
  std::string description;
  std::vector<std::string> keywords;
  std::string repo_url;

  static const Fields& fields();
};

// What came of all folders of packs, read again.
struct PacksReloaded {
  int64_t packs = 0;
  int64_t faults = 0;
  std::vector<std::string> changed;
  std::vector<std::string> problems;

  static const Fields& fields();
};

// Loop thread. Errors: PCK-0004 to PCK-0014, PCK-0023, PCK-0024, API-0003. Empty: packs are not
// changed here.
struct PackDesk {
  std::function<Task<Result<PackChange>>(PackInstall)> install;
  std::function<Task<Result<kernel::OperationRow>>(PackFetch)> fetch;
  std::function<Task<Result<PackChange>>(PackRollback)> roll_back;
  std::function<Task<Result<PacksReloaded>>(engine::Caller)> reload;
  std::function<Task<Result<std::vector<IndexedPackView>>>(std::string words)> search = {};
};

}  // namespace millrace::api
