// SPDX-License-Identifier: Apache-2.0
#include <cstring>

#include "app/local_commands.h"
#include "services/worker/spawner.h"

int main(int argc, char** argv) {
  // The spawner is this binary again: before anything else, so that it stays small.
  if (millrace::worker::is_spawner_invocation(argc, argv)) {
    return millrace::worker::spawner_main(argc, argv);
  }
  using namespace millrace::app;
  UpOptions options;
  std::string command = argc > 1 ? argv[1] : "";
  std::vector<std::string> rest;
  for (int i = 2; i < argc; ++i) {
    auto value = [&] { return i + 1 < argc ? argv[++i] : ""; };
    if (!std::strcmp(argv[i], "--data"))
      options.data = value();
    else if (!std::strcmp(argv[i], "--config"))
      options.config_file = value();
    else if (!std::strcmp(argv[i], "--set"))
      options.settings.emplace_back(value());
    else if (!std::strcmp(argv[i], "--packs"))
      options.packs.emplace_back(value());
    else
      rest.emplace_back(argv[i]);
  }
  if (command == "up") return up(options);
  if (command == "doctor") return doctor(options.data);
  if (command == "backup" && rest.size() == 1) return backup(options.data, rest[0]);
  if (command == "config") return config_check(options);
  if (command == "pack" && rest.size() == 2) return pack_check(rest[1]);
  return 2;
}
