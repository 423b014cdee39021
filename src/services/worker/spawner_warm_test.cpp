// SPDX-License-Identifier: Apache-2.0
//
// Warm processes, with the real sdk/python: what one call leaves for another.
#include <fmt/format.h>
#include <signal.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/json.h"
#include "services/worker/spawner_fixture.h"

namespace millrace::worker {
namespace {

constexpr const char* kRuntime = MILLRACE_SOURCE_DIR "/sdk/python/src/millrace/runtime.py";

class WarmTest : public SpawnerTest {
 protected:
  WarmTest() {
    std::filesystem::create_directories(path("pack/actions"));
    std::ofstream(path("pack/actions/act.py")) << "from millrace import action\n"
                                                  "kept = {}\n"
                                                  "@action\n"
                                                  "def act(code):\n"
                                                  "    scope = {'kept': kept}\n"
                                                  "    exec(code, scope)\n"
                                                  "    return scope.get('out')\n";
  }

  // Of `key`; `code` is Python, and `out` its result.
  Launch calling(const std::string& key, Reuse reuse, const std::string& code) {
    Launch launch = shell("");
    launch.argv = {"python3", "-u", kRuntime};
    launch.says_result = true;
    launch.parameters = to_json(Value::map({{"action", "demo.act"},
                                            {"pack", "demo"},
                                            {"pack_path", path("pack")},
                                            {"entry_point", "act.py"},
                                            {"parameters", Value::map({{"code", code}})},
                                            {"config", Value::map({})}}));
    launch.warm.reuse = reuse;
    launch.warm.sdk = Sdk::Python;
    launch.warm.key = key;
    launch.warm.env = launch.env;
    return launch;
  }

  kernel::Completion run(Client& client, const Launch& launch) {
    client.send(launch);
    auto done = client.wait_exited(launch.key);
    client.send(Ack{launch.key});
    return done;
  }

  // What `code` has left in `out`.
  Value result(Client& client, const Launch& launch) {
    auto done = run(client, launch);
    EXPECT_EQ(done.end, kernel::RunEnd::Exited) << done.message;
    auto said = parse_json(done.result.bytes);
    EXPECT_TRUE(said.ok()) << done.result.bytes << done.err.bytes;
    return said.ok() ? (*said)["result"] : Value();
  }

