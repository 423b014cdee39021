// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "async/loop.h"
#include "base/value.h"
#include "cli/target.h"
#include "net/http_client.h"
#include "net/sse.h"

namespace millrace::cli {

// `/api/v1/rules/a%20b`: the parts after the first are percent-encoded.
std::string path_of(std::string_view base, std::string_view name, std::string_view rest = {});

// An answer that is no success, as an Error of the kind that its status says.
Error error_of_answer(const net::ClientResponse& answer);

// Asks one server and waits for its answers. One thread.
class Session {
 public:
  using FindTarget = std::function<Result<Target>()>;
  // Finds the server again after a restart may have moved it.
  static Result<std::unique_ptr<Session>> open(FindTarget find);

  struct Request {
    std::string method = "POST";
    std::string path;
    Value body;         // null: none
    std::string bytes;  // sent as they are in its place
    std::string content_type = "application/json";
    net::HeaderList headers;
    bool takes_key = false;  // sent with an Idempotency-Key, and again when the answer is lost
  };

  // The `data` of the answer; null when it has none.
  Result<Value> get(const std::string& path);
  Result<Value> send(Request request);
  // Entries of a list, page by page, `limit` at most.
  Result<ValueList> list(const std::string& path, size_t limit);

  // Server-sent events after `position` until `on_event` returns false or the stream ends;
  // moves `position` along.
  using OnEvent = std::function<bool(const net::SseEvent&)>;
  Result<void> stream(const std::string& path, std::string& position, const OnEvent& on_event);

  // The first call for a position returns at once; later ones when one of the topics has changed.
  Result<void> wait_for_change(const std::string& topics, std::string& position);

  Result<void> find_again();

 private:
  explicit Session(FindTarget find) : find_(std::move(find)) {}
  net::ClientRequest request_for(std::string method, const std::string& path) const;
  Result<Value> exchange(const net::ClientRequest& request);

  FindTarget find_;
  Target target_;
  async::Loop loop_;
  net::HttpClient client_;
};

}  // namespace millrace::cli
