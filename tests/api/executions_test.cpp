// SPDX-License-Identifier: Apache-2.0
// Running, waiting, output, live streams.
#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <future>
#include <thread>

#include "api_fixture.h"
#include "async/completion.h"
#include "async/scope.h"
#include "base/text.h"
#include "engine/transitions/commands.h"

namespace millrace::api {
namespace {

std::string id_of(const Answer& answer) { return std::string(answer.data().string_or("id", "")); }

TEST_F(ApiTest, APureActionIsFinalInItsAnswer) {
  auto answer = post("/api/v1/executions?wait=10s",
                     R"({"action":"core.echo","parameters":{"message":"hi"}})");
  ASSERT_EQ(answer.status, 201) << answer.text;
  EXPECT_EQ(answer.data()["status"], Value("succeeded"));
  EXPECT_EQ(answer.header("Location"), "/api/v1/executions/" + id_of(answer));
  EXPECT_EQ(get("/api/v1/executions/" + id_of(answer) + "/result").status, 200);
}

TEST_F(ApiTest, WrongParametersAreToldWithTheirPaths) {
  auto answer = post("/api/v1/executions", R"({"action":"core.echo","parameters":{"mesage":1}})");
  EXPECT_EQ(answer.status, 400);
  EXPECT_GT(answer.body["errors"].size(), 0u) << answer.text;
  auto unknown = post("/api/v1/executions", R"({"action":"core.ecko"})");
  EXPECT_EQ(unknown.status, 404);
  EXPECT_NE(unknown.text.find("core.echo"), std::string::npos);
}

TEST_F(ApiTest, WaitAnswersAtTheEndOfTheRun) {
  open_worker();
  auto started = post("/api/v1/executions", R"({"action":"ci.build"})");
  ASSERT_EQ(started.status, 201) << started.text;
  auto running = get("/api/v1/executions/" + id_of(started) + "?wait=50ms");
  EXPECT_FALSE(running.data()["status"] == Value("succeeded"));
  auto order = worker_.next();
  auto end = std::async(std::launch::async, [&] { finish(order, "out\n"); });
  auto done = get("/api/v1/executions/" + id_of(started) + "?wait=20s");
  end.get();
  EXPECT_EQ(done.data()["status"], Value("succeeded")) << done.text;
  EXPECT_EQ(get("/api/v1/executions?open=true").data().size(), 0u);
  EXPECT_EQ(get("/api/v1/executions?status=succeeded&action=ci.build").data().size(), 1u);
}

TEST_F(ApiTest, SecretParametersAreNeverShown) {
  auto started = post("/api/v1/executions",
                      R"({"action":"ci.build","parameters":{"password":"hush","branch":"b"}})");
  ASSERT_EQ(started.status, 201) << started.text;
  EXPECT_EQ(started.text.find("hush"), std::string::npos);
  auto shown = get("/api/v1/executions/" + id_of(started));
  EXPECT_EQ(shown.data()["parameters"]["password"], Value("********"));
  EXPECT_EQ(shown.data()["parameters"]["branch"], Value("b"));
}

TEST_F(ApiTest, AnIdempotencyKeyMakesOneExecution) {
  Lines lines = {{"Content-Type", "application/json"}, {"Idempotency-Key", "k1"}};
  auto run = [&](const std::string& message) {
    return send("POST", "/api/v1/executions",
                R"({"action":"core.echo","parameters":{"message":")" + message + R"("}})", lines);
  };
  auto first = run("a");
  ASSERT_EQ(first.status, 201) << first.text;
  EXPECT_EQ(id_of(run("a")), id_of(first));
  EXPECT_EQ(run("b").status, 422);
  EXPECT_EQ(get("/api/v1/executions").data().size(), 1u);
  lines[1].second = std::string(256, 'k');
  EXPECT_EQ(run("a").status, 400);
}

// Two requests over one loop: the second one while the first one waits for its run.
class RunningRequest : public ApiTest {
 protected:
  struct Asker {
    std::string token, idempotency_key;
  };
  net::ClientRequest request(const Asker& who, const std::string& path, const std::string& body) {
    return {"POST", fmt::format("http://127.0.0.1:{}{}", server_->port(), path),
            Lines{{"Content-Type", "application/json"},
                  {"Idempotency-Key", who.idempotency_key},
                  {"Authorization", "Bearer " + who.token}},
            body};
  }
  std::string token_of(const std::string& identity) {
    return std::string(
        post("/api/v1/tokens", R"({"permissions":["*"],"identity":")" + identity + "\"}")
            .data()
            .string_or("token", ""));
  }
  // How the second one is answered.
  int second_while_first_runs(const Asker& first, const Asker& second) {
    open_worker();
    return loop_.block_on(
        both(request(first, "/api/v1/executions?wait=20s", R"({"action":"ci.build"})"),
             request(second, "/api/v1/executions", R"({"action":"core.noop"})")));
  }