  Value result(Client& client, Reuse reuse, const std::string& key, const std::string& code) {
    return result(client, calling(key, reuse, code));
  }
};

constexpr const char* kProcess = "import os; out = os.getpid()";
constexpr const char* kParent = "import os; out = os.getppid()";

TEST_P(WarmTest, CallsOfOneKeyHaveOneProcess) {
  auto client = connect();
  auto first = result(client, Reuse::Process, "a", kProcess);
  EXPECT_EQ(result(client, Reuse::Process, "a", kProcess), first);
  EXPECT_NE(result(client, Reuse::Process, "b", kProcess), first);
  auto parent = result(client, Reuse::Fork, "f", kParent);
  EXPECT_EQ(result(client, Reuse::Fork, "f", kParent), parent);
  EXPECT_NE(result(client, Reuse::Fork, "f", kProcess), parent);
  EXPECT_NE(result(client, Reuse::None, "a", kProcess), first);
}

TEST_P(WarmTest, WhatACallWritesAtItsEndEndsNoProcess) {
  auto client = connect();
  std::string code = "import os; print('x' * 5000); os.write(2, b'y' * 5000); out = os.getpid()";
  auto first = result(client, Reuse::Process, "a", code);
  for (int i = 0; i < 200; ++i) ASSERT_EQ(result(client, Reuse::Process, "a", code), first) << i;
}

TEST_P(WarmTest, ACallHasItsOwnStreamsAndSecrets) {
  auto client = connect();
  for (Reuse reuse : {Reuse::Fork, Reuse::Process}) {
    for (std::string text : {"hush-1", "hush-2"}) {
      auto launch = calling("a", reuse,
                            fmt::format("import os, sys; print('{0}'); os.system('echo {0} >&2'); "
                                        "out = '{0}'",
                                        text));
      launch.secrets = {"hush-1"};
      auto done = run(client, launch);
      std::string seen = text == "hush-1" ? "********" : text;
      EXPECT_EQ(done.out.bytes, seen + "\n");
      EXPECT_EQ(done.err.bytes, seen + "\n");
      EXPECT_NE(done.result.bytes.find("\"" + seen + "\""), std::string::npos) << done.result.bytes;
      EXPECT_EQ(done.exit_code, 0);
    }
  }
}

TEST_P(WarmTest, WhatACallChangesIsAsItWasForTheNext) {
  auto client = connect();
  for (Reuse reuse : {Reuse::Fork, Reuse::Process}) {
    auto launch = calling("a", reuse,
                          "import os, sys\n"
                          "os.environ['LEFT'] = '1'\n"
                          "open(os.environ['TMPDIR'] + '/left', 'w').write('1')\n"
                          "os.chdir('/usr'); sys.path.insert(0, '/left'); os.umask(0)\n"
                          "out = os.environ['OWN']\n");
    launch.env.emplace_back("OWN=mine");
    EXPECT_EQ(result(client, launch), Value("mine"));
    auto look =
        "import os, sys\n"
        "out = [os.environ.get('LEFT'), os.environ.get('OWN'), os.listdir(os.environ['TMPDIR']),\n"
        "       os.getcwd() == os.environ['TMPDIR'], '/left' in sys.path, os.umask(0o077) == 0]\n";
    EXPECT_EQ(to_json(result(client, reuse, "a", look)), "[null,null,[],true,false,false]");
  }
}

// Looks for the canary in all that the process can read. Its end is given backwards, so that what
// searches does not hold what it searches for.
constexpr const char* kSearch = R"(
import os
def is_in(data):
    at = data.find(b'canary-of-')
    while at >= 0:
        if data[at + 10:at + 14][::-1] == b'reyb': return True
        at = data.find(b'canary-of-', at + 1)
    return False
out = []
with open('/proc/self/maps') as maps, open('/proc/self/mem', 'rb', 0) as memory:
    for line in maps.read().splitlines():
        begin, end = (int(each, 16) for each in line.split()[0].split('-'))
        kernels = line.endswith(('[vvar]', '[vsyscall]', '[vvar_vclock]'))
        if line.split()[1][0] != 'r' or kernels: continue
        for at in range(begin, end, 1 << 20):
            try:
                memory.seek(at)
                if is_in(memory.read(min(1 << 20, end - at))): out.append(line)
            except (OSError, ValueError, OverflowError): pass
for name in ('/proc/self/environ', '/proc/self/cmdline', '/proc/self/fd/0'):
    try:
        if is_in(open(name, 'rb').read()): out.append(name)
    except OSError: pass
for number in os.listdir('/proc/self/fd'):
    link = '/proc/self/fd/' + number
    if os.path.lexists(link) and 'canary' in os.readlink(link): out.append(number)
for folder, _, files in os.walk(os.path.dirname(os.path.dirname(os.environ['TMPDIR']))):
    for file in files:
        with open(folder + '/' + file, 'rb') as each:
            if is_in(each.read()): out.append(file)
out += [name for name in os.environ if name == 'CANARY']
)";

// The call knows it by every way that there is, and keeps it where it can.
constexpr const char* kKeep = R"(
import os, subprocess, sys, time
canary = 'canary-of-' + os.environ['CANARY'].rpartition('-')[2]
kept['canary'] = canary; sys.canary = canary
print(canary); print(canary, file=sys.stderr)
open(os.environ['TMPDIR'] + '/canary', 'w').write(canary)
subprocess.Popen(['sleep', '600'], env={'CANARY': canary}, start_new_session=True)
out = canary
)";

