// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/token.h"
#include "base/fields.h"
#include "engine/engine.h"
#include "engine/transitions/commands.h"
#include "services/api/cursor.h"
#include "services/api/router.h"

namespace millrace::api {

struct Shared;

// One request on its way through its handler.
class Call {
 public:
  Call(Shared& shared, net::HttpRequest& request) : api(shared), http(request) {}

  Shared& api;
  net::HttpRequest& http;
  const Route* route = nullptr;
  PathParams path;
  auth::Principal who;
  std::string request_id;
  std::string trace;  // W3C traceparent
  // Another server has taken it and found who asks; so many servers it has come through.
  int hops = 0;
  bool is_forwarded() const { return hops > 0; }
  // A long body, read before the handler began: see Readers::parse.
  std::optional<Result<Value>> parsed;

  std::string_view param(size_t index = 0) const { return path.values[index]; }
  template <typename IdType>
  Result<IdType> id(size_t index = 0) const {
    TRY(int64_t value, id_param(index));
    return IdType{value};
  }

  // Errors: Invalid, BAS-0004, one problem per fault, each `?NAME`; unknown names with the nearest.
  template <HasFields T>
  Result<T> query() const {
    T object{};
    TRY(decode_query(&object, T::fields()));
    return object;
  }
  // The same with JSON pointers; BAS-0002 when it is no JSON. An empty body is {}.
  template <HasFields T>
  Result<T> body() const {
    T object{};
    TRY(decode_body(&object, T::fields()));
    return object;
  }

  // Who asks, for the engine. `with_key`: the request's Idempotency-Key and hash go along.
  engine::Caller caller() const;
  // The revision of If-Match; none without the header or with `*`. 0 for `If-None-Match: *`.
  Result<std::optional<int64_t>> if_match() const;
  // `If-Match: *`: only what is there may be written.
  bool must_exist() const;

 private:
  Result<int64_t> id_param(size_t index) const;
  Result<void> decode_query(void* object, const Fields& fields) const;
  Result<void> decode_body(void* object, const Fields& fields) const;
};

// The body as JSON; an empty one is {}.
Result<Value> parsed_body(const Call& call);

// {"data": {...}}
net::HttpResponse answer(int status, const Value& data);
template <HasFields T>
net::HttpResponse answer_one(const T& view, int status = 200) {
  std::string body = R"({"data":)";
  append_encoded_json(body, &view, T::fields());
  body += '}';
  return net::HttpResponse::json(status, std::move(body));
}

// {"data": [...], "next_cursor": "..."}; no cursor: this is the last page.
template <HasFields T>
net::HttpResponse answer_list(const std::vector<T>& views, std::string_view next_cursor = {}) {
  std::string body = R"({"data":[)";
  for (const auto& view : views) {
    if (&view != &views.front()) body += ',';
    append_encoded_json(body, &view, T::fields());
  }
  body += next_cursor.empty() ? R"(],"next_cursor":null})"
                              : R"(],"next_cursor":")" + std::string(next_cursor) + R"("})";
  return net::HttpResponse::json(200, std::move(body));
}

}  // namespace millrace::api
