// SPDX-License-Identifier: Apache-2.0
#include "http_load.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <iterator>

#include "process.h"

namespace millrace::bench {
namespace {

int connect_to(uint16_t port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {}};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) {
    give_up(fmt::format("cannot connect to port {}: {}", port, std::strerror(errno)));
  }
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

}  // namespace

double quantile(const std::vector<double>& sorted, double share) {
  if (sorted.empty()) return 0;
  auto place = static_cast<size_t>(share * static_cast<double>(sorted.size()));
  return sorted[std::min(place, sorted.size() - 1)];
}

double median(const std::vector<LoadSample>& rounds, double LoadSample::* figure) {
  std::vector<double> values;
  for (const auto& round : rounds) values.push_back(round.*figure);
  std::ranges::sort(values);
  return quantile(values, 0.5);
}

HttpLoad::HttpLoad(uint16_t port, int connections) : epoll_(epoll_create1(EPOLL_CLOEXEC)) {
  for (int i = 0; i < connections; ++i) {
    connections_.push_back({.fd = connect_to(port)});
    epoll_event interest{.events = EPOLLIN, .data = {.u32 = static_cast<uint32_t>(i)}};
    epoll_ctl(epoll_, EPOLL_CTL_ADD, connections_.back().fd, &interest);
  }
}

HttpLoad::~HttpLoad() {
  for (auto& connection : connections_) close(connection.fd);
  close(epoll_);
}

LoadSample HttpLoad::run(const std::vector<std::string>& requests, const Expected& expected,
                         const std::function<Use()>& use) {
  std::vector<double> latencies;
  latencies.reserve(requests.size());
  Use before = use();
  double own = own_cpu_seconds();
  double begin = wall_seconds();
  size_t next = 0;
  for (auto& connection : connections_) {
    if (next < requests.size()) send(connection, requests[next++]);
  }
  HttpAnswer answer;
  epoll_event ready[64];
  while (latencies.size() < requests.size()) {
    int count = epoll_wait(epoll_, ready, std::size(ready), 60'000);
    if (count == 0) give_up("no answer for 60 s");
    for (int i = 0; i < count; ++i) {
      auto& connection = connections_[ready[i].data.u32];
      if (!receive(connection, answer)) continue;
      if (answer.status != expected.status || !answer.body.contains(expected.part)) {
        give_up(fmt::format("expected {} and '{}', found {}: {}", expected.status, expected.part,
                            answer.status, answer.body));
      }
      latencies.push_back((wall_seconds() - connection.sent_at) * 1e6);
      if (next < requests.size()) send(connection, requests[next++]);
    }
  }
  double seconds = wall_seconds() - begin;
  auto total = static_cast<double>(requests.size());
  std::ranges::sort(latencies);
  double own_cpu_us = (own_cpu_seconds() - own) * 1e6 / total;
  Use after = use();
  return {.rate = total / seconds,
          .p50_us = quantile(latencies, 0.5),
          .p99_us = quantile(latencies, 0.99),
          .cpu_us = (after.cpu_seconds - before.cpu_seconds) * 1e6 / total,
          .client_cpu_us = own_cpu_us,
          .switches = (after.switches - before.switches) / total,
          .commits = (after.commits - before.commits) / total,
          .written_bytes = (after.written_bytes - before.written_bytes) / total};
}

HttpAnswer HttpLoad::ask(const std::string& request) {
  HttpAnswer answer;
  send(connections_[0], request);
  while (!receive(connections_[0], answer)) {
  }
  return answer;
}

void HttpLoad::send(Connection& connection, const std::string& request) {
  connection.sent_at = wall_seconds();
  if (::send(connection.fd, request.data(), request.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(request.size())) {
    give_up(fmt::format("cannot send: {}", std::strerror(errno)));
  }
}

// True when the answer is complete.
bool HttpLoad::receive(Connection& connection, HttpAnswer& answer) {
  char piece[16 << 10];
  ssize_t count = recv(connection.fd, piece, sizeof piece, 0);
  if (count <= 0) give_up("the server closed the connection");
  auto& input = connection.input;
  input.append(piece, static_cast<size_t>(count));
  auto head_end = input.find("\r\n\r\n");
  if (head_end == std::string::npos) return false;
  constexpr std::string_view kLength = "\r\nContent-Length: ";
  auto at = input.find(kLength);
  size_t length = 0;
  if (at < head_end) {
    at += kLength.size();
    std::from_chars(input.data() + at, input.data() + head_end, length);
  }
  size_t body = head_end + 4;
  if (input.size() < body + length) return false;
  std::from_chars(input.data() + sizeof "HTTP/1.1", input.data() + body, answer.status);
  answer.body.assign(input, body, length);
  input.erase(0, body + length);
  return true;
}

std::string http_request(std::string_view method, std::string_view path, std::string_view headers,
                         std::string_view body) {
  return fmt::format("{} {} HTTP/1.1\r\nHost: 127.0.0.1\r\n{}Content-Length: {}\r\n\r\n{}", method,
                     path, headers, body.size(), body);
}

}  // namespace millrace::bench
