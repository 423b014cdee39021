// SPDX-License-Identifier: Apache-2.0
// What is decided from the head, before a byte of the body came.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <future>
#include <regex>
#include <set>

#include "api_fixture.h"
#include "auth/crypto.h"
#include "auth/signature.h"
#include "base/files.h"
#include "base/text.h"
#include "services/api/admission.h"
#include "services/api/shared.h"

namespace millrace::api {
namespace {

const char* const kHookSecret = "a secret of the hook";

class Borders : public ApiTest {
 protected:
  void SetUp() override {
    ApiTest::SetUp();
    auto hook = [this](std::string_view name, std::string_view scheme, bool signs) {
      auto secrets = signs ? fmt::format(R"(,"secrets":["{}"])", kHookSecret) : "";
      auto made = post("/api/v1/webhook-endpoints",
                       fmt::format(R"({{"name":"{}","scheme":"{}"{}}})", name, scheme, secrets));
      ASSERT_EQ(made.status, 201) << made.text;
    };
    hook("ci", "github", true);
    hook("pay", "stripe", true);
    hook("lab", "gitlab", true);
    hook("own", "token", false);
  }

  // What is answered to these bytes, while the client waits and sends no more.
  std::string answer_to(const std::string& bytes) {
    auto answer = std::async(std::launch::async, [&] { return exchange(bytes); });
    while (answer.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
      loop_.block_on(async::sleep_for(async::Duration(1)));
    }
    return answer.get();
  }
  // To a head that says a body follows.
  std::string answer_to_head(std::string_view method, std::string_view path,
                             const std::string& lines,
                             std::string_view body = "Content-Length: 60000\r\n") {
    return answer_to(
        fmt::format("{} {} HTTP/1.1\r\nHost: h\r\n{}{}\r\n", method, path, body, lines));
  }

 private:
  std::string exchange(const std::string& bytes) const {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in to{
        .sin_family = AF_INET, .sin_port = htons(server_->port()), .sin_addr = {}, .sin_zero = {}};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) return "not connected";
    if (::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) < 0) return "not sent";
    std::string got;
    char buffer[4096];
    while (!got.contains("\r\n\r\n") || got.ends_with("\r\n\r\n")) {
      ssize_t n = recv(fd, buffer, sizeof buffer, 0);
      if (n <= 0) break;
      got.append(buffer, static_cast<size_t>(n));
    }
    close(fd);
    return got;
  }
};

struct Head {
  std::string_view method, path;
  std::string lines;
  std::string_view status, code;
};

TEST_F(Borders, ARequestIsRefusedByItsHead) {
  auto reader = "Authorization: Bearer " + token("rules:read").reveal() + "\r\n";
  auto writer = "Authorization: Bearer " + token("*").reveal() + "\r\n";
  std::string json = "Content-Type: application/json\r\n";
  std::string old = "Stripe-Signature: t=1,v1=00\r\n";
  for (const auto& head : std::initializer_list<Head>{
           {"POST", "/nowhere", "", "404", "API-0006"},
           {"PUT", "/api/v1/executions", "", "405", "API-0007"},
           {"POST", "/api/v1/executions", json, "401", "API-0008"},
           {"POST", "/api/v1/events", "Authorization: Bearer mr_00\r\n", "401", "AUT-0002"},
           {"POST", "/api/v1/executions", json + reader, "403", "API-0011"},
           {"POST", "/api/v1/executions", writer, "415", "API-0012"},
           {"POST", "/api/v1/executions", json + writer + "Content-Encoding: gzip\r\n", "415",
            "API-0061"},
           {"POST", "/api/v1/webhook-endpoints?x=1", json + writer, "400", "API-0017"},
           {"GET", "/api/v1/rules", "", "401", "API-0008"},
           {"POST", "/api/v1/webhooks/nosuch", "", "404", "WHK-0101"},
           {"POST", "/api/v1/tenants/1/webhooks/nosuch", "", "404", "WHK-0101"},
           {"POST", "/api/v1/tenants/99/webhooks/ci", "", "404", "WHK-0101"},
           {"POST", "/api/v1/webhooks/ci", "", "401", "AUT-0010"},
           {"POST", "/api/v1/webhooks/pay", old, "401", "AUT-0012"},
           {"POST", "/api/v1/webhooks/lab", "X-Gitlab-Token: wrong\r\n", "401", "AUT-0011"},
           {"POST", "/api/v1/webhooks/own", "", "401", "API-0008"},
           {"POST", "/api/v1/webhooks/own", reader, "403", "API-0011"},
       }) {
    for (auto body : {"Content-Length: 60000\r\n", "Content-Length: 900000\r\n",
                      "Content-Length: 5\r\nExpect: 100-continue\r\n"}) {
      auto answer = answer_to_head(head.method, head.path, head.lines, body);
      EXPECT_TRUE(answer.starts_with(fmt::format("HTTP/1.1 {} ", head.status)))
          << head.method << " " << head.path << "\n"
          << answer;
      EXPECT_TRUE(answer.contains(head.code)) << answer;
      EXPECT_TRUE(answer.contains("\r\nX-Request-Id: ")) << answer;
      if (head.code == "API-0012")
        continue;  // of chunks it is not known yet whether they are empty
      auto chunked =
          answer_to_head(head.method, head.path, head.lines, "Transfer-Encoding: chunked\r\n");
      EXPECT_TRUE(chunked.contains(head.code)) << chunked;
    }
  }
}