TEST_P(WarmTest, TwoTenantsInTurnLeaveEachOtherNothing) {
  auto client = connect();
  for (Reuse reuse : {Reuse::None, Reuse::Fork, Reuse::Process}) {
    for (int turn = 0; turn < 2; ++turn) {
      auto one = calling("tenant 1", reuse, kKeep);
      one.tenant = TenantId(1);
      one.env.emplace_back("CANARY=canary-of-byer");
      one.secrets = {"canary-of-byer"};
      auto kept = run(client, one);
      ASSERT_EQ(kept.exit_code, 0) << kept.err.bytes;
      EXPECT_EQ(kept.out.bytes, "********\n");
      auto two = calling("tenant 2", reuse, kSearch);
      two.tenant = TenantId(2);
      auto found = result(client, two);
      EXPECT_EQ(to_json(found), "[]") << "reuse " << static_cast<int>(reuse);
    }
  }
  // The search finds what is there.
  auto own =
      calling("tenant 3", Reuse::None, std::string("x = 'canary-' + 'of-' + 'byer'\n") + kSearch);
  EXPECT_NE(to_json(result(client, own)), "[]");
}

TEST_P(WarmTest, ChildrenOfACallEndWithIt) {
  auto client = connect();
  for (Reuse reuse : {Reuse::Fork, Reuse::Process}) {
    auto child = result(client, reuse, "a",
                        "import subprocess\n"
                        "out = subprocess.Popen(['sleep', '600'], start_new_session=True).pid\n");
    EXPECT_FALSE(is_alive(static_cast<pid_t>(child.as_int())));
    EXPECT_TRUE(result(client, reuse, "a", kProcess).is_int()) << "there is another process";
  }
}

