// SPDX-License-Identifier: Apache-2.0
//
// What only an agent's session has: files and releases on their way, live output behind a slow
// connection, and agents that say what they may not.
#include "agent/release_fetch.h"
#include "work_harness.h"

namespace millrace::engine {
namespace {

class AgentSession : public WorkTest {
 protected:
  SessionId open_far(Agent& agent, std::vector<RunKey> adopted = {}) {
    auto session = open(agent.source, hello("s1", std::move(adopted)), far_);
    EXPECT_TRUE(session.ok()) << session.error().describe();
    settle();
    return session->id;
  }
  WorkOrder start() {
    auto row = run("ci.build");
    EXPECT_TRUE(row.ok());
    return far_.next();
  }
  void spool(Agent& agent, const std::string& ref, std::string_view bytes) {
    auto writer = agent.blobs->create(ref);
    ASSERT_TRUE(writer.ok());
    ASSERT_EQ((*writer)->append(bytes), bytes.size());
    ASSERT_TRUE((*writer)->commit().ok());
  }
  Result<agent::ReleasePiece> read_release(const agent::WantRelease& want) override {
    std::lock_guard lock(archive_mutex_);
    auto size = static_cast<int64_t>(archive_.size());
    asked_from_.push_back(want.offset);
    return agent::ReleasePiece{
        .pack = want.pack,
        .digest = want.digest,
        .offset = want.offset,
        .size = size,
        .bytes = archive_.substr(static_cast<size_t>(want.offset), agent::kPieceBytes)};
  }

  std::mutex archive_mutex_;
  std::string archive_;
  std::vector<int64_t> asked_from_;
};

// Follows the output of one execution, as the API does.
class Follower {
 public:
  Follower(Engine& engine, ExecutionId id) : engine_(engine) {
    number_ = engine_.on_output({kDefaultTenant, id}, [this](const OutputChunk& chunk) {
      std::lock_guard lock(mutex_);
      auto have = static_cast<int64_t>(seen_.size());
      auto end = chunk.offset + static_cast<int64_t>(chunk.bytes.size());
      if (chunk.offset > have) gap_ = true;
      if (chunk.offset <= have && end > have) {
        seen_ += chunk.bytes.substr(static_cast<size_t>(have - chunk.offset));
      }
    });
  }
  ~Follower() { engine_.forget(number_); }
  size_t size() {
    std::lock_guard lock(mutex_);
    return seen_.size();
  }
  std::string seen() {
    std::lock_guard lock(mutex_);
    return seen_;
  }
  bool has_gap() {
    std::lock_guard lock(mutex_);
    return gap_;
  }

