// SPDX-License-Identifier: Apache-2.0
// What who writes a pack does with its folder: new, check, test, build. Without a server.
#pragma once

#include <string>
#include <vector>

#include "app/local_commands.h"
#include "base/result.h"
#include "cli/command.h"

namespace millrace::app {

struct PackCheck {
  std::string folder;
  std::vector<std::string> with;  // folders of packs that it names, each one or several
  bool strict = false;            // warnings count as errors
  std::string glibc;              // of the machines that will run it; empty: as here
};
// Everything that is wrong with it, with file and line: 1 when something is.
Result<int> pack_check(const PackCheck& options);

struct PackNew {
  std::string name;
  std::vector<std::string> kinds;  // none: all that has an effect
  std::string into = ".";
};
// Makes the folder of a pack, or adds to the one that is there. Errors: PCK-0019: no such kind or
// name; Conflict, PCK-0020: a file is there.
Result<int> pack_new(const PackNew& options);

struct PackTest {
  UpOptions up;                    // whose store knows the pack that is no folder
  std::string what;                // a folder, or the ref of an installed pack
  std::vector<std::string> names;  // parts of the names of tests; none: all
  std::string python;              // empty: that of its environment, else python3
};
// Its rehearsals and unit tests. 1 when one has failed or there are none.
Result<int> pack_test(const PackTest& options);

// Runs the line `build` of its pack.yaml in the folder; gives its exit code.
Result<int> pack_build(const std::string& folder);

cli::CommandTable pack_author_commands();

}  // namespace millrace::app
