// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/value.h"
#include "http_load.h"
#include "process.h"

namespace millrace::bench {

// `millrace up` on a free port, with its data in `folder`. Ended with this object, its spawner too.
class TestServer {
 public:
  TestServer(const std::string& binary, const std::string& folder,
             const std::vector<std::string>& settings = {}, const std::string& packs = "");
  ~TestServer();

  uint16_t port() const { return port_; }
  const std::string& authorization() const { return authorization_; }  // a header line
  pid_t pid() const { return process_->pid(); }
  pid_t spawner() const;
  // Server and spawner; not what the actions themselves use.
  double cpu_seconds() const { return cpu_seconds_of(pid()) + cpu_seconds_of(spawner()); }
  Use use();
  // From the start of the process to the first 200 of /ready.
  double start_seconds() const { return start_seconds_; }
  // A JSON request; any status but 2xx ends the bench. Returns "data".
  Value call(std::string_view method, std::string_view path, std::string_view body = "",
             std::string_view content_type = "application/json");

 private:
  std::string folder_;
  std::optional<Process> process_;
  mutable pid_t spawner_ = 0;
  uint16_t port_ = 0;
  std::string authorization_;
  double start_seconds_ = 0;
  std::optional<HttpLoad> client_;
};

// The answer to a start that waited for the end.
inline const Expected kSucceeded{201, R"("status":"succeeded")"};

// nginx with one worker that answers every request with 202 and a constant.
class Nginx {
 public:
  explicit Nginx(const std::string& folder);
  uint16_t port() const { return port_; }
  double cpu_seconds() const { return cpu_seconds_of(process_->pid()); }

 private:
  uint16_t port_ = free_port();
  std::optional<Process> process_;
};

// A pack `bench` below `folder`: native actions true (a copy of /bin/true) and a script `hold` that
// sleeps for an hour.
std::string make_bench_pack(const std::string& folder);

}  // namespace millrace::bench
