// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <string>
#include <vector>

#include "adapters/blob_s3/blob_s3.h"
#include "async/loop.h"
#include "base/files.h"
#include "base/time.h"
#include "net/http_client.h"

namespace millrace::blob_s3 {

// fake_s3.py in a process of its own, until this is destroyed.
class FakeS3 {
 public:
  explicit FakeS3(std::vector<std::string> arguments = {}) {
    std::array<int, 2> to{};
    std::array<int, 2> from{};
    EXPECT_EQ(pipe2(to.data(), O_CLOEXEC), 0);
    EXPECT_EQ(pipe2(from.data(), O_CLOEXEC), 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, to[0], 0);
    posix_spawn_file_actions_adddup2(&actions, from[1], 1);
    std::string script = MILLRACE_SOURCE_DIR "/tests/contract/fake_s3.py";
    std::string python = "python3";
    std::vector<char*> words = {python.data(), script.data()};
    for (auto& argument : arguments) words.push_back(argument.data());
    words.push_back(nullptr);
    EXPECT_EQ(posix_spawnp(&pid_, "python3", &actions, nullptr, words.data(), environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    input_ = Fd(to[1]);
    close(to[0]);
    close(from[1]);
    Fd output(from[0]);
    char c;
    while (::read(output.get(), &c, 1) == 1 && c != '\n') url_ += c;
    EXPECT_TRUE(url_.starts_with("http")) << "fake_s3.py did not start";
  }
  ~FakeS3() {
    input_ = Fd();
    int status = 0;
    waitpid(pid_, &status, 0);
  }
  FakeS3(const FakeS3&) = delete;

  const std::string& url() const { return url_; }
  // Its answer, as JSON.
  std::string tell(const std::string& what, const std::string& body,
                   const std::string& ca_file = "") {
    async::Loop loop;
    net::HttpClient client({.ca_file = ca_file});
    auto answer = loop.block_on(client.send({.method = body.empty() ? "GET" : "POST",
                                             .url = url_ + "/-/" + what,
                                             .headers = {},
                                             .body = body}));
    EXPECT_TRUE(answer.ok()) << answer.error().describe();
    return answer.ok() ? answer->body : std::string();
  }

  static Keys keys() { return {"AKIAMILLRACE", Secret("a secret/with+signs"), Secret()}; }
  Options options(const std::string& prefix = "") const {
    return {.endpoint = url_,
            .region = "eu-test-1",
            .bucket = "millrace",
            .prefix = prefix,
            .path_style = {},
            .sse = {},
            .ca_file = {},
            .part_bytes = 64 << 10,
            .keys = [] { return Result<Keys>(keys()); },
            .now_ms = unix_ms,
            .first_pause = std::chrono::milliseconds(5)};
  }

 private:
  pid_t pid_ = 0;
  Fd input_;
  std::string url_;
};

}  // namespace millrace::blob_s3
