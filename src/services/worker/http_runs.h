// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "async/pool.h"
#include "async/scope.h"
#include "async/task.h"
#include "kernel/work.h"
#include "net/http_client.h"

namespace millrace::async {
class Loop;
}

namespace millrace::worker {

// What an http-request action asks for.
struct HttpPlan {
  net::ClientRequest request;
  bool follows_redirects = false;
  int64_t limit_ms = 0;           // of the whole exchange
  std::string limit_message;      // when it passes
  bool limit_is_timeout = false;  // the execution's own timeout, not the parameter's
};

// From the parameters url, method, headers, params, body, cookies, username and password,
// timeout (seconds) and allow_redirects.
Result<HttpPlan> plan_http(const kernel::WorkOrder& order);

// The runs that need no process: HTTP requests, made by this process on one loop. A status of
// 2xx is success; another one, or no answer, is exit code 1 with a message.
class HttpRuns {
 public:
  // `done` is called on the loop's thread, once per run unless stopped before.
  HttpRuns(async::Loop& loop, std::function<void(kernel::Completion)> done);

  // Any thread.
  void start(kernel::WorkOrder order);
  void cancel(const kernel::RunKey& key);
  // On the loop, after the last start and cancel: ends what is under way, without a word.
  Task<void> stop();

 private:
  struct Exchange {
    explicit Exchange(async::Executor executor) : scope(std::move(executor)) {}
    async::Scope scope;
    std::optional<Result<net::ClientResponse>> result;
    bool canceled = false;
  };

  void begin(kernel::WorkOrder order);
  Task<void> run(kernel::WorkOrder order, HttpPlan plan);
  Task<void> conclude(kernel::Completion& c, const kernel::WorkOrder& order, const HttpPlan& plan,
                      const Exchange& exchange, int64_t elapsed_ms);
  Task<Result<Value>> read_answer(const net::ClientResponse& response,
                                  const std::vector<std::string>& secrets, int64_t elapsed_ms);
  static Task<void> fetch(net::HttpClient& client, HttpPlan& plan, Exchange& exchange);

  async::Loop& loop_;
  std::function<void(kernel::Completion)> done_;
  net::HttpClient client_;
  net::HttpClient redirecting_client_;
  std::optional<async::Pool> reader_;  // its thread is there once it was needed
  // The loop's thread only.
  async::Scope scope_;
  std::map<kernel::RunKey, Exchange*> exchanges_;
  bool stopping_ = false;
};

}  // namespace millrace::worker
