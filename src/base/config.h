// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "base/fields.h"

// Configuration: one struct per module with a fields() table, gathered in one struct of sections.
// The layers, each over the one before: the struct's defaults, a YAML file, environment entries,
// flags. A secret field `token` may instead come from a file that `token_file` names.
namespace millrace {

struct ConfigSources {
  std::string file;                      // path of a YAML file; "" is none
  std::vector<std::string> environment;  // "NAME=value"; those that start with MILLRACE__ count:
                                         // MILLRACE__API__PORT=8080 is api.port
  std::vector<std::string> flags;        // "api.port=8080"
};

// Fills the struct. Error: Invalid (BAS-0010) with all problems at once; the path of a problem is
// where the value came from (`millrace.yaml:3`, `environment MILLRACE__API__PORT`, `flag
// api.port`). Those of read_file and parse_yaml for the file itself.
Result<void> load_config_into(void* config, const Fields& fields, const ConfigSources& sources);

template <HasFields T>
Result<T> load_config(const ConfigSources& sources) {
  T config{};
  TRY(load_config_into(&config, T::fields(), sources));
  return config;
}

enum class ConfigDocs : uint8_t { Without, With };

// The configuration as YAML that load_config reads again, with secrets redacted. With docs each
// key stands below its text, its unit and its default.
std::string print_config(const void* config, const Fields& fields, ConfigDocs docs);

template <HasFields T>
std::string print_config(const T& config, ConfigDocs docs = ConfigDocs::Without) {
  return print_config(&config, T::fields(), docs);
}

}  // namespace millrace
