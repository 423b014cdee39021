// SPDX-License-Identifier: Apache-2.0
//
// Who is let in at the spawner's socket, and what becomes of a spawner that nobody can reach.
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <filesystem>

#include "services/worker/run_folder.h"
#include "services/worker/spawner_door.h"
#include "services/worker/spawner_fixture.h"

namespace millrace::worker {
namespace {

// A peer that says what it likes.
class Stranger {
 public:
  explicit Stranger(const std::string& data) {
    auto run = open_run_folder(data);
    if (!run.ok()) return;
    fd_ = Fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address = socket_address(run->get());
    is_there_ = connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  bool is_there() const { return is_there_; }
  void say(std::string_view bytes) { send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL); }
  // What comes until the spawner hangs up, or until `wanted` bytes are there.
  std::string hear(size_t wanted = 1 << 20) {
    std::string heard;
    pollfd wait{fd_.get(), POLLIN, 0};
    while (heard.size() < wanted && poll(&wait, 1, 20'000) == 1) {
      char bytes[4096];
      ssize_t n = recv(fd_.get(), bytes, sizeof bytes, 0);
      if (n <= 0) return heard;
      heard.append(bytes, static_cast<size_t>(n));
    }
    return heard.size() < wanted ? "it hung for 20 s" : heard;
  }

 private:
  Fd fd_;
  bool is_there_ = false;
};

std::string proof_of(const std::string& secret) {
  std::string frame;
  encode(frame, Proof{secret});
  return frame;
}

using SpawnerDoorTest = SpawnerTest;

TEST_P(SpawnerDoorTest, TheSecretIsForItsOwnerOnlyAndNewForEachSpawner) {
  std::string first;
  {
    Client client = connect();
    first = read_data_file("run/spawner.secret");
    EXPECT_EQ(first.size(), kSecretBytes);
    struct stat info{};
    ASSERT_EQ(stat(path("run/spawner.secret").c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600U);
    kill(static_cast<pid_t>(client.hello().pid), SIGKILL);
    EXPECT_TRUE(client.wait_closed());
  }
  Client next = connect();
  EXPECT_NE(read_data_file("run/spawner.secret"), first);
}

TEST_P(SpawnerDoorTest, WhoHasNoSecretHearsNothingAndIsSentAway) {
  Launch launch = shell("while ! [ -e go ]; do sleep 0.01; done; echo mine");
  launch.cwd = data_.path();
  {
    Client client = connect();
    client.send(launch);
    std::string secret = read_data_file("run/spawner.secret");
    std::string kill_frame, goodbye, changed = secret;
    encode(kill_frame, Kill{launch.key});
    encode(goodbye, Goodbye{});
    changed.back() ^= 1;
    for (const std::string& said :
         {std::string(), std::string("\0", 1), kill_frame, goodbye, proof_of(changed),
          proof_of(std::string(kSecretBytes, '\0')), proof_of("short"), proof_of(""),
          proof_of(secret + "x"), proof_of(secret).substr(0, 20), std::string(1 << 20, 'x'),
          std::string("\xff\xff\xff\xff"), proof_of(changed) + kill_frame}) {
      Stranger stranger(data_.path());
      ASSERT_TRUE(stranger.is_there());
      stranger.say(said);
      EXPECT_EQ(stranger.hear(), "") << said.size() << " bytes said";
    }
  }
  // The same while no server is there: who comes first is not taken for one.
  Stranger stranger(data_.path());
  stranger.say(proof_of(std::string(kSecretBytes, 'x')));
  EXPECT_EQ(stranger.hear(), "");
  Client next = connect();
  ASSERT_EQ(next.hello().runs.size(), 1U) << "the run was ended by a stranger";
  ASSERT_TRUE(replace_file(path("go"), "").ok());
  EXPECT_EQ(next.wait_exited(launch.key).out.bytes, "mine\n");
}

TEST_P(SpawnerDoorTest, TheServerThatIsThereStays) {
  Client client = connect();
  Launch launch = shell("while ! [ -e go ]; do sleep 0.01; done; echo mine");
  launch.cwd = data_.path();
  client.send(launch);
  for (int i = 0; i < 20; ++i) {
    Stranger thief(data_.path());
    ASSERT_TRUE(thief.is_there());
    thief.say(proof_of(read_data_file("run/spawner.secret")));
    EXPECT_EQ(thief.hear(), "") << "a second connection was let in";
  }
  ASSERT_TRUE(replace_file(path("go"), "").ok());
  EXPECT_EQ(client.wait_exited(launch.key).out.bytes, "mine\n");
}

TEST_P(SpawnerDoorTest, AProofInPiecesIsOneAndTheNextServerIsLetIn) {
  {
    Client gone = connect();
  }
  Stranger server(data_.path());
  for (char byte : proof_of(read_data_file("run/spawner.secret"))) server.say({&byte, 1});
  EXPECT_FALSE(server.hear(1).empty()) << "no Hello";
}

TEST_P(SpawnerDoorTest, ManyWhoWaitKeepNobodyOut) {
  {
    Client gone = connect();
  }
  std::vector<Stranger> crowd;
  for (int i = 0; i < 60; ++i) crowd.emplace_back(data_.path());
  Client server = connect();
  Launch launch = shell("echo there");
  server.send(launch);
  EXPECT_EQ(server.wait_exited(launch.key).out.bytes, "there\n");
}

TEST_P(SpawnerDoorTest, ASpawnerWhoseRunFolderIsGoneEndsItsRunsAndLeaves) {
  options_.linger_ms = 3'600'000;
  pid_t spawner = 0;
  int run = 0;
  {
    Client client = connect();
    spawner = static_cast<pid_t>(client.hello().pid);
    Launch launch = shell("echo $$ > pid; exec sleep 1000");
    launch.cwd = data_.path();
    client.send(launch);
    run = std::atoi(wait_for_line(path("pid")).c_str());
    std::filesystem::remove_all(path("run"));
  }
  EXPECT_TRUE(eventually([&] { return !is_alive(spawner); })) << "it stays for ever";
  EXPECT_FALSE(is_alive(run));
}

TEST_P(SpawnerDoorTest, ASpawnerWhoseFolderIsAnotherNowLeaves) {
  options_.linger_ms = 3'600'000;
  pid_t spawner = 0;
  {
    Client client = connect();
    spawner = static_cast<pid_t>(client.hello().pid);
    Launch launch = shell("exit 3");
    client.send(launch);
    client.wait_exited(launch.key);  // a result that nobody has acknowledged
    std::filesystem::rename(path("run"), path("away"));
    ASSERT_TRUE(make_folders(path("run"), 0700).ok());
  }
  EXPECT_TRUE(eventually([&] { return !is_alive(spawner); })) << "it stays for ever";
}

INSTANTIATE_TEST_SUITE_P(Trees, SpawnerDoorTest, testing::Bool(), [](const auto& info) {
  return info.param ? "WithCgroups" : "WithoutCgroups";
});

}  // namespace
}  // namespace millrace::worker
