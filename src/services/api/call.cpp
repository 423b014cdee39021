// SPDX-License-Identifier: Apache-2.0
#include "services/api/call.h"
#include "services/api/admission.h"

#include <fmt/format.h>

#include <charconv>

#include "auth/crypto.h"
#include "base/json.h"
#include "base/text.h"
#include "engine/transitions/commands.h"

namespace millrace::api {

Result<int64_t> Call::id_param(size_t index) const {
  auto names = parameter_names(route->pattern);
  return parse_id(path.values[index], names[index]);
}

Result<void> Call::decode_query(void* object, const Fields& fields) const {
  if (http.query.empty()) return decode_into(object, fields, Value::map(), Scalars::Text);
  Value map = Value::map();
  for (const auto& [name, value] : http.query) {
    if (map.find(name)) {
      return Error(ErrorKind::Invalid, "API-0004",
                   fmt::format("the query parameter '{}' stands twice", name))
          .with_problem("?" + name, "stands twice");
    }
    map.set(name, value);
  }
  auto decoded = decode_into(object, fields, map, Scalars::Text);
  if (decoded.ok()) return decoded;
  auto problems = decoded.error().problems();
  for (auto& problem : problems) {
    if (problem.path.starts_with('/')) problem.path.front() = '?';
  }
  auto message = fmt::format("{}: {}", problems.front().path, problems.front().message);
  return Error(decoded.error().kind(), decoded.error().code(), std::move(message))
      .with_problems(std::move(problems));
}

Result<Value> parsed_body(const Call& call) {
  std::string decoded;
  TRY(std::string_view text, body_text(call.http, decoded));
  return trim(text).empty() ? Value::map() : parse_json(text);
}

Result<void> Call::decode_body(void* object, const Fields& fields) const {
  TRY(Value value, parsed ? *parsed : parsed_body(*this));
  return decode_into(object, fields, value);
}

engine::Caller Call::caller() const {
  engine::Caller caller;
  caller.tenant = who.tenant;
  caller.identity = who.identity;
  caller.trace = trace;
  caller.run = who.execution;
  if (route && route->takes_key) {
    caller.idempotency_key = http.headers.find("idempotency-key");
    if (!caller.idempotency_key.empty()) {
      std::string request = fmt::format("{} {}\n", http.method, http.target);
      caller.request_hash = hex_encode(auth::bytes_of(auth::sha256(request + http.body)));
    }
  }
  return caller;
}

Result<std::optional<int64_t>> Call::if_match() const {
  if (http.headers.contains("if-none-match")) {
    auto text = trim(http.headers.find("if-none-match"));
    if (text == "*")
      return std::optional<int64_t>(0);  // a route that takes it calls so what is not there
    return Error(ErrorKind::Invalid, "API-0005",
                 fmt::format("If-None-Match: expected *, found '{}'", text));
  }
  if (!http.headers.contains("if-match") || must_exist()) return std::optional<int64_t>();
  auto given = trim(http.headers.find("if-match"));
  auto text = given;
  if (text.size() > 2 && text.front() == '"' && text.back() == '"') {
    text = text.substr(1, text.size() - 2);
  }
  int64_t revision = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), revision);
  if (error != std::errc() || end != text.data() + text.size()) {
    return Error(ErrorKind::Invalid, "API-0005",
                 fmt::format("If-Match: expected the ETag of the last answer, such as \"3\", found "
                             "'{}'",
                             given));
  }
  return std::optional<int64_t>(revision);
}

bool Call::must_exist() const { return trim(http.headers.find("if-match")) == "*"; }

net::HttpResponse answer(int status, const Value& data) {
  std::string body = R"({"data":)";
  append_json(body, data);
  body += '}';
  return net::HttpResponse::json(status, std::move(body));
}

}  // namespace millrace::api
