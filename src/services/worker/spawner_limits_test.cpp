// SPDX-License-Identifier: Apache-2.0
//
// What a run may use, and what of its faults stays its own.
#include <fmt/format.h>
#include <signal.h>

#include <filesystem>

#include "services/worker/spawner_fixture.h"

namespace millrace::worker {
namespace {

using kernel::RunEnd;

using SpawnerLimitsTest = SpawnerTest;

std::string limit_line(pid_t pid, std::string_view name) {
  std::string text = read_small_file(fmt::format("/proc/{}/limits", pid));
  size_t at = text.find(name);
  return at == text.npos ? std::string() : text.substr(at, text.find('\n', at) - at);
}

TEST_P(SpawnerLimitsTest, EachLimitIsThatOfTheConfiguration) {
  Client client = connect();
  Launch launch = shell("for l in n f t d c; do ulimit -S$l; ulimit -H$l; done");
  launch.argv[0] = "/bin/bash";
  launch.limits = {.processes = 0,
                   .memory_bytes = 512 << 20,
                   .open_files = 64,
                   .file_bytes = 1 << 20,
                   .cpu_s = 7,
                   .core_bytes = 0};
  client.send(launch);
  EXPECT_EQ(client.wait_exited(launch.key).out.bytes,
            "64\n64\n1024\n1024\n7\n12\n524288\n524288\n0\n0\n");
}

TEST_P(SpawnerLimitsTest, WithoutLimitsARunHasThoseOfTheServersStart) {
  options_.run_files = 500;
  Client client = connect();
  Launch launch = shell("ulimit -Sn; ulimit -Sf; ulimit -St; ulimit -Sd; ulimit -Sc");
  launch.argv[0] = "/bin/bash";
  client.send(launch);
  EXPECT_EQ(client.wait_exited(launch.key).out.bytes, "500\nunlimited\nunlimited\nunlimited\n0\n");
}

TEST_P(SpawnerLimitsTest, CoreFilesAreTheConfigurations) {
  Client client = connect();
  Launch launch = shell("ulimit -Sc");
  launch.argv[0] = "/bin/bash";
  launch.limits.core_bytes = 4096;
  client.send(launch);
  EXPECT_EQ(client.wait_exited(launch.key).out.bytes, "4\n");  // KiB
  std::string own = limit_line(static_cast<pid_t>(client.hello().pid), "Max core file size");
  EXPECT_NE(own.find(" 0 "), own.npos) << own;
}

TEST_P(SpawnerLimitsTest, TheEndSaysWhichLimitItWas) {
  Client client = connect();
  Launch file = shell("exec head -c 200000 /dev/zero > big");
  file.limits.file_bytes = 100'000;
  Launch cpu = shell("while :; do :; done");
  cpu.limits.cpu_s = 1;
  Launch fork = shell("for i in 1 2 3 4 5 6 7 8 9 10; do sleep 1000 & done; wait; exit 1");
  fork.limits.processes = 5;
  Launch memory = shell("x=$(head -c 60000000 /dev/zero | tr '\\0' x); sleep 1000");
  memory.limits.memory_bytes = 50'000'000;
  for (const Launch& launch : {file, cpu, fork, memory}) client.send(launch);
  auto by_file = client.wait_exited(file.key);
  EXPECT_EQ(by_file.end, RunEnd::Signaled);
  EXPECT_NE(by_file.message.find("worker.limits.file_bytes"), std::string::npos) << by_file.message;
  auto by_cpu = client.wait_exited(cpu.key);
  EXPECT_EQ(by_cpu.end, RunEnd::Signaled);
  EXPECT_NE(by_cpu.message.find("worker.limits.cpu_s"), std::string::npos) << by_cpu.message;
  auto by_fork = client.wait_exited(fork.key);
  EXPECT_TRUE(by_fork.end == RunEnd::Signaled || by_fork.exit_code != 0);
  EXPECT_NE(by_fork.message.find("worker.limits.processes"), std::string::npos) << by_fork.message;
  // RLIMIT_DATA may say no to the shell first; then it ends by itself, and says why.
  auto by_memory = client.wait_exited(memory.key);
  EXPECT_TRUE(by_memory.message.find("worker.limits.memory_bytes") != std::string::npos ||
              by_memory.exit_code != 0)
      << by_memory.message << by_memory.err.bytes;
}

// Each below the limit, together above it.
TEST_P(SpawnerLimitsTest, MemoryIsThatOfTheWholeRun) {
  Client client = connect();
  Launch launch = shell(
      "for i in 1 2 3; do python3 -c 'import time; x = bytearray(30000000); time.sleep(1000)' & "
      "done; wait");
  launch.limits.memory_bytes = 70'000'000;
  client.send(launch);
  auto c = client.wait_exited(launch.key);
  EXPECT_EQ(c.end, RunEnd::Signaled);
  EXPECT_NE(c.message.find("worker.limits.memory_bytes"), std::string::npos) << c.message;
}

TEST_P(SpawnerLimitsTest, AForkBombEndsAndOthersGoOn) {
  Client client = connect();
  // It forks without end, and slowly enough that it stays small where only the spawner counts.
  Launch bomb = shell(
      "f() { sleep 0.2; f & f & }; f; i=0; while [ $i -lt 100 ]; do sleep 0.1; i=$((i+1)); done; "
      "exit 3");
  bomb.limits.processes = 40;
  Launch calm = shell("sleep 2; echo calm");
  client.send(calm);
  client.send(bomb);
  auto c = client.wait_exited(bomb.key);
  EXPECT_NE(c.message.find("worker.limits.processes"), std::string::npos) << c.message;
  EXPECT_EQ(client.wait_exited(calm.key).out.bytes, "calm\n");
}

TEST_P(SpawnerLimitsTest, AnExceptionCostsItsRunOnly) {
  // main_test.cpp: the room for blobs of this test binary throws when it is told to.
  ASSERT_TRUE(replace_file(path("throws"), "").ok());
  Client client = connect();
  Launch calm = shell("while ! [ -e go ]; do sleep 0.01; done; echo calm");
  calm.cwd = data_.path();
  Launch spills = shell("head -c 300000 /dev/zero; sleep 1000");
  Launch spills_at_its_end = shell("head -c 70000 /dev/zero");
  Launch artifacts = shell("echo x > $MILLRACE_ARTIFACTS_DIR/x; echo kept");
  for (const Launch& launch : {calm, spills, spills_at_its_end, artifacts}) client.send(launch);
  for (const Launch* launch : {&spills, &spills_at_its_end}) {
    auto c = client.wait_exited(launch->key);
    EXPECT_EQ(c.end, RunEnd::Lost);
    EXPECT_NE(c.message.find("the test says so"), std::string::npos) << c.message;
  }
  EXPECT_EQ(client.wait_exited(artifacts.key).out.bytes, "kept\n");
  ASSERT_TRUE(replace_file(path("go"), "").ok());
  EXPECT_EQ(client.wait_exited(calm.key).out.bytes, "calm\n");
  Launch after = shell("echo after");
  client.send(after);
  EXPECT_EQ(client.wait_exited(after.key).out.bytes, "after\n");
}

INSTANTIATE_TEST_SUITE_P(Trees, SpawnerLimitsTest, testing::Bool(), [](const auto& info) {
  return info.param ? "WithCgroups" : "WithoutCgroups";
});

}  // namespace
}  // namespace millrace::worker
