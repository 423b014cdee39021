// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

#include "base/secret.h"
#include "cli/command.h"

namespace millrace::cli {

struct Target {
  std::string url;  // without a slash at the end
  Secret token;     // empty: none
};

using Environment = std::function<std::string(const char* name)>;  // "" when it is not set
std::string process_environment(const char* name);

// --data, MILLRACE_DATA, or ./millrace-data.
std::string data_folder(const Invocation& in, const Environment& env);

// Where the server is and who asks. The first of these that says so: --url and --token-file,
// --profile, MILLRACE_URL and MILLRACE_TOKEN (unless --data is given), the profile `default`, the
// files `url` and `admin.token` of the data folder.
// Errors: Unavailable (CLI-0002: no server known), those of the files.
Result<Target> find_target(const Invocation& in, const Environment& env);

}  // namespace millrace::cli
