// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

#include "app/config.h"
#include "app/roles.h"
#include "base/result.h"

namespace millrace::app {

// Where a server keeps what it owns, below its data folder.
struct DataPaths {
  explicit DataPaths(const std::string& data)
      : data(data),
        sweep(data + "/run"),
        keys(data + "/keys.json"),
        admin_token(data + "/admin.token"),
        url(data + "/url"),
        tls(data + "/tls"),
        in_hand(data + "/in_hand"),
        worker_in_hand(data + "/in_hand.worker") {}
  std::string data;
  std::string sweep;  // locked while blobs are swept or backed up
  std::string keys;
  std::string admin_token;     // 0600; the command line of the same user finds it
  std::string url;             // of the server that runs, or ran last
  std::string tls;             // who this server is to others, where gRPC has certificates
  std::string in_hand;         // what is being decided (base/in_hand.h)
  std::string worker_in_hand;  // the same, of what the worker's thread does with runs
};

// `millrace up` and `serve`: these roles in this process, until SIGTERM or SIGINT. `reload` reads
// the configuration again for SIGHUP. Returns when everything is written and joined.
Result<void> run_server(const Config& config, Roles roles, const std::string& data,
                        const std::function<Result<Config>()>& reload);

}  // namespace millrace::app