TEST_P(WarmTest, IsRecycledByAgeAndMemory) {
  auto client = connect();
  auto with = [&](auto change) {
    auto launch = calling("a", Reuse::Process, kProcess);
    change(launch.warm);
    return result(client, launch);
  };
  auto large = [](WarmCall& warm) { warm.memory_bytes = 1 << 20; };
  auto first = with(large);
  auto second = with([](auto&) {});
  EXPECT_NE(first, second) << "it had more memory than it may keep";
  EXPECT_EQ(with([](auto&) {}), second);
  usleep(2'000);
  EXPECT_NE(with([](WarmCall& warm) { warm.age_ms = 1; }), second);
}

TEST_P(WarmTest, IsRecycledByCountCrashTimeoutAndCancel) {
  auto client = connect();
  auto process = [&](const std::string& key) {
    return result(client, Reuse::Process, key, kProcess);
  };
  auto few = calling("few", Reuse::Process, kProcess);
  few.warm.calls = 2;
  auto first = result(client, few);
  auto again = [&] {
    auto launch = calling("few", Reuse::Process, kProcess);
    launch.warm.calls = 2;
    return result(client, launch);
  };
  EXPECT_EQ(again(), first);
  EXPECT_NE(again(), first);

  auto before = process("a");
  auto crash = run(client, calling("a", Reuse::Process, "import os; os._exit(3)"));
  EXPECT_EQ(crash.end, kernel::RunEnd::Exited);
  EXPECT_EQ(crash.exit_code, 3);
  auto after = process("a");
  EXPECT_NE(after, before);

  auto slow = calling("a", Reuse::Process, "import time; time.sleep(600)");
  slow.timeout_ms = 300;
  slow.grace_ms = 200;
  EXPECT_EQ(run(client, slow).end, kernel::RunEnd::TimedOut);
  EXPECT_NE(process("a"), after);

  for (Reuse reuse : {Reuse::Fork, Reuse::Process}) {
    auto canceled = calling("c", reuse, "print('up', flush=True); import time; time.sleep(600)");
    client.send(canceled);
    client.wait_for_output(canceled.key, kernel::Stream::Stdout, 3);
    client.send(Kill{canceled.key});
    EXPECT_EQ(client.wait_exited(canceled.key).end, kernel::RunEnd::Canceled);
    EXPECT_TRUE(result(client, reuse, "c", kProcess).is_int());
  }
}

TEST_P(WarmTest, ThereAreAsManyAsAllowedAndIdleOnesEnd) {
  auto client = connect();
  auto bounded = [&](const std::string& key) {
    auto launch = calling(key, Reuse::Process, kProcess);
    launch.warm.processes = 1;
    launch.warm.idle_ms = 500;
    return static_cast<pid_t>(result(client, launch).as_int());
  };
  pid_t first = bounded("a");
  pid_t second = bounded("b");
  EXPECT_NE(first, second);
  EXPECT_TRUE(eventually([&] { return !is_alive(first); })) << "it made room";
  EXPECT_TRUE(eventually([&] { return !is_alive(second); })) << "it was idle";
}

TEST_P(WarmTest, ALargeOrderRunsCold) {
  auto client = connect();
  auto first = result(client, Reuse::Process, "a", kProcess);
  auto large = std::string(kProcess) + " #" + std::string(200'000, 'x');
  EXPECT_NE(result(client, Reuse::Process, "a", large), first);
}

bool has_node() {
  return std::system(
             "node -e 'const [a, b] = process.versions.node.split(\".\").map(Number); "
             "process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' 2>/dev/null") == 0;
}

TEST_P(WarmTest, NodeServesCallsToo) {
  if (!has_node()) GTEST_SKIP() << "node 20.19 or newer is not here";
  std::ofstream(path("pack/actions/act.mjs"))
      << "export default async ({ word }) => {\n"
         "  console.log(word); console.error('err');\n"
         "  if (word === 'exit') process.exit(4);\n"
         "  if (word === 'slow') await new Promise((done) => setTimeout(done, 600_000));\n"
         "  process.env.LEFT = word;\n"
         "  return { pid: process.pid, own: process.env.OWN, dir: process.cwd() };\n};\n";
  auto node = [&](const std::string& key, const std::string& word) {
    Launch launch = calling(key, Reuse::Process, "");
    launch.argv = {"node", MILLRACE_SOURCE_DIR "/sdk/node"};
    launch.warm.sdk = Sdk::Node;
    launch.env.push_back("OWN=" + word);
    launch.parameters = to_json(Value::map({{"action", "demo.act"},
                                            {"pack", "demo"},
                                            {"pack_path", path("pack")},
                                            {"entry_point", "act.mjs"},
                                            {"parameters", Value::map({{"word", word}})},
                                            {"config", Value::map({})}}));
    return launch;
  };
  auto client = connect();
  auto call = [&](const Launch& launch, const std::string& word) {
    auto done = run(client, launch);
    EXPECT_EQ(done.end, kernel::RunEnd::Exited) << done.message;
    EXPECT_EQ(done.out.bytes, word + "\n");
    EXPECT_EQ(done.err.bytes, "err\n");
    return parse_json(done.result.bytes).value()["result"];
  };
  auto first = call(node("a", "one"), "one"), second = call(node("a", "two"), "two");
  EXPECT_EQ(first["pid"], second["pid"]);
  EXPECT_EQ(second["own"], Value("two"));
  EXPECT_NE(call(node("b", "three"), "three")["pid"], first["pid"]);
  auto gone = run(client, node("a", "exit"));
  EXPECT_EQ(gone.exit_code, 4);
  EXPECT_NE(call(node("a", "four"), "four")["pid"], first["pid"]);
  auto slow = node("a", "slow");
  slow.timeout_ms = 1'000;
  slow.grace_ms = 100;
  EXPECT_EQ(run(client, slow).end, kernel::RunEnd::TimedOut);
}

INSTANTIATE_TEST_SUITE_P(Trees, WarmTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Cgroups" : "Walked"; });

}  // namespace
}  // namespace millrace::worker