TEST_F(Borders, ABodyThatNoRouteTakesIsSmall) {
  for (auto path : {"/health", "/ready", "/api/docs"}) {
    auto answer = answer_to_head("GET", path, "", "Content-Length: 70000\r\n");
    EXPECT_TRUE(answer.contains("NET-0003") && answer.contains("at most 65536 bytes")) << answer;
  }
}

TEST_F(Borders, NoHeaderThatIsReadStandsTwice) {
  std::set<std::string> names = {"Idempotency-Key", "If-Match",     "traceparent", "X-Request-Id",
                                 "ce-id",           "ce-type",      "Ce-Source",   "Authorization",
                                 "Content-Type",    "Last-Event-ID"};
  for (const auto& scheme : auth::signature_schemes()) {
    names.emplace(scheme.signature_header);
    if (!scheme.timestamp_header.empty()) names.emplace(scheme.timestamp_header);
    if (!scheme.id_header.empty()) names.emplace(scheme.id_header);
    names.insert(scheme.event_headers.begin(), scheme.event_headers.end());
  }
  for (const auto& name : names) {
    for (auto [a, b] : {std::pair("x", "y"), std::pair("x", "x"), std::pair("", "x")}) {
      auto twice = fmt::format("{0}: {1}\r\n{0}: {2}\r\n", name, a, b);
      auto answer = answer_to("GET /health HTTP/1.1\r\nHost: h\r\n" + twice + "\r\n");
      EXPECT_TRUE(answer.starts_with("HTTP/1.1 400 ")) << name << "\n" << answer;
      EXPECT_TRUE(answer_to_head("POST", "/api/v1/webhooks/ci", twice).starts_with("HTTP/1.1 400 "))
          << name;
    }
  }
  auto others = answer_to(
      "GET /health HTTP/1.1\r\nHost: h\r\nX-Own: 1\r\nX-Own: 2\r\nAccept: a\r\n"
      "Accept: b\r\n\r\n");
  EXPECT_TRUE(others.starts_with("HTTP/1.1 200 ")) << others;
}

TEST(RefusalLog, TakesSoManyLinesASecond) {
  RefusalLog log;
  int taken = 0;
  for (int i = 0; i < 1000; ++i) taken += log.takes_line(5'000) ? 1 : 0;
  EXPECT_EQ(taken, RefusalLog::kLinesPerSecond);
  EXPECT_TRUE(log.takes_line(6'000));
}

// Whoever reads another header adds it to one of the two lists.
TEST(Headers, EachThatTheSourcesReadStandsOnce) {
  size_t found = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(MILLRACE_SOURCE_DIR "/src/services/api")) {
    if (entry.path().extension() != ".cpp") continue;
    auto text = read_file(entry.path(), 1 << 20);
    ASSERT_TRUE(text.ok());
    std::regex read(R"(headers\.(?:find|contains)\("([^"]+)\"\))");
    for (std::sregex_iterator at(text->begin(), text->end(), read), end; at != end; ++at) {
      std::string name = (*at)[1];
      EXPECT_TRUE(net::stands_once(name) || reads_header_once(name)) << name << " in " << entry;
      ++found;
    }
  }
  EXPECT_GT(found, 10u);
}

}  // namespace
}  // namespace millrace::api
