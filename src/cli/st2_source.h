// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "base/value.h"

// What a StackStorm installation holds: from its API, or from files that were made of its API.
namespace millrace::cli {

// Each list is as `GET /api/v1/NAME` of StackStorm answers it.
struct Stackstorm {
  ValueList packs;
  ValueList configs;  // {pack, values}
  ValueList keys;
  ValueList rules;
  ValueList aliases;
  ValueList policies;
  ValueList api_keys;
  std::map<std::string, std::string> pack_urls;     // of its index of packs
  std::map<std::string, std::string> pack_folders;  // of packs whose files are here
  std::vector<std::string> unread;                  // what could not be read, and why
};

struct StackstormOptions {
  std::string url;                 // https://HOST; a path that ends with v1 is taken as it is
  std::string token_header;        // X-Auth-Token or St2-Api-Key
  Secret token;                    // empty: none is sent
  std::vector<std::string> users;  // whose keys are asked for besides the token's own
  bool decrypt = false;            // secrets are asked for in clear
  std::string ca_file;
};

// Errors: those of the HTTP client; Forbidden and Unavailable (CLI-0009) in StackStorm's words.
// Lists that one can do without are told in `unread`.
Result<Stackstorm> read_stackstorm(const StackstormOptions& options);

// DIR/keys.json, rules.json, packs.json, configs.json, actionalias.json, policies.json,
// apikeys.json, DIR/configs/PACK.yaml and DIR/packs/PACK: what there is of them. Errors: CLI-0009
// when there is nothing, those of the files.
Result<Stackstorm> read_stackstorm_dump(const std::string& folder);

// Adds the packs whose folders stand in `folder`, as in /opt/stackstorm/packs.
Result<void> find_pack_folders(const std::string& folder, Stackstorm& into);

}  // namespace millrace::cli
