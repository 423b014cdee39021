// SPDX-License-Identifier: Apache-2.0
#include "app/http_front.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "async/deadline.h"
#include "base/log.h"

namespace millrace::app {
namespace {

constexpr async::Duration kLookAtFiles{10'000};
constexpr size_t kAdminConnections = 64;

bool is_loopback(std::string_view address) {
  return address.starts_with("127.") || address == "::1" || address == "localhost";
}

// Small servers still serve a client that opens many.
size_t per_address(int64_t wanted, int64_t connections) {
  constexpr int64_t kAtLeast = 64;
  int64_t quarter = std::max(connections / 4, kAtLeast);
  return static_cast<size_t>(std::min(wanted > 0 ? wanted : quarter, connections));
}

struct Endpoint {
  std::string host;
  uint16_t port = 0;
};

// "127.0.0.1:8681", "[::1]:0".
Result<Endpoint> admin_endpoint(const std::string& text) {
  auto colon = text.rfind(':');
  Endpoint endpoint{text.substr(0, colon), 0};
  const char* begin = text.data() + (colon == std::string::npos ? text.size() : colon + 1);
  const char* end = text.data() + text.size();
  auto [rest, error] = std::from_chars(begin, end, endpoint.port);
  if (colon == 0 || begin == end || error != std::errc() || rest != end) {
    return Error(ErrorKind::Invalid, "APP-0039",
                 fmt::format("server.admin_address: expected ADDRESS:PORT, found '{}'", text));
  }
  auto& host = endpoint.host;
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return endpoint;
}

std::string url_of(const char* scheme, const std::string& host, uint16_t port) {
  bool is_v6 = host.find(':') != std::string::npos;
  return fmt::format("{}://{}{}{}:{}", scheme, is_v6 ? "[" : "", host, is_v6 ? "]" : "", port);
}

}  // namespace

Result<void> HttpFront::listen(const async::Executor& loop, const Given& given) {
  if (given.has_api) TRY(listen_for_api(loop, given));
  return listen_for_admins(loop, given);
}

Result<void> HttpFront::listen_for_api(const async::Executor& loop, const Given& given) {
  const auto& config = given.config;
  net::HttpServerOptions options;
  options.address = config.address;
  options.port = static_cast<uint16_t>(config.port);
  options.max_connections = static_cast<size_t>(given.connections);
  options.max_connections_per_address =
      per_address(config.max_connections_per_address, given.connections);
  options.max_requests_per_address =
      config.max_requests_per_address > 0
          ? per_address(config.max_requests_per_address, given.connections)
          : options.max_connections_per_address;
  options.body_budget = static_cast<size_t>(config.webhook_budget_bytes);
  TRY(options.trusted_proxies, trusted_proxies(config));
  if (!config.tls.certificate_file.empty() || !config.tls.key_file.empty()) {
    TRY(tls_, net::ServerTls::load(config.tls.certificate_file, config.tls.key_file));
    options.tls = tls_;
  }
  TRY(api_, net::HttpServer::listen(loop, std::move(options), given.api.handlers()));
  url_ = url_of(tls_ ? "https" : "http", config.address, api_->port());
  is_open_in_clear_ = !tls_ && !is_loopback(config.address);
  return {};
}

// Beside the API only where it is wanted; without one always: a process that nobody can ask how it
// is cannot be run.
Result<void> HttpFront::listen_for_admins(const async::Executor& loop, const Given& given) {
  std::string where = given.config.admin_address;
  if (where.empty()) {
    if (api_) return {};
    where = "127.0.0.1:0";
  }
  TRY(auto endpoint, admin_endpoint(where));
  net::HttpServerOptions options;
  options.address = endpoint.host;
  options.port = endpoint.port;
  options.max_connections = kAdminConnections;
  TRY(admin_, net::HttpServer::listen(loop, std::move(options), given.api.admin_handlers()));
  auto url = url_of("http", endpoint.host, admin_->port());
  if (!api_) url_ = url;
  log_info("server.admin_ready", {{"url", url}});
  return {};
}

// On the pool: the files may lie on a network.
Task<void> HttpFront::look_at_files(async::Pool& pool) {
  while (tls_) {
    co_await async::sleep_for(kLookAtFiles);
    auto reloaded = co_await pool.run([this] { return tls_->reload(); });
    if (!reloaded.ok()) {
      log_error("tls.not_reloaded", {{"error", reloaded.error().message()}});
    } else if (*reloaded) {
      log_info("tls.reloaded", {});
    }
  }
}

Task<void> HttpFront::stop(async::Duration grace) {
  if (api_) co_await api_->stop(grace);
  if (admin_) co_await admin_->stop(async::Duration(0));
}

}  // namespace millrace::app
