// SPDX-License-Identifier: Apache-2.0
#include "app/agent_identity.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

#include "adapters/work_grpc/identity_renewal.h"
#include "async/completion.h"
#include "auth/certificate.h"
#include "auth/peer.h"
#include "base/files.h"
#include "base/json.h"
#include "base/text.h"
#include "base/time.h"
#include "net/http_client.h"
#include "net/url.h"

namespace millrace::app {
namespace {

constexpr size_t kLongestFile = 256 << 10;
constexpr async::Duration kRenewal{30'000};

// A join file: the token, and the pin of the authority that will sign.
struct JoinFile {
  Secret token;
  std::string pin;
};

Result<JoinFile> read_join_file(const std::string& path) {
  if (path.empty()) {
    return Error(ErrorKind::Invalid, "AGT-0006",
                 "this agent has no identity: --join-file names what `millrace worker token` gave");
  }
  TRY(auto text, read_file(path, kLongestFile));
  auto words = split(trim(text), ' ');
  if (words.size() == 2) return JoinFile{Secret(std::string(words[0])), std::string(words[1])};
  return Error(
      ErrorKind::Invalid, "AGT-0006",
      fmt::format("'{}': expected a token and a pin, as `millrace worker token` prints them",
                  path));
}

// Who reads a join token on its way may use it first.
Result<void> check_way_of_token(const std::string& server) {
  TRY(auto url, net::parse_url(server));
  bool is_here = url.host == "localhost" || url.host == "::1" || url.host.starts_with("127.");
  if (url.tls || is_here) return {};
  return Error(ErrorKind::Forbidden, "AGT-0008",
               fmt::format("the join token would travel to {} in the clear: expected an https URL "
                           "(server.tls), or a server on this machine",
                           url.authority()));
}

Error refused(const net::ClientResponse& response) {
  auto body = parse_json(response.body);
  std::string why = body.ok() ? std::string(body->string_or("message", "")) : std::string();
  std::string code = body.ok() ? std::string(body->string_or("code", "")) : std::string();
  auto kind = response.status == 401   ? ErrorKind::Unauthorized
              : response.status == 403 ? ErrorKind::Forbidden
              : response.status == 409 ? ErrorKind::Conflict
                                       : ErrorKind::Unavailable;
  return Error(
      kind, code.empty() ? "AGT-0006" : code,
      fmt::format("the server does not let this agent join ({}): {}", response.status, why));
}

}  // namespace

AgentIdentity::AgentIdentity(Options options)
    : options_(std::move(options)),
      files_{.certificate = options_.folder + "/agent.pem",
             .key = options_.folder + "/agent.pem",
             .authorities = options_.folder + "/authorities.crt"},
      facts_(options_.folder + "/identity.json") {}

Task<Result<AgentIdentity>> AgentIdentity::open(Options options, int64_t now_ms) {
  std::error_code ec;
  std::filesystem::create_directories(options.folder, ec);
  if (ec || ::chmod(options.folder.c_str(), 0700) != 0) {
    co_return Error(ErrorKind::Unavailable, "APP-0004",
                    fmt::format("folder '{}': {}", options.folder,
                                ec ? ec.message() : "not ours to protect (chmod failed)"));
  }
  AgentIdentity identity(std::move(options));
  if (!identity.is_good(now_ms)) CO_TRY(co_await identity.join(now_ms));
  co_return identity;
}

// One that was made for another name is another agent's.
bool AgentIdentity::is_good(int64_t now_ms) const {
  auto text = read_file(facts_, kLongestFile);
  auto facts = text.ok() ? parse_json(*text) : Result<Value>(text.error());
  if (!facts.ok() || facts->string_or("name", "") != options_.name) return false;
  const Value* expires = facts->find("expires_ms");
  if (!expires || !expires->is_int() || expires->as_int() <= now_ms) return false;
  if (!facts->string_or("token", "").empty()) return true;
  auto certificate = read_file(files_.certificate, kLongestFile);
  return certificate.ok() && auth::read_certificate(*certificate).ok();
}

Task<Result<void>> AgentIdentity::join(int64_t now_ms) {
  CO_TRY(auto file, read_join_file(options_.join_file));
  CO_TRY(check_way_of_token(options_.server));
  auto key = auth::make_private_key();
  CO_TRY(auto request, auth::certificate_request(key));
  net::HttpClient client({.ca_file = options_.ca_file});
  net::ClientRequest post{
      .method = "POST",
      .url = options_.server + "/api/v1/workers/join",
      .headers = {{"Authorization", "Bearer " + file.token.reveal()},
                  {"Content-Type", "application/json"}},
      .body = to_json(Value::map({{"name", options_.name}, {"request", request}}))};
  CO_TRY(auto response, co_await client.send(std::move(post)));
  if (response.status / 100 != 2) co_return refused(response);
  CO_TRY(auto answer, parse_json(response.body));
  const Value& data = answer["data"];
  Given given{.certificate = std::string(data.string_or("certificate", "")),
              .authorities = std::string(data.string_or("authorities", "")),
              .token = std::string(data.string_or("token", "")),
              .grpc = std::string(data.string_or("grpc", ""))};
  CO_TRY(given.expires_ms, parse_rfc3339(data.string_or("expires", "")));
  // Only that one is trusted, whatever else came with it: whoever stands between knows it, too.
  if (given.token.empty()) {
    auto pinned = auth::authority_of_pin(given.authorities, file.pin);
    if (!pinned.ok()) {
      co_return Error(ErrorKind::Forbidden, "AGT-0007",
                      fmt::format("the server at {} is not the one that the join token is of: its "
                                  "authority has another key than {}",
                                  options_.server, file.pin.substr(0, 16)));
    }
    given.authorities = *std::move(pinned);
  }
  co_return keep(given, key.reveal(), now_ms);
}

// Certificate and key in one file, that they change as one: who dies between has both of the old
// ones or both of the new. The facts last: they say that the rest is there.
Result<void> AgentIdentity::keep(const Given& given, const std::string& key, int64_t now_ms) const {
  if (given.token.empty()) {
    TRY(replace_file(files_.authorities, given.authorities, 0600));
    TRY(replace_file(files_.certificate, given.certificate + key, 0600));
  }
  Value facts = Value::map({{"name", options_.name},
                            {"grpc", given.grpc},
                            {"token", given.token},
                            {"begins_ms", now_ms},
                            {"expires_ms", given.expires_ms}});
  return replace_file(facts_, to_json(facts), 0600);
}

Result<work_grpc::AgentConnection::Way> AgentIdentity::way() const {
  TRY(auto text, read_file(facts_, kLongestFile));
  TRY(auto facts, parse_json(text));
  work_grpc::AgentConnection::Way way;
  way.target = options_.grpc.empty() ? std::string(facts.string_or("grpc", "")) : options_.grpc;
  std::string token(facts.string_or("token", ""));
  if (token.empty()) {
    way.credentials = rpc::channel_credentials(files_);
  } else {
    way.bearer = Secret(token);
  }
  return way;
}

Task<Result<int64_t>> AgentIdentity::renew(int64_t now_ms) {
  CO_TRY(auto text, read_file(facts_, kLongestFile));
  CO_TRY(auto facts, parse_json(text));
  int64_t begins_ms = facts["begins_ms"].as_int(), expires_ms = facts["expires_ms"].as_int();
  int64_t due_ms = begins_ms + (expires_ms - begins_ms) * 2 / 3;
  if (now_ms < due_ms) co_return due_ms;
  CO_TRY(auto way, this->way());
  auto key = auth::make_private_key();
  CO_TRY(auto request, auth::certificate_request(key));
  async::Completion<work_grpc::RenewedIdentity> replied(co_await async::this_executor());
  work_grpc::renew_identity(way, request,
                            [replied](auto next) { replied.fulfil(std::move(next)); });
  CO_TRY(auto next, co_await replied.wait(kRenewal));
  Given given{.certificate = std::move(next.certificate),
              .authorities = std::move(next.authorities),
              .token = std::move(next.token),
              .expires_ms = next.expires_ms,
              .grpc = std::string(facts.string_or("grpc", ""))};
  CO_TRY(keep(given, key.reveal(), now_ms));
  co_return now_ms + (given.expires_ms - now_ms) * 2 / 3;
}

}  // namespace millrace::app
