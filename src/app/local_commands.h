// SPDX-License-Identifier: Apache-2.0
// The commands that work on this machine's files, without a server's API.
#pragma once

#include <string>
#include <vector>

#include "app/config.h"
#include "base/result.h"

namespace millrace::app {

struct UpOptions {
  std::string data = "./millrace-data";
  std::string config_file;            // empty: none
  std::vector<std::string> settings;  // "server.port=0"
  std::vector<std::string> packs;     // folders, added to packs.folders
};

// The configuration that these options lead to.
Result<Config> read_config(const UpOptions& options);

// Each prints what it has to say and returns an exit code: 0 ok, 1 something is wrong with what was
// examined. An Error: it could not be done.
Result<int> up(const UpOptions& options);
// One of several servers. `roles`: "api,executor"; empty: all. Errors: APP-0036, APP-0037,
// APP-0038.
Result<int> serve(UpOptions options, const std::string& roles);
// The effective configuration, with every key's doc and default; secrets redacted.
Result<int> config_check(const UpOptions& options);
// Checks the promises K1-K9 on the store of a data folder; a running server does not mind. Of the
// configuration it needs the retention: what is gone too early was lost.
Result<int> doctor(const UpOptions& options);

}  // namespace millrace::app
