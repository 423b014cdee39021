// SPDX-License-Identifier: Apache-2.0
//
// The test binary is also its own spawner, as the server is.
#include <gtest/gtest.h>

#include "adapters/blob_fs/blob_fs.h"
#include "services/worker/spawner.h"

int main(int argc, char** argv) {
  using namespace millrace::worker;
  if (is_spawner_invocation(argc, argv)) return spawner_main(argc, argv, millrace::blob_fs::open);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
