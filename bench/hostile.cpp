// SPDX-License-Identifier: Apache-2.0
#include "hostile.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>

namespace millrace::bench {
namespace {

constexpr std::chrono::milliseconds kPause{100};  // between two looks at all

sockaddr_in loopback(uint32_t last, uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + last);
  return address;
}

std::string delivery(std::string_view name, std::string_view length) {
  return fmt::format(
      "POST /api/v1/webhooks/{} HTTP/1.1\r\nHost: h\r\nX-Hub-Signature-256: "
      "sha256={:064x}\r\n{}\r\n\r\n",
      name, 0, length);
}

}  // namespace

Hostile::Hostile(uint16_t port, int clients) : port_(port) {
  std::string docs;
  for (int i = 0; i < 100; ++i) docs += "GET /api/docs HTTP/1.1\r\nHost: h\r\n\r\n";
  kinds_ = {{"GET / HTTP/1.1\r\nX: ", "x"},
            {"", ""},
            {delivery("nosuch", "Content-Length: 10485760"), std::string(4096, 'x')},
            {delivery("github", "Content-Length: 10485760"), std::string(4096, 'x')},
            {delivery("github", "Content-Length: 65536"), "x"},
            {delivery("github", "Transfer-Encoding: chunked"),
             "1;" + std::string(4000, 'a') + "\r\nx\r\n"},
            {docs, ""}};
  clients_.resize(static_cast<size_t>(clients));
  for (size_t i = 0; i < clients_.size(); ++i) clients_[i].kind = &kinds_[i % kinds_.size()];
  thread_ = std::jthread([this](const std::stop_token& stop) { press(stop); });
}

Hostile::~Hostile() {
  thread_.request_stop();
  thread_.join();
  for (auto& client : clients_) {
    if (client.fd >= 0) close(client.fd);
  }
}

void Hostile::connect(Client& client) const {
  client.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  client.begun = false;
  auto own = loopback(2, 0);
  auto to = loopback(1, port_);
  (void)bind(client.fd, reinterpret_cast<sockaddr*>(&own), sizeof own);
  (void)::connect(client.fd, reinterpret_cast<sockaddr*>(&to), sizeof to);
}

// False: it is closed.
bool Hostile::push(Client& client) const {
  const auto& text = client.begun ? client.kind->again : client.kind->first;
  ssize_t sent = send(client.fd, text.data(), text.size(), MSG_NOSIGNAL);
  if (sent < 0) return errno == EAGAIN || errno == EINPROGRESS || errno == ENOTCONN;
  client.begun = true;
  return true;
}

void Hostile::press(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    for (auto& client : clients_) {
      if (client.fd < 0) {
        connect(client);
      } else if (!push(client)) {
        close(client.fd);
        client.fd = -1;
      }
    }
    std::this_thread::sleep_for(kPause);
  }
}

}  // namespace millrace::bench