 private:
  static Task<void> send_first(net::HttpClient& client, net::ClientRequest request,
                               async::Completion<int> done) {
    auto response = co_await client.send(std::move(request));
    done.fulfil(response.ok() ? response->status : 0);
  }
  Task<int> both(net::ClientRequest first, net::ClientRequest second) {
    auto executor = co_await async::this_executor();
    async::Completion<int> done(executor);
    net::HttpClient other;
    async::Scope scope(executor);
    async::spawn("first", scope, send_first(*client_, std::move(first), done));
    auto order = co_await pool_.run([this] { return worker_.next(); });
    auto response = co_await other.send(std::move(second));
    auto ended = co_await pool_.run([this, &order] { finish(*order, "x"); });
    EXPECT_TRUE(ended.ok());
    auto status = co_await done.wait(async::Duration(20'000));
    EXPECT_EQ(status.ok() ? *status : 0, 201);
    co_await scope.join();
    co_return response.ok() ? response->status : 0;
  }
};

TEST_F(RunningRequest, MakesItsKeyAConflict) {
  Asker admin{std::string(admin_.reveal()), "k1"};
  EXPECT_EQ(second_while_first_runs(admin, admin), 409);
}

TEST_F(RunningRequest, DoesNotHoldUpWhoseNameAndKeyReadTheSame) {
  EXPECT_EQ(second_while_first_runs({token_of("ada x"), "k1"}, {token_of("ada"), "x k1"}), 201);
}

TEST_F(RunningRequest, DoesNotHoldUpAnotherTenant) {
  Asker first{std::string(admin_.reveal()), "k1"};
  Asker second{std::string(token("*", 0, TenantId{2}).reveal()), "k1"};
  EXPECT_EQ(second_while_first_runs(first, second), 201);
}

TEST_F(ApiTest, OutputIsReadByOffset) {
  open_worker();
  auto id = id_of(post("/api/v1/executions", R"({"action":"ci.build"})"));
  finish(worker_.next(), "h\xC3\xA9llo", std::string("\xFF\xFE", 2));
  auto path = "/api/v1/executions/" + id + "/output";
  auto whole = get(path);
  EXPECT_EQ(whole.data()["data"], Value("h\xC3\xA9llo")) << whole.text;
  EXPECT_EQ(whole.data()["next"], Value(6));
  EXPECT_EQ(whole.data()["complete"], Value(true));
  auto part = get(path + "?from=3&limit=2");
  EXPECT_EQ(part.data()["data"], Value("ll"));
  auto cut = get(path + "?limit=2");
  EXPECT_EQ(cut.data()["data"], Value("h")) << "half a character waits for its rest";
  EXPECT_EQ(cut.data()["next"], Value(1));
  auto err = get(path + "?stream=stderr");
  EXPECT_EQ(err.data()["encoding"], Value("base64"));
  EXPECT_EQ(err.data()["data"], Value("//4="));
  EXPECT_EQ(get(path + "?from=99").data()["data"], Value(""));
  EXPECT_EQ(get("/api/v1/executions/1/output").status, 404);
  EXPECT_EQ(get(path + "?stream=both").code(), "API-0033");
}

// A run that repeats its piece until the follower has shown that it listens; whoever has the piece
// already drops it.
class RepeatingRun {
 public:
  RepeatingRun(engine::Engine& engine, SessionId session, const kernel::WorkOrder& order,
               int64_t offset, std::string bytes)
      : thread_([this, &engine, session, order, offset, bytes] {
          while (!heard_) {
            engine.output(session,
                          {order.tenant, order.key, kernel::Stream::Stdout, offset, bytes});
            std::this_thread::sleep_for(std::chrono::milliseconds(2));
          }
        }) {}
  ~RepeatingRun() { stop(); }
  void stop() {
    heard_ = true;
    if (thread_.joinable()) thread_.join();
  }

 private:
  std::atomic<bool> heard_ = false;
  std::thread thread_;
};

TEST_F(ApiTest, OutputIsFollowedLiveAndCompletedFromTheStore) {
  open_worker();
  auto id = id_of(post("/api/v1/executions", R"({"action":"ci.build"})"));
  auto order = worker_.next();
  RepeatingRun run(*engine_, session_, order, 0, "one\n");
  std::future<void> end;
  auto text = stream("/api/v1/executions/" + id + "/output?follow=true&stream=both",
                     [&](const std::string& got) {
                       if (!end.valid() && got.find("one") != std::string::npos) {
                         end = std::async(std::launch::async, [&] {
                           run.stop();
                           finish(order, "one\ntwo\n", "bad\n");
                         });
                       }
                       return got.find("event: end") != std::string::npos;
                     });
  end.get();
  EXPECT_NE(text.find(R"("from":0,"next":4,"encoding":"utf-8","data":"one\n")"), std::string::npos)
      << text;
  EXPECT_NE(text.find(R"("from":4,"next":8,"encoding":"utf-8","data":"two\n")"), std::string::npos)
      << text;
  EXPECT_NE(text.find(R"("stream":"stderr")"), std::string::npos) << text;
  EXPECT_NE(text.find(R"({"status":"succeeded","size":12,"dropped":0})"), std::string::npos)
      << text;
}

TEST_F(ApiTest, OutputOfAFinishedRunIsFollowedToItsEnd) {
  open_worker();
  auto id = id_of(post("/api/v1/executions", R"({"action":"ci.build"})"));
  finish(worker_.next(), "one\ntwo\n", "bad\n");
  auto until_end = [](const std::string& got) {
    return got.find("event: end") != std::string::npos;
  };
  auto path = "/api/v1/executions/" + id + "/output?follow=true&stream=both";
  auto text = stream(path, until_end);
  EXPECT_NE(text.find(R"("stream":"stdout","attempt":1,"from":0,"next":8,)"), std::string::npos)
      << text;
  EXPECT_NE(text.find("id: 1:8:4"), std::string::npos) << text;
  EXPECT_NE(text.find(R"({"status":"succeeded","size":12,"dropped":0})"), std::string::npos);
  auto resumed = stream(path, until_end, {{"Last-Event-ID", "1:4:4"}});
  EXPECT_NE(resumed.find(R"("data":"two\n")"), std::string::npos) << resumed;
  EXPECT_EQ(resumed.find("bad"), std::string::npos) << resumed;
}

TEST_F(ApiTest, AMissingPieceIsToldAsAGap) {
  open_worker();
  auto id = id_of(post("/api/v1/executions", R"({"action":"ci.build"})"));
  auto order = worker_.next();
  RepeatingRun run(*engine_, session_, order, 10, "late\n");
  auto text = stream("/api/v1/executions/" + id + "/output?follow=true",
                     [](const std::string& got) { return got.find("late") != std::string::npos; });
  run.stop();
  EXPECT_NE(text.find(R"({"stream":"stdout","from":0,"to":10})"), std::string::npos) << text;
  EXPECT_EQ(text.find("late"), text.rfind("late")) << "what was sent is not sent again: " << text;
}

TEST_F(ApiTest, WhoFollowsARunIsToldThatItNeedsADecision) {
  open_worker();
  auto id = id_of(post("/api/v1/executions", R"({"action":"ci.build"})"));
  RepeatingRun run(*engine_, session_, worker_.next(), 0, "one\n");
  auto path = "/api/v1/executions/" + id + "/output?follow=true";
  bool lost = false;
  auto text = stream(path, [&](const std::string& got) {
    if (!lost && got.find("one") != std::string::npos) {
      lost = true;
      open_worker("i2");
    }
    return got.find("event: needs_decision") != std::string::npos;
  });
  run.stop();
  EXPECT_NE(text.find(R"({"attempt":1,"held":"attempt 1 was lost)"), std::string::npos) << text;
  auto again = stream(path, [&](const std::string& got) {
    return got.find("event: needs_decision") != std::string::npos;
  });
  EXPECT_NE(again.find("event: needs_decision"), std::string::npos) << again;
}

TEST_F(ApiTest, AnExecutionIsCancelled) {
  auto id = id_of(post("/api/v1/executions", R"({"action":"ci.build"})"));
  auto cancelled = send("POST", "/api/v1/executions/" + id + "/cancel");
  ASSERT_EQ(cancelled.status, 202) << cancelled.text;
  EXPECT_EQ(get("/api/v1/executions/" + id + "?wait=10s").data()["status"], Value("canceled"));
  EXPECT_EQ(send("POST", "/api/v1/executions/" + id + "/cancel").status, 409);
  EXPECT_EQ(send("POST", "/api/v1/executions/1/cancel").status, 404);
}

TEST_F(ApiTest, OnlyWhatNeedsADecisionIsResolved) {
  auto id = id_of(post("/api/v1/executions", R"({"action":"core.echo"})"));
  auto path = "/api/v1/executions/" + id + "/resolve";
  EXPECT_EQ(post(path, R"({"decision":"retry"})").status, 409);
  EXPECT_EQ(post(path, R"({"decision":"rety"})").status, 400);
}

TEST_F(ApiTest, ARunsTokenWorksOnlyWhileItRuns) {
  open_worker();
  auto id = id_of(post("/api/v1/executions", R"({"action":"ci.build"})"));
  auto order = worker_.next();
  auto run_token =
      run_tokens_.make({order.tenant, order.key.execution, order.key.attempt, order.key.epoch});
  auto lines = bearer(run_token);
  auto identity = send("GET", "/api/v1/identity", "", lines);
  EXPECT_EQ(identity.data()["execution"], Value(id)) << identity.text;
  EXPECT_EQ(send("GET", "/api/v1/rules", "", lines).status, 200);
  EXPECT_EQ(send("GET", "/api/v1/executions", "", lines).status, 403);
  auto older =
      run_tokens_.make({order.tenant, order.key.execution, order.key.attempt, order.key.epoch - 1});
  EXPECT_EQ(send("GET", "/api/v1/rules", "", bearer(older)).code(), "API-0009");
  auto others =
      run_tokens_.make({TenantId{2}, order.key.execution, order.key.attempt, order.key.epoch});
  EXPECT_EQ(send("GET", "/api/v1/rules", "", bearer(others)).code(), "API-0009");
  finish(order, "");
  EXPECT_EQ(send("GET", "/api/v1/rules", "", lines).code(), "API-0009");
}

TEST_F(ApiTest, TheStreamTellsChangesAndResumes) {
  auto run = [&] { post("/api/v1/executions", R"({"action":"core.echo"})"); };
  run();
  auto first = stream("/api/v1/stream?topics=executions&from=0", [](const std::string& got) {
    return got.find("execution.created") != std::string::npos;
  });
  EXPECT_NE(first.find("event: welcome"), std::string::npos) << first;
  EXPECT_EQ(first.find("rule."), std::string::npos);
  auto last = first.rfind("id: ");
  auto id = first.substr(last + 4, first.find('\n', last) - last - 4);

  // A client that comes back gets what came meanwhile, and only that.
  run();
  auto again = stream(
      "/api/v1/stream?topics=execution",
      [](const std::string& got) { return got.find("notification_type") != std::string::npos; },
      {{"Last-Event-ID", id}});
  EXPECT_EQ(again.find("\"sequence\":" + id + ",\"notif"), std::string::npos) << again;
  EXPECT_EQ(get("/api/v1/stream?topics=execusion").code(), "API-0034");
}

TEST_F(ApiTest, AFollowerThatRetentionOvertakesIsToldSo) {
  bool is_overtaken = false;
  auto overtake = [&] {
    // This is the loop's thread: the follower reads nothing more before it returns.
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    for (const char* id : {"1", "2", "3"}) {
      std::promise<bool> stored;
      engine_->submit(engine::command::ingest(
          {.tenant = kDefaultTenant}, {.trigger = "core.webhook", .source = "s", .source_id = id},
          [&](auto done) { stored.set_value(done.ok()); }));
      ASSERT_TRUE(stored.get_future().get());
    }
    auto writer = store_->open_writer();
    ASSERT_TRUE(writer.ok());
    ASSERT_TRUE((*writer)
                    ->run("DELETE FROM change_feed WHERE seq < (SELECT max(seq) FROM change_feed)")
                    .ok());
  };
  auto text = stream("/api/v1/stream?topics=event", [&](const std::string& got) {
    if (!is_overtaken && got.find("event: welcome") != std::string::npos) {
      is_overtaken = true;
      overtake();
    }
    return got.find("event: notification") != std::string::npos;
  });
  auto gap = text.find("event: gap");
  ASSERT_NE(gap, std::string::npos) << text;
  EXPECT_LT(gap, text.find("event: notification")) << text;
}

TEST_F(ApiTest, AStreamFromTheFutureIsToldSo) {
  auto text = stream("/api/v1/stream?from=999999", [](const std::string& got) {
    return got.find("welcome") != std::string::npos;
  });
  EXPECT_NE(text.find("event: gap"), std::string::npos) << text;
}

}  // namespace
}  // namespace millrace::api
