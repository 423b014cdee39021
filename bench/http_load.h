// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "process.h"

namespace millrace::bench {

struct HttpAnswer {
  int status = 0;
  std::string body;
};

// What every answer of a round must be.
struct Expected {
  int status = 0;
  std::string part;  // stands in the body
};

// What one round of load saw.
struct LoadSample {
  double rate = 0;
  double p50_us = 0;
  double p99_us = 0;
  double cpu_us = 0;         // of the server's processes, per request
  double client_cpu_us = 0;  // of the bench, per request
  // Of the server's processes, per request: see Use.
  double switches = 0;
  double commits = 0;
  double written_bytes = 0;
};
double median(const std::vector<LoadSample>& rounds, double LoadSample::* figure);
// Of sorted values.
double quantile(const std::vector<double>& sorted, double share);

// The client: keep-alive connections to 127.0.0.1, one request at a time on each, one thread. It
// expects a Content-Length in every answer.
class HttpLoad {
 public:
  HttpLoad(uint16_t port, int connections);
  ~HttpLoad();
  HttpLoad(const HttpLoad&) = delete;

  // Sends all requests, one in flight per connection. An answer that is not as expected ends the
  // bench. `use` tells what the other side has used so far.
  LoadSample run(const std::vector<std::string>& requests, const Expected& expected,
                 const std::function<Use()>& use);
  // One request on the first connection. Waits.
  HttpAnswer ask(const std::string& request);

 private:
  struct Connection {
    int fd = -1;
    std::string input;
    double sent_at = 0;
  };
  void send(Connection& connection, const std::string& request);
  bool receive(Connection& connection, HttpAnswer& answer);

  int epoll_ = -1;
  std::vector<Connection> connections_;
};

// A request's text. `headers` are whole lines with their CRLF.
std::string http_request(std::string_view method, std::string_view path, std::string_view headers,
                         std::string_view body);

}  // namespace millrace::bench
