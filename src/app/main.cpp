// SPDX-License-Identifier: Apache-2.0
#include "services/worker/spawner.h"

int main(int argc, char** argv) {
  // The spawner is this binary again: before anything else, so that it stays small.
  if (millrace::worker::is_spawner_invocation(argc, argv)) {
    return millrace::worker::spawner_main(argc, argv);
  }
  return 2;
}
