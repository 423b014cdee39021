// SPDX-License-Identifier: Apache-2.0
//
// The lease of runs on another machine: the spawner ends them when nobody has spoken for them, and
// whoever should have may be dead, stopped or cut off.
#include <signal.h>

#include "services/worker/spawner_fixture.h"

namespace millrace::worker {
namespace {

using kernel::RunEnd;

using SpawnerLeaseTest = SpawnerTest;

// What does not heed SIGTERM, and has left its group and its parent.
constexpr const char* kStubborn =
    "trap '' TERM; setsid sh -c 'trap \"\" TERM; echo $$ > child; while :; do sleep 1000; done' & "
    "echo $$ > main; while :; do sleep 1000; done";

TEST_P(SpawnerLeaseTest, WhatNobodyRenewsIsKilledWithItsTree) {
  Client client = connect();
  client.send(Lease{monotonic_ms() + 60'000});
  Launch launch = shell(std::string("cd ") + data_.path() + "; " + kStubborn);
  client.send(launch);
  int main = std::atoi(wait_for_line(path("main")).c_str());
  int child = std::atoi(wait_for_line(path("child")).c_str());
  client.send(Lease{monotonic_ms() + 100});
  auto c = client.wait_exited(launch.key);
  EXPECT_EQ(c.end, RunEnd::Lost);
  EXPECT_EQ(c.message, "ended: its agent was cut off from the server for too long");
  EXPECT_FALSE(is_alive(main));
  EXPECT_FALSE(is_alive(child));
}

TEST_P(SpawnerLeaseTest, ItEndsThemAlsoWhenTheWorkerIsGone) {
  Launch launch = shell(std::string("cd ") + data_.path() + "; " + kStubborn);
  int main = 0;
  {
    Client client = connect();
    client.send(Lease{monotonic_ms() + 5'000});
    client.send(launch);
    main = std::atoi(wait_for_line(path("main")).c_str());
  }
  EXPECT_TRUE(eventually([&] { return !is_alive(main); }));
  Client next = connect();
  EXPECT_EQ(next.wait_exited(launch.key).end, RunEnd::Lost);
}

TEST_P(SpawnerLeaseTest, ANewWordLetsThemGoOn) {
  Client client = connect();
  client.send(Lease{monotonic_ms() + 60'000});
  Launch launch = shell("cd " + data_.path() +
                        "; echo > began; while ! [ -e go ]; do sleep 0.01; done; echo done");
  client.send(launch);
  wait_for_line(path("began"));
  client.send(Lease{monotonic_ms() + 1'000});
  client.send(Lease{0});
  Launch other = shell("sleep 1.2");  // longer than the word before the last held
  client.send(other);
  EXPECT_EQ(client.wait_exited(other.key).end, RunEnd::Exited);
  ASSERT_EQ(std::system(("touch " + path("go")).c_str()), 0);
  EXPECT_EQ(client.wait_exited(launch.key).out.bytes, "done\n");
}

// The order was on its way when the word ended: it counts as never heard.
TEST_P(SpawnerLeaseTest, NothingIsStartedWithoutALease) {
  {
    Client client = connect();
    client.send(Lease{monotonic_ms() - 1});
    client.send(shell("cd " + data_.path() + "; echo > began"));
  }
  Client next = connect();
  EXPECT_TRUE(next.hello().runs.empty());
  next.send(Lease{0});
  Launch launch = shell("true");
  next.send(launch);
  next.wait_exited(launch.key);
  EXPECT_NE(access(path("began").c_str(), F_OK), 0);
}

INSTANTIATE_TEST_SUITE_P(Trees, SpawnerLeaseTest, testing::Bool(), [](const auto& info) {
  return info.param ? "WithCgroups" : "WithoutCgroups";
});

}  // namespace
}  // namespace millrace::worker
