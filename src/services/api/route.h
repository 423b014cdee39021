// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>
#include <variant>
#include <vector>

#include "async/task.h"
#include "auth/permission.h"
#include "base/fields.h"
#include "net/http.h"
#include "store/sql.h"

namespace millrace::api {

class Call;
using Response = Result<net::HttpResponse>;

// What a route asks of its caller. There is no default: a route without one does not start.
class Access {
 public:
  enum class Kind : uint8_t { Undeclared, Permission, AnyToken, Signature, Open };

  constexpr Access() = default;
  constexpr Access(auth::Permission permission)
      : kind_(Kind::Permission), permission_(permission) {}
  // Whoever has a valid token.
  static constexpr Access any_token() { return Access(Kind::AnyToken); }
  // The handler checks a signature over the raw body, or asks for a token itself.
  static constexpr Access signature() { return Access(Kind::Signature); }
  // Everybody.
  static constexpr Access open() { return Access(Kind::Open); }

  constexpr Kind kind() const { return kind_; }
  constexpr auth::Permission permission() const { return permission_; }

 private:
  constexpr explicit Access(Kind kind) : kind_(kind) {}
  Kind kind_ = Kind::Undeclared;
  auth::Permission permission_ = auth::Permission::Admin;
};

// A handler's form says where it runs.
using MemoryHandler = Response (*)(Call&);                  // on the loop; must not block
using ReadHandler = Response (*)(Call&, sql::Connection&);  // on a reader's thread
using TaskHandler = Task<Response> (*)(Call&);              // on the loop; awaits
using Handler = std::variant<std::monostate, MemoryHandler, ReadHandler, TaskHandler>;

// Judges a request whose sender is told by the handler and not by a token, from its head alone.
// True: its sender has shown a right already.
using HeadCheck = Result<bool> (*)(Call&);

enum class AnswerForm : uint8_t {
  One,     // {"data": {...}}
  List,    // {"data": [...], "next_cursor": "..."}
  Empty,   // no body
  Stream,  // server-sent events
  Text,    // something else, which the summary names
};

enum class BodyForm : uint8_t { None, Json, CloudEvent, Raw, Archive };

// One line of the API. From it come dispatch, checks, and its part of the OpenAPI document.
struct Route {
  std::string_view name;  // operationId, unique
  std::string_view method;
  std::string_view pattern;  // "/api/v1/rules/{ref}"
  Access access;
  Handler handler;
  HeadCheck head_check = nullptr;  // of Access::signature() only, and there it must be
  std::string_view summary;
  const Fields* query = nullptr;  // parameters after `?`
  BodyForm body_form = BodyForm::None;
  const Fields* body = nullptr;  // of BodyForm::Json
  AnswerForm answer_form = AnswerForm::One;
  const Fields* answer = nullptr;  // of One and List
  int status = 200;
  size_t max_body = 1 << 20;
  bool takes_key = false;       // Idempotency-Key
  bool takes_revision = false;  // If-Match
  bool may_make = false;        // If-None-Match: *
  bool takes_rest = false;      // its last parameter is the rest of the path, slashes and all
  bool has_owner = false;       // a read that one of several servers alone can answer
};

}  // namespace millrace::api