 private:
  Engine& engine_;
  int64_t number_ = 0;
  std::mutex mutex_;
  std::string seen_;
  bool gap_ = false;
};

std::string lines(size_t bytes) {
  std::string all;
  while (all.size() < bytes) all += fmt::format("{} of many lines\n", all.size());
  return all;
}

TEST_F(AgentSession, ASlowServerCatchesUpFromTheSpool) {
  Agent& agent = add_agent();
  SessionId session = open_far(agent);
  WorkOrder order = start();
  Follower follower(*engine_, order.key.execution);
  std::string all = lines(3'000'000);
  spool(agent, output_ref(kDefaultTenant, order.key, Stream::Stdout), all);
  agent.pipe.hold_to_server();
  for (size_t at = 0; at < all.size(); at += 60'000) {
    agent.source.output(session, {kDefaultTenant, order.key, Stream::Stdout,
                                  static_cast<int64_t>(at), all.substr(at, 60'000)});
  }
  agent.pipe.let_go();
  EXPECT_TRUE(eventually([&] { return follower.size() == all.size(); }));
  EXPECT_EQ(follower.seen(), all);
  EXPECT_FALSE(follower.has_gap());
}

// The agent's spawner shows the next session the last 64 KiB only.
TEST_F(AgentSession, WhatTheServerMissedWhileTheConnectionWasCutIsSentAgain) {
  Agent& agent = add_agent();
  SessionId session = open_far(agent);
  WorkOrder order = start();
  Follower follower(*engine_, order.key.execution);
  std::string all = lines(900'000);
  spool(agent, output_ref(kDefaultTenant, order.key, Stream::Stdout), all);
  agent.source.output(session,
                      {kDefaultTenant, order.key, Stream::Stdout, 0, all.substr(0, 100'000)});
  EXPECT_TRUE(eventually([&] { return follower.size() == 100'000; }));
  agent.pipe.cut();
  ASSERT_TRUE(far_.hears_that_it_is_over(session));
  agent.pipe.connect();
  SessionId next = open_far(agent, {order.key});
  size_t tail = all.size() - 65'536;
  agent.source.output(next, {kDefaultTenant, order.key, Stream::Stdout, static_cast<int64_t>(tail),
                             all.substr(tail)});
  EXPECT_TRUE(eventually([&] { return follower.size() == all.size(); }));
  EXPECT_EQ(follower.seen(), all);
  EXPECT_FALSE(follower.has_gap());
}

// What lay in the memory of a spawner and was passed over is nowhere: it is said, not waited for.
TEST_F(AgentSession, LiveOutputThatIsNowhereIsLeftOut) {
  Agent& agent = add_agent();
  SessionId session = open_far(agent);
  WorkOrder order = start();
  Follower follower(*engine_, order.key.execution);
  std::vector<int64_t> offsets;
  std::mutex mutex;
  auto number = engine_->on_output({kDefaultTenant, order.key.execution}, [&](const auto& chunk) {
    std::lock_guard lock(mutex);
    offsets.push_back(chunk.offset);
  });
  agent.source.output(session, {kDefaultTenant, order.key, Stream::Stdout, 0, "begin"});
  agent.source.output(session, {kDefaultTenant, order.key, Stream::Stdout, 1'000, "later"});
  EXPECT_TRUE(eventually([&] {
    std::lock_guard lock(mutex);
    return offsets == std::vector<int64_t>{0, 1'000};
  }));
  engine_->forget(number);
}

TEST_F(AgentSession, AFileGoesOnWhereTheConnectionBroke) {
  Agent& agent = add_agent();
  SessionId session = open_far(agent);
  WorkOrder order = start();
  std::string all = lines(2'000'000);
  auto end = ended(order.key, "");
  end.out.blob = output_ref(kDefaultTenant, order.key, Stream::Stdout);
  end.out.size = static_cast<int64_t>(all.size());
  spool(agent, end.out.blob, all);
  agent.pipe.hold_to_agent();  // who hears of no piece sends no other
  agent.source.finished(session, end, [] {});
  EXPECT_TRUE(eventually([&] {
    auto size = blobs_->size(end.out.blob);
    return size.ok() && *size == agent::kPieceBytes;
  }));
  agent.pipe.cut();
  agent.pipe.connect();
  SessionId next = open_far(agent, {order.key});
  EXPECT_EQ(finish(agent.source, next, end), 1);
  EXPECT_EQ(*blobs_->read(end.out.blob, 0, end.out.size + 1), all);
  // The agent keeps nothing of what is durable elsewhere.
  EXPECT_FALSE(agent.blobs->size(end.out.blob).ok());
}

TEST_F(AgentSession, OutputThatTheAgentHasLostIsToldAsLost) {
  Agent& agent = add_agent();
  SessionId session = open_far(agent);
  WorkOrder order = start();
  auto end = ended(order.key, "");
  end.out.blob = output_ref(kDefaultTenant, order.key, Stream::Stdout);
  end.out.size = 500'000;  // and no such file
  EXPECT_EQ(finish(agent.source, session, end), 1);
  auto row = stored(order.key.execution);
  EXPECT_NE(row.result_json.find("the output is lost"), std::string::npos) << row.result_json;
  EXPECT_NE(row.result_json.find("500000"), std::string::npos) << row.result_json;
}

TEST_F(AgentSession, AFileThatIsNoneOfTheRunEndsTheConnection) {
  for (std::string part : {"artifacts/../../../keys.json", "keys.json", "artifacts/", ""}) {
    Agent& agent = add_agent();
    open_far(agent);
    WorkOrder order = start();
    agent.pipe.say(agent::Blob{order.key, part, 0, "x", 1});
    EXPECT_TRUE(eventually([&] { return agent.pipe.was_closed(); })) << part;
    agent.pipe.cut();
    restart();
    far_.forget();
  }
}

TEST_F(AgentSession, AnEndWhoseFilesHaveNotComeEndsTheConnection) {
  Agent& agent = add_agent();
  open_far(agent);
  WorkOrder order = start();
  auto end = ended(order.key, "");
  end.out.blob = output_ref(kDefaultTenant, order.key, Stream::Stdout);
  end.out.size = 70'000;
  agent.pipe.say(agent::Finished{end});
  EXPECT_TRUE(eventually([&] { return agent.pipe.was_closed(); }));
  settle();
  EXPECT_EQ(stored(order.key.execution).status, ExecutionStatus::Running);
}

TEST_F(AgentSession, OfRunsThatItDoesNotHoldNothingIsTaken) {
  open_worker(1);
  auto row = run("ci.build");
  WorkOrder others = worker_.next();
  Follower follower(*engine_, row->id);
  Agent& agent = add_agent();
  open_far(agent);
  agent.pipe.say(agent::Output{others.key, Stream::Stdout, 0, "forged", false});
  agent.pipe.say(agent::Preparing{others.key, "forged"});
  agent.pipe.say(agent::Blob{others.key, "out", 0, "forged", 6});
  agent.pipe.say(agent::Finished{ended(others.key)});
  // Said after it, and heard.
  WorkOrder own = start();
  agent.pipe.say(agent::Preparing{own.key, "its own"});
  EXPECT_TRUE(
      eventually([&] { return stored(own.key.execution).status == ExecutionStatus::Scheduled; }));
  EXPECT_EQ(stored(row->id).status, ExecutionStatus::Running);
  EXPECT_EQ(follower.size(), 0U);
  EXPECT_FALSE(blobs_->size(output_ref(kDefaultTenant, others.key, Stream::Stdout)).ok());
}

TEST_F(AgentSession, TwoAgentsOfOneNameDoNotDriveEachOtherOut) {
  Agent& first = add_agent();
  SessionId session = open_far(first);
  Agent& second = add_agent();
  auto refused = open(second.source, hello("s2"), other_);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), "AGT-0001");
  EXPECT_TRUE(renew(first.source, session).ok());
  first.pipe.cut();
  EXPECT_TRUE(open(second.source, hello("s2"), other_).ok());
}

// What may run once and was given to somebody who is not there would have to be decided by people.
TEST_F(AgentSession, WhoIsNotConnectedIsGivenNothing) {
  Agent& agent = add_agent();
  SessionId session = open_far(agent);
  agent.pipe.cut();
  ASSERT_TRUE(far_.hears_that_it_is_over(session));
  settle();
  auto row = run("ci.build");
  settle();
  EXPECT_EQ(stored(row->id).status, ExecutionStatus::Requested);
  tick(30'500);
  turn();
  tick(10'500);
  turn();
  EXPECT_EQ(stored(row->id).status, ExecutionStatus::Requested);
  agent.pipe.connect();
  open_far(agent);
  EXPECT_EQ(far_.next().key.execution, row->id);
}

TEST_F(AgentSession, AReleaseIsFetchedInPiecesAndGoesOnAfterACut) {
  agent::ReleaseFiles files{{"actions/build.py", std::string(700'000, 'b')},
                            {"pack.yaml", "ref: ci"}};
  archive_ = agent::write_archive(files);
  Agent& agent = add_agent();
  SessionId session = open_far(agent);
  start();  // names release d1
  std::optional<agent::ReleaseFiles> installed;
  std::string folder = folder_ + "/fetch";
  std::filesystem::create_directories(folder);
  agent::ReleaseFetch fetch(
      folder, {.ask = [&](agent::WantRelease want) { return agent.source.want_release(want); },
               .install =
                   [&](const std::string&, const std::string&, const auto& brought) {
                     installed = brought;
                     return Result<void>();
                   }});
  auto pass_on = [&](size_t n) {
    for (size_t i = 0; i < n; ++i) {
      EXPECT_TRUE(eventually([&] {
        std::lock_guard lock(agent.mutex);
        return !agent.pieces.empty();
      }));
      std::unique_lock lock(agent.mutex);
      auto piece = std::move(agent.pieces.front());
      agent.pieces.erase(agent.pieces.begin());
      lock.unlock();
      fetch.came(piece);
    }
  };
  std::optional<Result<void>> first, second;
  fetch.want("ci", "d1", [&](Result<void> how) { first = std::move(how); });
  pass_on(1);
  agent.pipe.cut();
  fetch.give_up();
  ASSERT_TRUE(first && !first->ok());
  ASSERT_TRUE(far_.hears_that_it_is_over(session));
  {
    std::lock_guard lock(agent.mutex);
    agent.pieces.clear();
  }
  agent.pipe.connect();
  open_far(agent);  // the run was never heard of: it is granted again, and names the release
  far_.next();
  fetch.want("ci", "d1", [&](Result<void> how) { second = std::move(how); });
  pass_on(2);
  ASSERT_TRUE(second && second->ok());
  EXPECT_EQ(installed, files);
  std::lock_guard lock(archive_mutex_);
  EXPECT_EQ(std::ranges::count(asked_from_, 0), 1);  // no byte came twice but what was in flight
}

TEST_F(AgentSession, AReleaseThatNoOrderNamesIsNotGiven) {
  archive_ = "secret";
  Agent& agent = add_agent();
  open_far(agent);
  ASSERT_TRUE(agent.source.want_release({"ci", "d1", 0}));
  EXPECT_TRUE(eventually([&] {
    std::lock_guard lock(agent.mutex);
    return !agent.pieces.empty();
  }));
  EXPECT_EQ(agent.pieces[0].bytes, "");
  EXPECT_EQ(agent.pieces[0].error, "no order of this agent names this release");
  // Nor under another pack's name: it would become part of a path.
  start();
  ASSERT_TRUE(agent.source.want_release({"../ci", "d1", 0}));
  EXPECT_TRUE(eventually([&] {
    std::lock_guard lock(agent.mutex);
    return agent.pieces.size() == 2;
  }));
  EXPECT_EQ(agent.pieces[1].bytes, "");
}

TEST(ReleaseArchive, ComesBackAsItWasAndLeadsNowhereElse) {
  agent::ReleaseFiles files{{"a", ""}, {"b/c", std::string("\0x", 2)}};
  EXPECT_EQ(*agent::read_archive(agent::write_archive(files)), files);
  for (const char* path : {"", "/etc/passwd", "../up", "a/../../b", "a//b", "./a"}) {
    EXPECT_FALSE(agent::read_archive(agent::write_archive({{path, "x"}})).ok()) << path;
  }
  std::string whole = agent::write_archive({{"path", "bytes"}});
  for (size_t size = 1; size < whole.size(); ++size) {
    EXPECT_FALSE(agent::read_archive(whole.substr(0, size)).ok()) << size;
  }
  EXPECT_FALSE(agent::read_archive(whole + whole).ok());
}

}  // namespace
}  // namespace millrace::engine
