// SPDX-License-Identifier: Apache-2.0
#include "services/api/admission.h"

#include <fmt/format.h>

#include <algorithm>

#include "auth/signature.h"
#include "base/charset.h"
#include "base/text.h"
#include "engine/machine/catalog.h"
#include "store/read.h"

namespace millrace::api {
namespace {

constexpr size_t kLongestId = 128;

bool is_id_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-';
}

bool is_lower_hex(std::string_view text) {
  return std::ranges::all_of(
      text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

// 00-TRACE-PARENT-FLAGS (W3C Trace Context 3.2.2); all-zero ids are invalid.
bool is_traceparent(std::string_view text) {
  if (text.size() != 55 || !text.starts_with("00-") || text[35] != '-' || text[52] != '-') {
    return false;
  }
  auto trace = text.substr(3, 32);
  auto parent = text.substr(36, 16);
  return is_lower_hex(trace) && is_lower_hex(parent) && is_lower_hex(text.substr(53)) &&
         trace.find_first_not_of('0') != std::string_view::npos &&
         parent.find_first_not_of('0') != std::string_view::npos;
}

}  // namespace

Result<std::string_view> bearer_token(const Call& call) {
  auto header = call.http.headers.find("authorization");
  bool is_stackstorms = call.route && call.route->pattern.starts_with("/v1/");
  if (is_stackstorms && header.empty()) {
    for (std::string_view name : {"x-auth-token", "st2-api-key"}) {
      if (auto token = trim(call.http.headers.find(name)); !token.empty()) return token;
    }
  }
  constexpr std::string_view kScheme = "bearer ";
  if (header.empty()) {
    return Error(ErrorKind::Unauthorized, "API-0008",
                 "expected a token in the header Authorization: Bearer TOKEN");
  }
  if (header.size() <= kScheme.size() ||
      !iequals_ascii(header.substr(0, kScheme.size()), kScheme)) {
    return Error(ErrorKind::Unauthorized, "API-0008",
                 "expected Authorization: Bearer TOKEN, found another scheme");
  }
  return trim(header.substr(kScheme.size()));
}

namespace {

Error run_is_over(const auth::RunClaim& run) {
  return Error(ErrorKind::Unauthorized, "API-0009",
               fmt::format("the token of execution {} attempt {} is dead: that run is over",
                           run.execution.value, run.attempt));
}

// The permissions that the action of a running execution asks for.
Result<auth::Principal> principal_of_run(Shared& shared, sql::Connection& db,
                                         const auth::RunClaim& run) {
  TRY(auto row, store::find_execution(db, run.tenant, run.execution));
  bool current =
      row && row->attempt == run.attempt && row->epoch == run.epoch &&
      (row->status == ExecutionStatus::Running || row->status == ExecutionStatus::Canceling);
  if (!current) return run_is_over(run);
  auth::Principal who{row->tenant, fmt::format("execution:{}", row->id.value), {}, row->id};
  auto action = shared.engine.catalog(row->tenant)->find_action(row->action, row->release);
  if (!action) return who;
  for (const auto& word : action->action->permissions) {
    // may fail: a word that this version does not know grants nothing
    if (auto known = auth::Permissions::parse(word); known.ok()) who.permissions.add(*known);
  }
  return who;
}

Result<void> require(const auth::Principal& who, auth::Permission permission) {
  if (who.permissions.allow(permission)) return {};
  return Error(
      ErrorKind::Forbidden, "API-0011",
      fmt::format("'{}' lacks the permission '{}'", who.identity, auth::to_string(permission)));
}

}  // namespace

std::string request_id_of(Shared& shared, const net::HttpRequest& request) {
  auto given = request.headers.find("x-request-id");
  if (!given.empty() && given.size() <= kLongestId && std::ranges::all_of(given, is_id_character)) {
    return std::string(given);
  }
  return shared.hex.take(12);
}

std::string trace_of(Shared& shared, const net::HttpRequest& request) {
  auto given = request.headers.find("traceparent");
  if (is_traceparent(given)) return std::string(given);
  auto random = shared.hex.take(24);
  return "00-" + random.substr(0, 32) + '-' + random.substr(32) + "-01";
}

bool reads_header_once(std::string_view name) {
  constexpr std::string_view kNames[] = {"idempotency-key", "if-match",     "if-none-match",
                                         "traceparent",     "x-request-id", "x-auth-token",
                                         "st2-api-key"};
  auto is_name = [&](std::string_view one) { return iequals_ascii(one, name); };
  if (std::ranges::any_of(kNames, is_name)) return true;
  if (name.size() > 3 && iequals_ascii(name.substr(0, 3), "ce-")) return true;
  return std::ranges::any_of(auth::signature_schemes(), [&](const auto& scheme) {
    return is_name(scheme.signature_header) || is_name(scheme.timestamp_header) ||
           is_name(scheme.id_header) || std::ranges::any_of(scheme.event_headers, is_name);
  });
}

namespace {

// A write under a condition that nobody looks at would be a write without one.
Result<void> check_conditions(const Call& call) {
  if (call.http.method != "PUT" && call.http.method != "DELETE") return {};
  bool has_match = call.http.headers.contains("if-match");
  bool has_none_match = call.http.headers.contains("if-none-match");
  auto refuse = [&](std::string_view header, std::string_view why) {
    return Error(ErrorKind::Invalid, "API-0005",
                 fmt::format("{}: {} {} {}", header, call.route->method, call.route->pattern, why));
  };
  if (has_match && has_none_match) return refuse("If-None-Match", "takes it or If-Match, not both");
  if (has_match && !call.route->takes_revision) return refuse("If-Match", "does not take it");
  if (has_none_match && !call.route->may_make) return refuse("If-None-Match", "does not take it");
  return {};
}

}  // namespace

Result<void> check_headers(const Call& call) {
  for (auto name : call.http.headers.repeated()) {
    if (!reads_header_once(name)) continue;
    return Error(ErrorKind::Invalid, "API-0018",
                 fmt::format("the header {} stands twice: expected it once", name));
  }
  return check_conditions(call);
}

Result<void> check_phase(const Call& call) {
  if (call.http.method == "GET") return {};
  auto phase = call.api.phase.load(std::memory_order_relaxed);
  if (phase == Phase::Ready) return {};
  return Error(ErrorKind::Unavailable, "API-0010",
               phase == Phase::Starting ? "the server is starting: come back in a moment"
                                        : "the server is stopping: come back in a moment")
      .with_retry_after(5000);
}

Result<std::optional<auth::RunClaim>> authenticate(Call& call) {
  auto kind = call.route->access.kind();
  if (kind == Access::Kind::Open || kind == Access::Kind::Signature) {
    return std::optional<auth::RunClaim>();
  }
  if (call.is_forwarded() && !call.who.identity.empty()) return std::optional<auth::RunClaim>();
  TRY(auto token, bearer_token(call));
  if (auth::RunTokens::is_run_token(token)) {
    TRY(auto run, call.api.run_tokens.check(token));
    return std::optional(run);
  }
  TRY(call.who, call.api.tokens.find(token, call.api.now_ms()));
  return std::optional<auth::RunClaim>();
}

Task<Result<void>> authenticate_run(Call& call, auth::RunClaim run) {
  co_return co_await call.api.readers.run([&call, &run](sql::Connection& db) -> Result<void> {
    TRY(call.who, principal_of_run(call.api, db, run));
    return {};
  });
}

Result<void> check_permission(const Call& call) {
  const auto& access = call.route->access;
  if (access.kind() != Access::Kind::Permission) return {};
  return require(call, access.permission());
}

Result<void> require(const Call& call, auth::Permission permission) {
  return require(call.who, permission);
}

Result<void> check_may_send(const Call& call, std::string_view trigger) {
  const auto& triggers = call.who.triggers;
  bool is_bound = !call.who.pack.empty() || !triggers.empty();
  if (!is_bound || std::ranges::find(triggers, trigger) != triggers.end()) return {};
  return Error(ErrorKind::Forbidden, "API-0130",
               fmt::format("'{}' may send events of its own triggers alone: expected one of {}, "
                           "found '{}'",
                           call.who.identity, fmt::join(triggers, ", "), trigger));
}

bool may_reach_key(const auth::Principal& who, std::string_view scope, std::string_view name) {
  if (who.pack.empty()) return true;
  std::string of_pack = who.pack + ".";
  if (scope == "system") return name.starts_with(of_pack);
  if (scope == "pack:" + who.pack) return true;
  constexpr std::string_view kSensor = "sensor:";
  return scope.starts_with(kSensor) && scope.substr(kSensor.size()).starts_with(of_pack);
}

Result<void> check_may_reach(const Call& call, std::string_view scope, std::string_view name) {
  if (may_reach_key(call.who, scope, name)) return {};
  return Error(ErrorKind::Forbidden, "API-0130",
               fmt::format("'{}' may reach the keys of pack '{}' alone ('{}.NAME' of system, and "
                           "the scopes of the pack), not '{}' of {}",
                           call.who.identity, call.who.pack, call.who.pack, name, scope));
}

Credential::Credential(const Call& call)
    : permission_(call.route->access.permission()),
      who_(call.who),
      is_forwarded_(call.is_forwarded()),
      next_look_(std::chrono::steady_clock::now()) {
  // may fail: it was admitted, so it has one
  if (auto token = bearer_token(call); token.ok()) token_ = Secret(std::string(*token));
}

Task<Result<void>> Credential::check(Shared& shared) {
  // The server that took it has the token: it waits no longer than this one answers.
  if (is_forwarded_) co_return require(who_, permission_);
  if (!auth::RunTokens::is_run_token(token_.reveal())) {
    CO_TRY(who_, shared.tokens.find(token_.reveal(), shared.now_ms()));
    co_return require(who_, permission_);
  }
  auto now = std::chrono::steady_clock::now();
  if (now < next_look_) co_return Result<void>();
  next_look_ = now + std::chrono::seconds(1);
  CO_TRY(auto run, shared.run_tokens.check(token_.reveal()));
  co_return co_await shared.readers.run([&](sql::Connection& db) -> Result<void> {
    TRY(who_, principal_of_run(shared, db, run));
    return require(who_, permission_);
  });
}

async::Duration Credential::lasts(const Shared& shared, async::Duration limit) const {
  if (who_.expires == 0) return limit;
  return std::clamp(async::Duration(who_.expires - shared.now_ms()), async::Duration(1), limit);
}

namespace {
Error not_taken(std::string_view expected, std::string_view found) {
  return {ErrorKind::Unsupported, "API-0061",
          fmt::format("expected {}, found '{}'", expected, found)};
}
}  // namespace

Result<void> check_not_encoded(const net::HttpRequest& request) {
  auto encoding = trim(request.headers.find("content-encoding"));
  if (encoding.empty() || to_lower_ascii(encoding) == "identity") return {};
  return not_taken("a body without Content-Encoding", encoding);
}

Result<std::string_view> body_text(const net::HttpRequest& request, std::string& decoded) {
  constexpr std::string_view kMark = "\xef\xbb\xbf";  // RFC 8259, 8.1: a reader may skip it
  TRY(check_not_encoded(request));
  auto charset = charset_of(request.headers.find("content-type"));
  if (!charset.empty() && charset != "utf-8") {
    TRY(decoded, to_utf8(request.body, charset));
    return std::string_view(decoded);
  }
  std::string_view text = request.body;
  if (text.starts_with(kMark)) text.remove_prefix(kMark.size());
  return text;
}

namespace {
// Of a route that takes JSON, for a body that is not empty.
Result<void> check_content_type(const Call& call) {
  auto type = media_type(call.http.headers.find("content-type"));
  if (call.route->body_form == BodyForm::Archive) {
    if (type == "application/gzip" || type == "application/x-gzip" || is_json(type)) return {};
    return Error(
        ErrorKind::Unsupported, "API-0012",
        fmt::format("expected Content-Type: application/gzip or application/json, found {}",
                    type.empty() ? "none" : "'" + type + "'"));
  }
  if (call.route->body_form != BodyForm::Json) return {};
  if (is_json(type)) return {};
  return Error(ErrorKind::Unsupported, "API-0012",
               fmt::format("expected Content-Type: application/json, found {}",
                           type.empty() ? "none" : "'" + type + "'"));
}
}  // namespace

Result<void> check_body_form(const Call& call) {
  auto body = trim(call.http.body);
  if (body.empty()) return {};
  if (call.route->body_form == BodyForm::None && body != "{}") {
    return Error(ErrorKind::Invalid, "API-0013",
                 fmt::format("{} {} takes no body", call.http.method, call.route->pattern));
  }
  return check_content_type(call);
}

Result<void> check_query(const Call& call) {
  bool may_have = call.route->query != nullptr || call.route->body_form == BodyForm::Raw;
  if (may_have || call.http.query.empty()) return {};
  const auto& name = call.http.query.front().first;
  return Error(ErrorKind::Invalid, "API-0017",
               fmt::format("{} {} takes no query parameters, found '{}'", call.http.method,
                           call.route->pattern, name))
      .with_problem("?" + name, "unknown");
}

Result<bool> check_head(Call& call) {
  TRY(check_headers(call));
  TRY(check_phase(call));
  TRY(auto run, authenticate(call));
  if (!run) TRY(check_permission(call));
  bool known = !run && call.route->access.kind() != Access::Kind::Open;
  if (call.route->head_check) {
    TRY(known, call.route->head_check(call));
  }
  TRY(check_query(call));
  // Of a body in chunks it is not known yet whether it is empty.
  if (call.http.headers.contains("content-length")) TRY(check_content_type(call));
  TRY(check_not_encoded(call.http));
  return known;
}

// RunningKey

Result<RunningKey> RunningKey::take(Call& call) {
  RunningKey key;
  if (!call.route->takes_key) return key;
  if (!call.http.headers.contains("idempotency-key")) return key;
  auto given = call.http.headers.find("idempotency-key");
  if (trim(given).empty()) {
    return Error(ErrorKind::Invalid, "API-0015",
                 "Idempotency-Key: expected a text such as a UUID, found an empty one: without the "
                 "header each request counts anew");
  }
  constexpr size_t kLongestKey = 255;
  if (given.size() > kLongestKey) {
    return Error(ErrorKind::Invalid, "API-0015",
                 fmt::format("Idempotency-Key: expected at most {} bytes, found {}", kLongestKey,
                             given.size()));
  }
  key.key_ = {call.who.tenant, call.who.identity, std::string(given)};
  if (!call.api.running_keys.insert(key.key_).second) {
    return Error(ErrorKind::Conflict, "API-0014",
                 fmt::format("a request with Idempotency-Key '{}' is still running: ask again "
                             "when it has answered",
                             given));
  }
  key.shared_ = &call.api;
  return key;
}

RunningKey::RunningKey(RunningKey&& other) noexcept
    : shared_(std::exchange(other.shared_, nullptr)), key_(std::move(other.key_)) {}

RunningKey& RunningKey::operator=(RunningKey&& other) noexcept {
  std::swap(shared_, other.shared_);
  std::swap(key_, other.key_);
  return *this;
}

void RunningKey::release() {
  if (shared_) shared_->running_keys.erase(key_);
  shared_ = nullptr;
}

}  // namespace millrace::api
