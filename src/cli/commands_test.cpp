// SPDX-License-Identifier: Apache-2.0
// Each command against a server that keeps what it is asked and answers what the test says: what
// is sent, what is printed, the exit code.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <mutex>
#include <thread>

#include "async/loop.h"
#include "base/json.h"
#include "cli/cli.h"
#include "net/http_server.h"

namespace millrace::cli {
namespace {

struct Asked {
  std::string method;
  std::string target;
  std::string body;
  std::string key;       // Idempotency-Key
  std::string revision;  // If-Match
  std::string token;
};

class Commands : public testing::Test {
 protected:
  Commands() {
    auto listening = net::HttpServer::listen(
        loop_.executor(), {},
        {.handle = [this](net::HttpRequest& request) { return answer(request); }});
    if (!listening.ok()) throw std::runtime_error(listening.error().describe());
    server_ = std::move(*listening);
    url_ = fmt::format("http://127.0.0.1:{}", server_->port());
    thread_ = std::thread([this] { loop_.run(); });
    char name[] = "/tmp/millrace-cli-XXXXXX";
    folder_ = mkdtemp(name);
    write("token", "mr_1\n");
  }
  ~Commands() override {
    loop_.stop();
    thread_.join();
    loop_.block_on(server_->stop(async::Duration(100)));
    std::filesystem::remove_all(folder_);
  }

  Task<net::HttpResponse> answer(net::HttpRequest& request) {
    std::lock_guard lock(mutex_);
    asked_.push_back({std::string(request.method), std::string(request.target), request.body,
                      std::string(request.headers.find("Idempotency-Key")),
                      std::string(request.headers.find("If-Match")),
                      std::string(request.headers.find("Authorization"))});
    auto [status, body] =
        answers_.empty() ? std::pair(200, std::string(R"({"data":{}})")) : answers_.front();
    if (!answers_.empty()) answers_.erase(answers_.begin());
    co_return net::HttpResponse::json(status, std::move(body));
  }
  void answers(int status, std::string body) { answers_.emplace_back(status, std::move(body)); }
  void write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ + "/" + name) << text;
  }

  // The exit code; what it printed is in `out_` and `err_`.
  int millrace(std::vector<std::string> words) {
    words.insert(words.end(), {"--url", url_, "--token-file", folder_ + "/token"});
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    int code = run({}, words);
    out_ = testing::internal::GetCapturedStdout();
    err_ = testing::internal::GetCapturedStderr();
    return code;
  }
  const Asked& last() { return asked_.back(); }

  std::string folder_;
  std::string url_;
  std::string out_;
  std::string err_;
  std::mutex mutex_;
  std::vector<Asked> asked_;
  std::vector<std::pair<int, std::string>> answers_;
  async::Loop loop_;
  std::unique_ptr<net::HttpServer> server_;
  std::thread thread_;
};

TEST_F(Commands, AListIsReadPageByPageUpToItsLimit) {
  answers(200, R"({"data":[{"ref":"ci.a","enabled":true}],"next_cursor":"c1"})");
  answers(200, R"({"data":[{"ref":"ci.b","enabled":false}],"next_cursor":null})");
  EXPECT_EQ(millrace({"rule", "list", "--pack", "c i", "--limit", "2"}), 0) << err_;
  ASSERT_EQ(asked_.size(), 2u);
  EXPECT_EQ(asked_[0].method, "GET");
  EXPECT_NE(asked_[0].target.find("/api/v1/rules?pack=c%20i"), std::string::npos);
  EXPECT_NE(asked_[1].target.find("cursor=c1"), std::string::npos);
  EXPECT_EQ(asked_[0].token, "Bearer mr_1");
  EXPECT_NE(out_.find("ci.b"), std::string::npos) << out_;
}

TEST_F(Commands, ALimitEndsTheReading) {
  answers(200, R"({"data":[{"ref":"ci.a"}],"next_cursor":"c1"})");
  EXPECT_EQ(millrace({"pack", "list", "--limit", "1", "-o", "jsonl"}), 0);
  EXPECT_EQ(asked_.size(), 1u);
  EXPECT_EQ(out_, "{\"ref\":\"ci.a\"}\n");
  EXPECT_EQ(millrace({"pack", "list", "--limit", "0"}), 2);
}

TEST_F(Commands, NamesAreEncodedIntoThePath) {
  ASSERT_EQ(millrace({"rule", "show", "a b?"}), 0) << err_;
  EXPECT_EQ(last().target, "/api/v1/rules/a%20b%3F");
}

TEST_F(Commands, ErrorsOfTheServerKeepTheirCodeAndGiveTheExitCode) {
  struct Case {
    int status;
    int code;
  };
  for (auto [status, code] :
       {Case{400, 2}, {401, 4}, {403, 4}, {404, 3}, {409, 1}, {412, 1}, {413, 1}, {500, 1}}) {
    answers(status, R"({"code":"TST-0001","detail":"it is so"})");
    EXPECT_EQ(millrace({"rule", "show", "ci.a"}), code) << status;
    EXPECT_NE(err_.find("TST-0001: "), std::string::npos) << err_;
    EXPECT_NE(err_.find("it is so"), std::string::npos) << err_;
    EXPECT_NE(err_.find("\nhint: "), std::string::npos) << err_;
    EXPECT_EQ(out_, "");
  }
}

