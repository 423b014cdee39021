// SPDX-License-Identifier: Apache-2.0
#include "cli/session.h"

#include <fmt/format.h>

#include <chrono>
#include <random>
#include <thread>

#include "base/json.h"
#include "cli/values.h"
#include "net/http.h"

namespace millrace::cli {
namespace {

constexpr int kSends = 3;
constexpr size_t kPage = 200;

ErrorKind kind_of_status(int status) {
  switch (status) {
    case 401: return ErrorKind::Unauthorized;
    case 403: return ErrorKind::Forbidden;
    case 404: return ErrorKind::NotFound;
    case 409: return ErrorKind::Conflict;
    case 412: return ErrorKind::Stale;
    case 413: return ErrorKind::TooLarge;
    case 415: return ErrorKind::Unsupported;
    case 422: return ErrorKind::Mismatch;
    case 429: return ErrorKind::Busy;
    case 502:
    case 503: return ErrorKind::Unavailable;
    case 504: return ErrorKind::Timeout;
    default: return status < 500 ? ErrorKind::Invalid : ErrorKind::Internal;
  }
}

std::string random_key() {
  std::random_device device;
  return fmt::format("{:08x}{:08x}{:08x}{:08x}", device(), device(), device(), device());
}

Result<Value> parse_answer(const net::ClientResponse& answer) {
  if (answer.status >= 300) return error_of_answer(answer);
  if (answer.body.empty()) return Value();
  auto parsed = parse_json(answer.body, kOwnJson);
  if (parsed.ok()) return parsed;
  return Error(ErrorKind::Internal, "CLI-0004",
               fmt::format("the server's answer is no JSON: {}", parsed.error().message()));
}

}  // namespace

std::string path_of(std::string_view base, std::string_view name, std::string_view rest) {
  return fmt::format("{}/{}{}", base, net::percent_encode(name), rest);
}

Error error_of_answer(const net::ClientResponse& answer) {
  auto parsed = parse_json(answer.body, kOwnJson);
  Value problem = parsed.ok() ? *parsed : Value();
  auto detail = fmt::format("the server answered {}", answer.status);
  Error error(kind_of_status(answer.status), problem.string_or("code", "CLI-0004"),
              std::string(problem.string_or("detail", detail)));
  if (const auto* list = problem.find("errors"); list && list->is_list()) {
    for (const auto& one : list->as_list()) {
      error = std::move(error).with_problem(std::string(one.string_or("path", "")),
                                            std::string(one.string_or("message", "")));
    }
  }
  if (kind_of_status(answer.status) == ErrorKind::Internal) {
    error = std::move(error).with_context(
        fmt::format("request {}", problem.string_or("request_id", "without id")));
  }
  auto seconds = answer.find_header("Retry-After");
  return std::move(error).with_retry_after(std::atoll(std::string(seconds).c_str()) * 1000);
}

Result<std::unique_ptr<Session>> Session::open(FindTarget find) {
  std::unique_ptr<Session> session(new Session(std::move(find)));
  TRY(session->find_again());
  return session;
}

Result<void> Session::find_again() {
  TRY(target_, find_());
  return {};
}

net::ClientRequest Session::request_for(std::string method, const std::string& path) const {
  net::ClientRequest request{std::move(method), target_.url + path, {}, {}};
  if (!target_.token.empty()) {
    request.headers.emplace_back("Authorization", "Bearer " + target_.token.reveal());
  }
  return request;
}

Result<Value> Session::exchange(const net::ClientRequest& request) {
  TRY(auto answer, loop_.block_on(client_.send(request)));
  return parse_answer(answer);
}

Result<Value> Session::get(const std::string& path) {
  TRY(auto answer, exchange(request_for("GET", path)));
  return answer["data"];
}

Result<Value> Session::send(Request what) {
  TRY(check_texts(what.body));
  if (what.takes_key) what.headers.emplace_back("Idempotency-Key", random_key());
  for (int tries = 1;; ++tries) {
    auto request = request_for(what.method, what.path);
    request.headers.insert(request.headers.end(), what.headers.begin(), what.headers.end());
    if (!what.body.is_null()) {
      request.headers.emplace_back("Content-Type", what.content_type);
      request.body = to_json(what.body);
    } else if (!what.bytes.empty()) {
      request.headers.emplace_back("Content-Type", what.content_type);
      request.body = what.bytes;
    }
    auto answer = exchange(request);
    if (answer.ok()) return (*answer)["data"];
    bool is_lost = answer.error().kind() == ErrorKind::Unavailable;
    if (!is_lost || !what.takes_key || tries == kSends) return std::move(answer).error();
    std::this_thread::sleep_for(std::chrono::milliseconds(200 * tries));
  }
}

Result<ValueList> Session::list(const std::string& path, size_t limit) {
  ValueList rows;
  for (std::string cursor; rows.size() < limit;) {
    auto separator = path.find('?') == std::string::npos ? '?' : '&';
    auto page = fmt::format("{}{}limit={}", path, separator, std::min(limit - rows.size(), kPage));
    if (!cursor.empty()) page += "&cursor=" + net::percent_encode(cursor);
    TRY(auto answer, exchange(request_for("GET", page)));
    if (!answer["data"].is_list()) break;
    for (const auto& row : answer["data"].as_list()) rows.push_back(row);
    cursor = answer.string_or("next_cursor", "");
    if (cursor.empty()) break;
  }
  return rows;
}

Result<void> Session::stream(const std::string& path, std::string& position,
                             const OnEvent& on_event) {
  auto request = request_for("GET", path);
  request.headers.emplace_back("Accept", "text/event-stream");
  if (!position.empty()) request.headers.emplace_back("Last-Event-ID", position);
  net::SseParser parser;
  bool wants_more = true;
  auto on_piece = [&](std::string_view piece) {
    bool is_sound = parser.feed(piece, [&](const net::SseEvent& event) {
      if (!wants_more) return;
      if (!event.id.empty()) position = event.id;
      wants_more = on_event(event);
    });
    return is_sound && wants_more;
  };
  TRY(auto answer, loop_.block_on(client_.stream(std::move(request), on_piece)));
  if (answer.status >= 300) return error_of_answer(answer);
  return {};
}

Result<void> Session::wait_for_change(const std::string& topics, std::string& position) {
  bool is_first = position.empty();
  auto on_event = [&](const net::SseEvent& event) {
    return is_first ? event.event != "welcome" : event.event != "notification";
  };
  return stream("/api/v1/stream?topics=" + net::percent_encode(topics), position, on_event);
}

}  // namespace millrace::cli
