// SPDX-License-Identifier: Apache-2.0
#include "services/worker/spawner.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <set>

#include "services/worker/process_walk.h"
#include "services/worker/spawner_fixture.h"

namespace millrace::worker {
namespace {

using kernel::RunEnd;
using kernel::Stream;

INSTANTIATE_TEST_SUITE_P(Trees, SpawnerTest, testing::Values(true, false),
                         [](const auto& info) { return info.param ? "Cgroup" : "Walk"; });

TEST_P(SpawnerTest, ReportsExitCodeAndBothStreams) {
  Client client = connect();
  Launch launch = shell("echo out; echo err >&2; exit 3");
  client.send(launch);
  auto c = client.wait_exited(launch.key);
  EXPECT_EQ(c.end, RunEnd::Exited);
  EXPECT_EQ(c.exit_code, 3);
  EXPECT_EQ(c.out.bytes, "out\n");
  EXPECT_EQ(c.err.bytes, "err\n");
  EXPECT_EQ(c.out.size, 4);
  EXPECT_EQ(c.tenant, kDefaultTenant);
  EXPECT_LE(c.started_ms, c.ended_ms);
}

TEST_P(SpawnerTest, ReportsASignalOfTheRunsOwnMaking) {
  Client client = connect();
  Launch launch = shell("kill -SEGV $$");
  client.send(launch);
  auto c = client.wait_exited(launch.key);
  EXPECT_EQ(c.end, RunEnd::Signaled);
  EXPECT_EQ(c.exit_code, 128 + SIGSEGV);
  EXPECT_EQ(c.message, "killed by signal 11 (SIGSEGV)");
}

TEST_P(SpawnerTest, SaysWhyAProcessCannotStart) {
  Client client = connect();
  std::string script = path("script");
  auto message_for = [&](std::vector<std::string> argv, std::string cwd = {}) {
    Launch launch = shell("");
    launch.argv = std::move(argv);
    launch.cwd = std::move(cwd);
    client.send(launch);
    auto c = client.wait_exited(launch.key);
    EXPECT_EQ(c.end, RunEnd::SpawnFailed);
    return c.message;
  };
  ASSERT_TRUE(replace_file(script, "#!/no/such/interpreter -x\n").ok());
  EXPECT_EQ(message_for({script}),
            fmt::format("cannot run '{}': it is not executable (try chmod +x)", script));
  chmod(script.c_str(), 0755);
  EXPECT_EQ(message_for({script}),
            fmt::format("cannot run '{}': its interpreter '/no/such/interpreter' is not installed",
                        script));
  EXPECT_EQ(message_for({"python9", "x.py"}),
            "cannot run 'python9': no such program in PATH (/usr/local/bin:/usr/bin:/bin)");
  EXPECT_EQ(message_for({"/no/such/file"}), "cannot run '/no/such/file': no such file");
  EXPECT_EQ(message_for({"/bin/true"}, "/no/such/folder"),
            "cannot enter the working folder '/no/such/folder': No such file or directory "
            "(errno 2)");
  EXPECT_EQ(message_for({"/bin/true", std::string(3 << 20, 'x')}),
            "cannot run '/bin/true': arguments and environment are too large");
}

TEST_P(SpawnerTest, GivesACleanProcess) {
  setenv("MUST_NOT_LEAK", "secret", 1);
  int leaky = open("/dev/zero", O_RDONLY);  // not close-on-exec
  Client client = connect();
  Launch launch = shell(
      "ls /proc/$$/fd; echo --; env | sort; echo --; ps -o sid= -p $$; echo $$; ulimit -c; "
      "grep -E 'Sig(Blk|Ign)' /proc/self/status; pwd; umask");
  client.send(launch);
  auto c = client.wait_exited(launch.key);
  close(leaky);
  SCOPED_TRACE(c.out.bytes + c.err.bytes);
  std::string out = c.out.bytes;
  EXPECT_TRUE(out.starts_with("0\n1\n2\n--\n"));
  EXPECT_EQ(out.find("MUST_NOT_LEAK"), std::string::npos);
  std::string slot = path("run/slots/0");
  EXPECT_NE(out.find("TMPDIR=" + slot + "/tmp\n"), std::string::npos);
  EXPECT_NE(out.find("MILLRACE_ARTIFACTS_DIR=" + slot + "/artifacts\n"), std::string::npos);
  EXPECT_NE(out.find("SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n"), std::string::npos);
  EXPECT_TRUE(out.ends_with(slot + "/tmp\n0022\n"));
}

TEST_P(SpawnerTest, EmptiesTheTempFolderBetweenRunsAndKeepsArtifacts) {
  Client client = connect();
  Launch first = shell(
      "mkdir -p d/e && echo x > d/e/f && chmod 000 d && "
      "echo result > $MILLRACE_ARTIFACTS_DIR/report; chmod 500 $TMPDIR");
  client.send(first);
  EXPECT_EQ(client.wait_exited(first.key).exit_code, 0);
  Launch second = shell("ls -A $TMPDIR $MILLRACE_ARTIFACTS_DIR | grep -v : ; echo ok > new");
  client.send(second);
  auto c = client.wait_exited(second.key);
  EXPECT_EQ(c.out.bytes, "\n");
  EXPECT_EQ(c.exit_code, 0) << c.err.bytes;
  EXPECT_EQ(read_data_file(kernel::artifacts_prefix(first.tenant, first.key) + "report"),
            "result\n");
}

TEST_P(SpawnerTest, DeliversParametersOfAnySizeOnStdin) {
  Client client = connect();
  for (size_t size : {0UL, 1UL, 4096UL, 4097UL, 65537UL, 5UL << 20}) {
    Launch launch = shell("md5sum; wc -c < /dev/stdin");
    launch.argv = {"/usr/bin/wc", "-c"};
    launch.parameters = std::string(size, 'p');
    client.send(launch);
    EXPECT_EQ(client.wait_exited(launch.key).out.bytes, fmt::format("{}\n", size));
  }
}

TEST_P(SpawnerTest, DeliversParametersAsAFile) {
  Client client = connect();
  Launch launch = shell("cat $MILLRACE_PARAMETERS_FILE; cat; stat -c %a $MILLRACE_PARAMETERS_FILE");
  launch.delivery = Delivery::File;
  launch.parameters = "{\"a\": 1}";
  client.send(launch);
  EXPECT_EQ(client.wait_exited(launch.key).out.bytes, "{\"a\": 1}600\n");
}

TEST_P(SpawnerTest, StreamsOutputWithOffsetsWhileTheRunGoesOn) {
  Client client = connect();
  // Bytes that are no UTF-8, and a NUL.
  Launch launch = shell("printf 'a\\377\\000b'; read x < go; printf 'cd'");
  launch.cwd = data_.path();
  ASSERT_EQ(mkfifo(path("go").c_str(), 0600), 0);
  client.send(launch);
  client.wait_for_output(launch.key, Stream::Stdout, 4);
  std::string live = client.live(launch.key, Stream::Stdout);
  EXPECT_EQ(live, std::string("a\377\0b", 4));
  Fd go(open(path("go").c_str(), O_WRONLY));
  go.reset();
  auto c = client.wait_exited(launch.key);
  EXPECT_EQ(c.out.bytes, std::string("a\377\0bcd", 6));
}

TEST_P(SpawnerTest, MasksSecretsInBothStreams) {
  Client client = connect();
  Launch launch = shell("printf 'tok'; sleep 0.05; echo en-123; echo token-123 >&2");
  launch.secrets = {"token-123", "no"};
  client.send(launch);
  auto c = client.wait_exited(launch.key);
  EXPECT_EQ(c.out.bytes, "********\n");
  EXPECT_EQ(c.err.bytes, "********\n");
  EXPECT_EQ(client.live(launch.key, Stream::Stdout).find("tok"), std::string::npos);
}

TEST_P(SpawnerTest, SpillsLargeOutputIntoAFile) {
  Client client = connect();
  Launch launch = shell("head -c 300000 /dev/zero | tr '\\0' x; head -c 60000 /dev/zero >&2");
  client.send(launch);
  auto c = client.wait_exited(launch.key);
  EXPECT_EQ(c.out.size, 300000);
  EXPECT_EQ(c.out.bytes, "");
  EXPECT_EQ(read_data_file(c.out.blob), std::string(300000, 'x'));
  EXPECT_EQ(c.err.bytes.size(), 60000U);
  EXPECT_EQ(c.err.blob, "");
}

int64_t resident_kib(pid_t pid) {
  std::string status = read_small_file(fmt::format("/proc/{}/status", pid));
  return std::atoll(status.c_str() + status.find("VmHWM:") + 6);
}

// MILLRACE_TEST_HUGE=1 makes it 10 GiB.
TEST_P(SpawnerTest, CapsHugeOutputInFlatMemoryAndSaysSo) {
  int64_t gib = std::getenv("MILLRACE_TEST_HUGE") ? 10 : 1;
  Client client = connect();
  auto pid = static_cast<pid_t>(client.hello().pid);
  int64_t before = resident_kib(pid);
  Launch launch = shell(fmt::format("head -c {}G /dev/zero", gib));
  launch.timeout_ms = 600'000;
  launch.output_cap = 1 << 20;
  client.send(launch);
  auto c = client.wait_exited(launch.key);
  std::string note = "\n[millrace: output capped at 1048576 bytes, the rest was dropped]\n";
  EXPECT_EQ(c.out.size, (1 << 20) + static_cast<int64_t>(note.size()));
  EXPECT_EQ(c.out.dropped, (gib << 30) - (1 << 20));
  std::string stored = read_data_file(c.out.blob);
  EXPECT_EQ(static_cast<int64_t>(stored.size()), c.out.size);
  EXPECT_TRUE(stored.ends_with(note));
  EXPECT_LT(resident_kib(pid) - before, 16 << 10);
}

TEST_P(SpawnerTest, EndsARunAfterItsTimeout) {
  Client client = connect();
  Launch launch = shell("exec sleep 1000");
  launch.timeout_ms = 50;
  client.send(launch);
  auto c = client.wait_exited(launch.key);
  EXPECT_EQ(c.end, RunEnd::TimedOut);
  EXPECT_EQ(c.message, "ended after its timeout of 50 ms");
  EXPECT_EQ(c.exit_code, 128 + SIGTERM);
}

TEST_P(SpawnerTest, KillsTheWholeTreeAfterTheGrace) {
  Client client = connect();
  // A child in a session of its own, an orphan in another, and all deaf to SIGTERM.
  Launch launch = shell(
      "trap '' TERM; setsid sh -c 'trap \"\" TERM; echo $$ > session; sleep 1000; sleep 1000' & "
      "(setsid sh -c 'trap \"\" TERM; echo $$ > orphan; sleep 1000; sleep 1000' &) ; "
      "while :; do sleep 1; done");
  launch.cwd = data_.path();
  launch.grace_ms = 50;
  client.send(launch);
  int session = std::atoi(wait_for_line(path("session")).c_str());
  int orphan = std::atoi(wait_for_line(path("orphan")).c_str());
  client.send(Kill{launch.key});
  auto c = client.wait_exited(launch.key);
  EXPECT_EQ(c.end, RunEnd::Canceled);
  EXPECT_EQ(c.exit_code, 128 + SIGKILL);
  EXPECT_FALSE(is_alive(session));
  EXPECT_FALSE(is_alive(orphan));
}

TEST_P(SpawnerTest, LetsARunEndItselfAfterSigterm) {
  Client client = connect();
  Launch launch =
      shell("trap 'echo cleaned up; exit 0' TERM; echo > ready; while :; do sleep 0.01; done");
  launch.cwd = data_.path();
  client.send(launch);
  wait_for_line(path("ready"));
  client.send(Kill{launch.key});
  auto c = client.wait_exited(launch.key);
  EXPECT_EQ(c.end, RunEnd::Canceled);
  EXPECT_EQ(c.out.bytes, "cleaned up\n");
}

TEST_P(SpawnerTest, KillsLeftoversOfARunThatEndedByItself) {
  Client client = connect();
  Launch launch = shell(
      "(setsid sh -c 'echo $$ > left; exec sleep 1000' &); "
      "while ! [ -s left ]; do sleep 0.01; done; exit 4");
  launch.cwd = data_.path();
  client.send(launch);
  auto c = client.wait_exited(launch.key);
  EXPECT_EQ(c.end, RunEnd::Exited);
  EXPECT_EQ(c.exit_code, 4);
  EXPECT_FALSE(is_alive(std::atoi(wait_for_line(path("left")).c_str())));
}

TEST_P(SpawnerTest, RunsAgainWhereATreeWasKilled) {
  Client client = connect();
  for (int i = 0; i < 3; ++i) {
    Launch killed = shell("(setsid sleep 1000 &); exit 4");
    client.send(killed);
    EXPECT_EQ(client.wait_exited(killed.key).exit_code, 4);
    Launch next = shell("echo fine");
    client.send(next);
    EXPECT_EQ(client.wait_exited(next.key).out.bytes, "fine\n");
  }
}

TEST_P(SpawnerTest, LeavesOtherRunsAloneWhenOneIsKilled) {
  Client client = connect();
  Launch stays = shell(
      "(setsid sh -c 'echo $$ > mine; exec sleep 1000' &) ; "
      "while ! [ -e go ]; do sleep 0.01; done; kill -0 $(cat mine) && echo there");
  stays.cwd = data_.path();
  client.send(stays);
  wait_for_line(path("mine"));
  Launch goes = shell("(setsid sleep 1000 &); sleep 1000");
  client.send(goes);
  client.send(Kill{goes.key});
  EXPECT_EQ(client.wait_exited(goes.key).end, RunEnd::Canceled);
  ASSERT_TRUE(replace_file(path("go"), "").ok());
  EXPECT_EQ(client.wait_exited(stays.key).out.bytes, "there\n");
}

TEST_P(SpawnerTest, HandsRunsAndResultsToTheNextServer) {
  Launch running = shell("printf before; while ! [ -e go ]; do sleep 0.01; done; printf ' after'");
  running.cwd = data_.path();
  Launch done = shell("echo done");
  Launch ends_alone = shell("while ! [ -e alone ]; do sleep 0.01; done; exit 9");
  ends_alone.cwd = data_.path();
  Hello first_hello;
  {
    Client first = connect();
    first_hello = first.hello();
    first.send(running);
    first.send(ends_alone);
    first.send(done);
    first.wait_for_output(running.key, Stream::Stdout, 6);
    first.wait_exited(done.key);  // never acknowledged
  }
  ASSERT_TRUE(replace_file(path("alone"), "").ok());
  ASSERT_TRUE(eventually([&] {
    return access(path(fmt::format("run/results/{}.1.7", ends_alone.key.execution.value)).c_str(),
                  F_OK) == 0;
  }));
  Client second = connect();
  EXPECT_TRUE(second.hello().same_spawner(first_hello));
  std::set<kernel::RunKey> held;
  for (const auto& run : second.hello().runs) held.insert(run.key);
  EXPECT_EQ(held, (std::set{running.key, done.key, ends_alone.key}));
  EXPECT_EQ(second.wait_exited(done.key).out.bytes, "done\n");
  EXPECT_EQ(second.wait_exited(ends_alone.key).exit_code, 9);
  second.wait_for_output(running.key, Stream::Stdout, 6);
  EXPECT_EQ(second.live(running.key, Stream::Stdout), "before");
  ASSERT_TRUE(replace_file(path("go"), "").ok());
  EXPECT_EQ(second.wait_exited(running.key).out.bytes, "before after");
}

TEST_P(SpawnerTest, ForgetsWhatIsAcknowledged) {
  Launch launch = shell("true");
  {
    Client first = connect();
    first.send(launch);
    first.wait_exited(launch.key);
  }
  {
    Client second = connect();
    second.wait_exited(launch.key);
    second.send(Ack{launch.key});
  }
  Client third = connect();
  EXPECT_TRUE(third.hello().runs.empty());
  EXPECT_NE(
      access(path(fmt::format("run/results/{}.1.7", launch.key.execution.value)).c_str(), F_OK), 0);
}

TEST_P(SpawnerTest, IgnoresALaunchThatItKnows) {
  Client client = connect();
  Launch launch = shell("echo once >> count");
  launch.cwd = data_.path();
  client.send(launch);
  client.send(launch);
  client.wait_exited(launch.key);
  client.send(launch);
  Launch after = shell("true");
  client.send(after);
  client.wait_exited(after.key);
  EXPECT_EQ(read_data_file("count"), "once\n");
}

TEST_P(SpawnerTest, LeavesWhenItsWorkIsDoneAndKeepsUnacknowledgedResults) {
  options_.linger_ms = 0;
  Launch launch = shell("exit 5");
  pid_t first_pid = 0;
  {
    Client first = connect();
    first_pid = static_cast<pid_t>(first.hello().pid);
    first.send(launch);
    first.wait_exited(launch.key);
    first.say_goodbye();
    EXPECT_TRUE(first.wait_closed());
  }
  EXPECT_TRUE(eventually([&] { return !is_alive(first_pid); }));
  Client second = connect();
  EXPECT_NE(second.hello().pid, first_pid);
  EXPECT_EQ(second.wait_exited(launch.key).exit_code, 5);
}

TEST_P(SpawnerTest, ANewSpawnerKillsWhatADeadOneLeft) {
  Client first = connect();
  Launch launch = shell(
      "(setsid sh -c 'echo $$ > orphan; exec sleep 1000' &); echo $$ > main; "
      "exec sleep 1000");
  launch.cwd = data_.path();
  Launch wiped = shell("echo $$ > wiped; exec env -i sleep 1000");
  wiped.cwd = data_.path();
  first.send(launch);
  first.send(wiped);
  std::vector<int> pids;
  for (const char* name : {"orphan", "main", "wiped"}) {
    pids.push_back(std::atoi(wait_for_line(path(name)).c_str()));
    EXPECT_TRUE(is_alive(pids.back()));
  }
  kill(static_cast<pid_t>(first.hello().pid), SIGKILL);
  EXPECT_TRUE(first.wait_closed());
  Client second = connect();
  EXPECT_TRUE(second.hello().runs.empty());
  for (int pid : pids) EXPECT_FALSE(is_alive(pid));
}

TEST_P(SpawnerTest, EndsItsRunsAsLostWhenToldToStop) {
  Client client = connect();
  Launch launch = shell("echo > ready; exec sleep 1000");
  launch.cwd = data_.path();
  client.send(launch);
  wait_for_line(path("ready"));
  kill(static_cast<pid_t>(client.hello().pid), SIGTERM);
  EXPECT_EQ(client.wait_exited(launch.key).end, RunEnd::Lost);
  EXPECT_TRUE(client.wait_closed());
}

TEST_P(SpawnerTest, DropsAConnectionThatBreaksTheProtocol) {
  Launch launch = shell("sleep 1000");
  {
    Client bad = connect();
    bad.send(launch);
    bad.send_raw(std::string("\xff\xff\xff\xff garbage", 12));
    EXPECT_TRUE(bad.wait_closed());
  }
  Client good = connect();
  ASSERT_EQ(good.hello().runs.size(), 1U);
  EXPECT_EQ(good.hello().runs[0].key, launch.key);
}

TEST_P(SpawnerTest, RunsAThousandQuickOnes) {
  Client client = connect();
  std::set<kernel::RunKey> open;
  for (int i = 0; i < 1000; ++i) {
    Launch launch = shell("");
    launch.argv = {"/bin/echo", std::to_string(i)};
    client.send(launch);
    open.insert(launch.key);
    if (open.size() < 16) continue;
    auto c = client.wait_exited();
    EXPECT_EQ(c.exit_code, 0) << c.message;
    EXPECT_EQ(open.erase(c.key), 1U);
    client.send(Ack{c.key});
  }
  while (!open.empty() && !HasFailure()) EXPECT_EQ(open.erase(client.wait_exited().key), 1U);
  std::string fds = fmt::format("/proc/{}/fd", client.hello().pid);
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(fds))
    count += entry.exists() ? 1 : 0;
  EXPECT_LT(count, 150);  // a slot holds seven, sixteen were in use
}

}  // namespace
}  // namespace millrace::worker