TEST_F(Commands, AWriteTakesAKeyAndIsSentAgainWithTheSame) {
  write("rule.json", R"({"ref":"ci.a","trigger":{"ref":"core.webhook"}})");
  answers(503, R"({"code":"API-0003","detail":"outcome unknown"})");
  answers(201, R"({"data":{"ref":"ci.a","revision":1,"enabled":true}})");
  EXPECT_EQ(millrace({"rule", "create", "--file", folder_ + "/rule.json"}), 0) << err_;
  ASSERT_EQ(asked_.size(), 2u);
  EXPECT_FALSE(asked_[0].key.empty());
  EXPECT_EQ(asked_[0].key, asked_[1].key);
  EXPECT_EQ(out_, "rule 'ci.a': revision 1, enabled\n");
}

TEST_F(Commands, ARevisionGoesAlongAsIfMatch) {
  answers(200, R"({"data":{"ref":"ci.a","revision":8,"enabled":false}})");
  EXPECT_EQ(millrace({"rule", "disable", "ci.a", "--revision", "7"}), 0);
  EXPECT_EQ(last().method, "POST");
  EXPECT_EQ(last().target, "/api/v1/rules/ci.a/disable");
  EXPECT_EQ(last().revision, "\"7\"");
  EXPECT_EQ(millrace({"rule", "disable", "ci.a", "--revision", "x"}), 2);
}

TEST_F(Commands, APackIsUninstalledAndWhatBringsItBackIsSaid) {
  answers(200, R"({"data":{"ref":"ci","rules":2,"open_executions":1,"source":"/srv/ci"}})");
  EXPECT_EQ(millrace({"pack", "uninstall", "ci"}), 0) << err_;
  EXPECT_EQ(last().method, "DELETE");
  EXPECT_EQ(last().target, "/api/v1/packs/ci");
  EXPECT_FALSE(last().key.empty());
  EXPECT_EQ(out_,
            "pack 'ci' is uninstalled: 2 rules ended, 1 executions go on\n"
            "/srv/ci still holds it: a start or reload that reads it brings it back\n");
  answers(200, R"({"data":{"ref":"ci","rules":0,"open_executions":0,"source":null}})");
  EXPECT_EQ(millrace({"pack", "uninstall", "ci", "--force", "-o", "json"}), 0);
  EXPECT_EQ(last().target, "/api/v1/packs/ci?force=true");
  EXPECT_EQ((*parse_json(out_))["ref"], Value("ci"));
}

TEST_F(Commands, AKeyIsWrittenFromAFileAndDeleted) {
  EXPECT_EQ(millrace({"key", "delete", "token"}), 0) << err_;
  EXPECT_EQ(last().method, "DELETE");
  EXPECT_EQ(last().target, "/api/v1/keys/system/token");
}

TEST_F(Commands, AVerdictThatDoesNotMatchIsNoSuccess) {
  answers(200, R"({"data":{"rule":"ci.a","matched":false,"criteria":[]}})");
  EXPECT_EQ(millrace({"rule", "test", "ci.a", "--event", "1"}), 1);
  EXPECT_EQ((*parse_json(last().body))["event"], Value("1"));
  answers(200, R"({"data":{"rule":"ci.a","matched":true,"criteria":[]}})");
  EXPECT_EQ(millrace({"rule", "test", "ci.a", "--event", "1"}), 0);
  EXPECT_EQ(millrace({"rule", "test", "ci.a"}), 2) << "neither event nor payload";
  EXPECT_EQ(millrace({"rule", "test", "--event", "1"}), 2) << "neither ref nor file";
}

TEST_F(Commands, ALostExecutionIsResolved) {
  answers(200, R"({"data":{"id":"12","status":"succeeded"}})");
  millrace({"execution", "resolve", "12", "succeed", "--comment", "seen"});
  EXPECT_EQ(last().method, "POST");
  EXPECT_EQ(last().target, "/api/v1/executions/12/resolve");
  auto body = parse_json(last().body);
  EXPECT_EQ((*body)["decision"], Value("succeed"));
  EXPECT_EQ((*body)["comment"], Value("seen"));
}

TEST_F(Commands, AnUnreachableServerHasItsOwnExitCode) {
  testing::internal::CaptureStderr();
  int code = run({}, {"rule", "list", "--url", "http://127.0.0.1:1"});
  auto said = testing::internal::GetCapturedStderr();
  EXPECT_EQ(code, 5) << said;
  EXPECT_NE(said.find("millrace up"), std::string::npos) << said;
}

TEST_F(Commands, WhatIsNoAnswerOfMillraceIsSaid) {
  answers(200, "no JSON");
  EXPECT_EQ(millrace({"rule", "show", "ci.a"}), 1) << "it is no mistake of the command line";
  EXPECT_NE(err_.find("CLI-0004"), std::string::npos) << err_;
}

}  // namespace
}  // namespace millrace::cli
