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

// Where the server is and who asks: options, then the environment, then the profile `default`, then
// the data folder, each for itself:
//
//   server  --url or --profile, --data; MILLRACE_URL; the profile's `url`; the folder's file `url`
//   token   --token-file, or that of --profile or --data; MILLRACE_TOKEN; the profile's
//           `token_file`; the folder's `admin.token`; the last two only for their own server
//
// Errors: CLI-0001 (--url and --profile), Unavailable (CLI-0002: no server known), those of
// the files.
Result<Target> find_target(const Invocation& in, const Environment& env);

}  // namespace millrace::cli
