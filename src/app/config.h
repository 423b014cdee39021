// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "base/fields.h"
#include "base/log.h"
#include "net/address.h"

namespace millrace::app {

// Empty: HTTP in the clear.
struct TlsSection {
  std::string certificate_file;
  std::string key_file;
  static const Fields& fields();
};

struct ServerSection {
  std::string address = "127.0.0.1";
  int64_t port = 8680;
  int64_t drain_timeout_ms = 30'000;
  int64_t max_connections = 4096;
  int64_t max_connections_per_address = 0;
  int64_t max_requests_per_address = 0;
  std::vector<std::string> trusted_proxies;
  int64_t webhook_body_bytes = 10 << 20;
  int64_t webhook_budget_bytes = 64 << 20;
  int64_t event_body_bytes = 1 << 20;
  int last_verdicts = 50;
  TlsSection tls;
  std::string admin_address;
  static const Fields& fields();
};

struct GrpcSection {
  std::string address = "127.0.0.1";
  int64_t port = -1;
  std::string advertise;
  bool tls = false;
  int64_t max_streams = 1000;
  bool reflection = false;
  int64_t keepalive_ms = 30'000;
  int64_t keepalive_timeout_ms = 10'000;
  static const Fields& fields();
};

// Empty: in the data folder.
struct StoreSection {
  std::string url;
  std::string url_file;
  std::string schema = "millrace";
  bool row_security = false;
  int64_t pool_max = 32;
  int64_t pool_wait_ms = 5'000;
  int64_t start_wait_ms = 60'000;
  bool keys_are_lost = false;
  static const Fields& fields();
};

// Whether a bucket stands in the path of requests, or before the host's name.
enum class PathStyle : uint8_t { Auto, Always, Never };
std::string_view to_string(PathStyle style);

// Empty bucket: none.
struct S3Section {
  std::string endpoint;
  std::string region;
  std::string bucket;
  std::string prefix;
  PathStyle path_style = PathStyle::Auto;
  std::string access_key_file;
  std::string secret_key_file;
  std::string session_token_file;
  int64_t part_bytes = 8 << 20;
  int64_t parallel = 4;
  int64_t timeout_ms = 30'000;
  std::string sse;
  std::string ca_file;
  static const Fields& fields();
};

struct BlobSection {
  S3Section s3;
  static const Fields& fields();
};

struct PacksSection {
  std::vector<std::string> folders;
  std::string configs;
  std::vector<std::string> indexes;
  int64_t fetch_timeout_ms = 120'000;
  int64_t keep_releases_days = 30;

  static const Fields& fields();
};

// Of one run; 0: none, but what the server itself was started with.
struct LimitsSection {
  int64_t processes = 1'000;
  int64_t memory_bytes = 4LL << 30;
  int64_t open_files = 0;
  int64_t file_bytes = 16LL << 30;
  int64_t cpu_s = 0;
  int64_t core_bytes = 0;
  static const Fields& fields();
};

// Processes that serve one action after another (`reuse` of an action).
struct WarmSection {
  int64_t processes = 8;
  int64_t calls = 1'000;
  int64_t age_s = 3'600;
  int64_t idle_s = 60;
  int64_t memory_bytes = 512 << 20;
  static const Fields& fields();
};

struct WorkerSection {
  std::string name = "local";
  int64_t slots = 0;
  int64_t kill_grace_ms = 5'000;
  int64_t output_bytes = 10 << 20;
  int64_t linger_ms = 60'000;
  std::vector<std::string> labels;
  LimitsSection limits;
  WarmSection warm;
  bool allow_sudo = false;
  std::string known_hosts;
  std::vector<std::string> env_allowed;
  static const Fields& fields();
};

// Workers in other processes.
struct AgentsSection {
  int64_t session_ttl_ms = 30'000;
  static const Fields& fields();
};

// Of each sensor.
struct SensorsSection {
  int64_t events_per_second = 200;
  int64_t stop_grace_ms = 10'000;
  static const Fields& fields();
};

struct IntakeSection {
  int64_t max_waiting = 8192;
  static const Fields& fields();
};

inline constexpr int64_t kDayMs = 86'400'000;

struct RetentionSection {
  int64_t events_days = 30;
  int64_t executions_days = 30;
  int64_t changes_days = 7;
  int64_t dedupe_days = 7;
  static const Fields& fields();
};

enum class LogStatements : uint8_t { Off, Slow, All };
std::string_view to_string(LogStatements which);

struct LogSection {
  LogLevel level = LogLevel::Info;
  LogFormat format = LogFormat::Json;
  std::string file;
  LogStatements statements = LogStatements::Off;
  int64_t slow_statement_ms = 500;
  static const Fields& fields();
};

// The whole configuration of a server. Defaults run on a laptop.
struct Config {
  ServerSection server;
  GrpcSection grpc;
  StoreSection store;
  BlobSection blob;
  PacksSection packs;
  WorkerSection worker;
  AgentsSection agents;
  SensorsSection sensors;
  IntakeSection intake;
  RetentionSection retention;
  LogSection log;
  static const Fields& fields();
};

// Errors: Invalid, NET-0019, with the key.
Result<std::vector<net::Network>> trusted_proxies(const ServerSection& server);

}  // namespace millrace::app
