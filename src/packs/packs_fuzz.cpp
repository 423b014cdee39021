// SPDX-License-Identifier: Apache-2.0
// Reads arbitrary bytes as every kind of YAML file of a pack.
#include <cstddef>
#include <cstdint>
#include <string>

#include "packs/load.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace millrace;
  std::string bytes(reinterpret_cast<const char*>(data), size);
  packs::PackFiles files = {{"pack.yaml", "ref: f\nversion: 1\n"}};
  for (const char* path : {"runtimes/f.yaml", "triggers/f.yaml", "sensors/f.yaml", "actions/f.yaml",
                           "rules/f.yaml", "config.schema.yaml"}) {
    files[path] = bytes;
  }
  static expr::Engine engine;
  packs::check(files, engine);
  packs::check({{"pack.yaml", bytes}}, engine);
  return 0;
}
