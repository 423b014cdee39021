// SPDX-License-Identifier: Apache-2.0
#include "services/api/problem.h"

#include <fmt/format.h>

#include "base/json.h"
#include "base/problems.h"
#include "base/time.h"

namespace millrace::api {
namespace {

void append_member(std::string& out, std::string_view name, std::string_view text) {
  out += out.empty() ? '{' : ',';
  append_json_string(out, name);
  out += ':';
  append_json_string(out, text);
}

void append_problems(std::string& out, const std::vector<Problem>& problems) {
  if (problems.empty()) return;
  out += R"(,"errors":[)";
  bool first = true;
  for (const auto& problem : problems) {
    if (!first) out += ',';
    first = false;
    std::string entry;
    append_member(entry, "path", shortened(problem.path));
    append_member(entry, "message", shortened(problem.message));
    out += entry + '}';
  }
  out += ']';
}

int64_t retry_after_s(const Error& error) {
  return std::max<int64_t>(1, (error.retry_after_ms() + 999) / 1000);
}

}  // namespace

net::HttpResponse problem(const Error& error, std::string_view request_id, int64_t now_ms,
                          int status) {
  if (status == 0) status = net::status_of(error.kind());
  std::string body;
  append_member(body, "type", fmt::format("urn:millrace:error:{}", error.code()));
  append_member(body, "title", net::reason_of(status));
  body += fmt::format(R"(,"status":{})", status);
  append_member(body, "detail", shortened(error.message()));
  append_member(body, "code", error.code());
  append_member(body, "kind", public_kind(error));
  append_member(body, "timestamp", to_rfc3339(now_ms));
  append_member(body, "request_id", request_id);
  append_problems(body, error.problems());
  body += '}';
  auto response = net::HttpResponse::json(status, std::move(body));
  response.content_type = "application/problem+json";
  if (status == 429 || status == 503) {
    response.header("Retry-After", std::to_string(retry_after_s(error)));
  }
  if (status == 401) response.header("WWW-Authenticate", "Bearer");
  return response;
}

Value problem_schema() {
  auto text = [](std::string_view doc) {
    return Value::map({{"type", "string"}, {"description", doc}});
  };
  Value entry = Value::map({{"type", "object"}});
  entry.set("properties", Value::map({{"path", text("Where: a JSON pointer, or ?NAME.")},
                                      {"message", text("What is wrong.")}}));
  Value errors = Value::map({{"type", "array"}, {"items", std::move(entry)}});
  Value properties = Value::map({{"type", text("urn:millrace:error:CODE")},
                                 {"title", text("The status in words.")},
                                 {"status", Value::map({{"type", "integer"}})},
                                 {"detail", text("What was expected, found, and what to do.")},
                                 {"code", text("Stable code of the error.")},
                                 {"kind", text("What a program does about it: RATE_LIMITED, ...")},
                                 {"timestamp", text("RFC 3339.")},
                                 {"request_id", text("As in the header X-Request-Id.")},
                                 {"errors", std::move(errors)}});
  return Value::map({{"type", "object"},
                     {"description", "An error (RFC 9457)."},
                     {"properties", std::move(properties)}});
}

}  // namespace millrace::api
