// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "app/config.h"
#include "async/pool.h"
#include "async/task.h"
#include "net/http_server.h"
#include "net/server_tls.h"
#include "services/api/api.h"

namespace millrace::app {

// The HTTP side of a server: the API, in the clear or over TLS, and what probes ask. Loop thread.
class HttpFront {
 public:
  struct Given {
    const ServerSection& config;
    int64_t connections = 0;  // at the same time
    bool has_api = true;      // else only what probes ask
    api::Api& api;            // outlives it
  };
  // Must be stopped from then on, also after an error: one of two may listen.
  // Errors: NET-0004, NET-0019, NET-0022; Invalid, APP-0039.
  Result<void> listen(const async::Executor& loop, const Given& given);

  // Of the API; of a process without one, where probes ask.
  const std::string& url() const { return url_; }
  bool is_open_in_clear() const { return is_open_in_clear_; }
  // Follows the certificate's files, until it is cancelled.
  Task<void> look_at_files(async::Pool& pool);
  // As HttpServer::stop.
  Task<void> stop(async::Duration grace);

 private:
  Result<void> listen_for_api(const async::Executor& loop, const Given& given);
  Result<void> listen_for_admins(const async::Executor& loop, const Given& given);

  std::string url_;
  bool is_open_in_clear_ = false;           // to others than this machine, without TLS
  std::shared_ptr<net::ServerTls> tls_;     // none: in the clear
  std::unique_ptr<net::HttpServer> api_;    // none: without that role
  std::unique_ptr<net::HttpServer> admin_;  // none: the API answers probes, too
};

}  // namespace millrace::app
