// SPDX-License-Identifier: Apache-2.0
#include "app/config.h"

namespace millrace::app {

const Fields& TlsSection::fields() {
  static const Field lines[] = {
      field("certificate_file", &TlsSection::certificate_file,
            "The server's certificate and those of its issuers, PEM. Looked at every 10 s."),
      field("key_file", &TlsSection::key_file, "Its private key, PEM, without a passphrase."),
  };
  static const auto table =
      fields_of<TlsSection>("tls", "HTTPS; without these files HTTP in the clear.", lines);
  return table;
}

const Fields& GrpcSection::fields() {
  static const Field lines[] = {
      field("address", &GrpcSection::address,
            "IP address for workers and other servers. Beyond this machine: with certificates."),
      field("port", &GrpcSection::port,
            "TCP port; 0 takes a free one; -1: 9090 with `serve`, none with `up`.")
          .range(-1, 65'535),
      field("advertise", &GrpcSection::advertise,
            "HOST or HOST:PORT by which others reach it. Empty: address, or the machine's name "
            "where that is 0.0.0.0 or ::."),
      field("tls", &GrpcSection::tls, "Certificates on this machine, too."),
      field("max_streams", &GrpcSection::max_streams, "Calls and streams at the same time.")
          .range(1, 65'000),
      field("reflection", &GrpcSection::reflection, "Tell grpcurl and its like what is offered."),
      field("keepalive_ms", &GrpcSection::keepalive_ms,
            "How often a silent connection is asked whether it lives.")
          .range(1'000, 3'600'000)
          .unit("ms"),
      field("keepalive_timeout_ms", &GrpcSection::keepalive_timeout_ms,
            "How long it may take to answer that.")
          .range(1'000, 3'600'000)
          .unit("ms"),
  };
  static const auto table =
      fields_of<GrpcSection>("grpc", "gRPC, for workers and other servers.", lines);
  return table;
}

const Fields& ServerSection::fields() {
  static const Field lines[] = {
      field("address", &ServerSection::address, "IP address that the API listens on."),
      field("port", &ServerSection::port, "TCP port; 0 takes a free one.").range(0, 65'535),
      field("drain_timeout_ms", &ServerSection::drain_timeout_ms,
            "How long a stop waits for what runs.")
          .range(0, 3'600'000)
          .unit("ms"),
      field("max_connections", &ServerSection::max_connections, "Clients at the same time.")
          .range(1, 65'000),
      field("max_connections_per_address", &ServerSection::max_connections_per_address,
            "Of one address (of IPv6: its first 64 bits); one more is answered 503. 0: a quarter "
            "of max_connections, at least 64.")
          .range(0, 65'000),
      field("max_requests_per_address", &ServerSection::max_requests_per_address,
            "Of one address, not answered yet; one more is answered 503. 0: as many as "
            "connections.")
          .range(0, 65'000),
      field("trusted_proxies", &ServerSection::trusted_proxies,
            "Addresses and networks (10.0.0.0/8) of proxies: their requests count for the address "
            "in X-Forwarded-For or Forwarded, the last that is no proxy.")
          .length(0, 100),
      field("webhook_body_bytes", &ServerSection::webhook_body_bytes,
            "The largest webhook delivery.")
          .range(1024, 64 << 20)
          .unit("bytes"),
      field("webhook_budget_bytes", &ServerSection::webhook_budget_bytes,
            "For all deliveries that are being read and whose signature is not checked yet, "
            "beyond the first 64 KiB of each; over it: 503. Bounds webhook_body_bytes too.")
          .range(0, 1LL << 40)
          .unit("bytes"),
      field("event_body_bytes", &ServerSection::event_body_bytes,
            "The largest CloudEvents request.")
          .range(1024, 64 << 20)
          .unit("bytes"),
      field("last_verdicts", &ServerSection::last_verdicts,
            "Of the last events of its trigger, so many verdicts of a rule are told when nobody "
            "says how many.")
          .range(1, 500),
      field("tls", &ServerSection::tls, "HTTPS; without these files HTTP in the clear."),
      field("admin_address", &ServerSection::admin_address,
            "HOST:PORT for /livez, /ready, /health, /metrics and /info alone, HTTP in the clear. "
            "Empty: none beside the API; without an API 127.0.0.1 and a free port."),
  };
  static const auto table = fields_of<ServerSection>("server", "The API.", lines);
  return table;
}

const Fields& StoreSection::fields() {
  static const Field lines[] = {
      field("url", &StoreSection::url,
            "postgres://USER@HOST:PORT/DATABASE, without a password. Empty: the data folder."),
      field("url_file", &StoreSection::url_file,
            "A file that holds the URL instead; its password may stand in it."),
      field("schema", &StoreSection::schema, "Where the tables lie; made when it is not there."),
      field("row_security", &StoreSection::row_security,
            "PostgreSQL shows and takes only rows of the tenants that a statement names. Needs a "
            "role that is no superuser."),
      field("pool_max", &StoreSection::pool_max, "Connections to PostgreSQL that read.")
          .range(4, 10'000),
      field("pool_wait_ms", &StoreSection::pool_wait_ms,
            "How long a read waits for one of them; then it is answered 503.")
          .range(0, 600'000)
          .unit("ms"),
      field("start_wait_ms", &StoreSection::start_wait_ms,
            "How long a start waits for a PostgreSQL that is away; then it fails.")
          .range(0, 86'400'000)
          .unit("ms"),
      field("keys_are_lost", &StoreSection::keys_are_lost,
            "Starts although keys.json opens nothing that the store holds sealed: encrypted keys "
            "and webhook secrets have to be set again."),
  };
  static const auto table = fields_of<StoreSection>("store", "Where rows are kept.", lines);
  return table;
}

std::string_view to_string(PathStyle style) {
  switch (style) {
    case PathStyle::Auto: return "auto";
    case PathStyle::Always: return "always";
    case PathStyle::Never: return "never";
  }
  return "unknown";
}

const Fields& S3Section::fields() {
  static const Field lines[] = {
      field("endpoint", &S3Section::endpoint,
            "https://HOST[:PORT]. Empty: S3_ENDPOINT, or AWS in the region."),
      field("region", &S3Section::region, "Empty: AWS_REGION, or us-east-1."),
      field("bucket", &S3Section::bucket, "Empty: blobs stay where they were made."),
      field("prefix", &S3Section::prefix, "Before the names of all blobs; ends with /."),
      field("path_style", &S3Section::path_style,
            "The bucket in the path of requests: auto (where endpoint is given), always, never."),
      field("access_key_file", &S3Section::access_key_file, "Empty: AWS_ACCESS_KEY_ID."),
      field("secret_key_file", &S3Section::secret_key_file,
            "Empty: AWS_SECRET_ACCESS_KEY. Files are read again when S3 refuses a key."),
      field("session_token_file", &S3Section::session_token_file,
            "Of keys that are lent. Empty: AWS_SESSION_TOKEN."),
      field("part_bytes", &S3Section::part_bytes, "Larger blobs go up in parts of this size.")
          .range(5 << 20, 64 << 20)
          .unit("bytes"),
      field("parallel", &S3Section::parallel, "Runs whose blobs go up at the same time.")
          .range(1, 64),
      field("timeout_ms", &S3Section::timeout_ms, "Of each try of a request; there are five.")
          .range(100, 600'000)
          .unit("ms"),
      field("sse", &S3Section::sse, "x-amz-server-side-encryption: AES256, aws:kms. Empty: none."),
      field("ca_file", &S3Section::ca_file, "PEM; trusted besides the system's certificates."),
  };
  static const auto table = fields_of<S3Section>("s3", "A bucket that all servers share.", lines);
  return table;
}

const Fields& BlobSection::fields() {
  static const Field lines[] = {
      field("s3", &BlobSection::s3, "A bucket that all servers share."),
  };
  static const auto table =
      fields_of<BlobSection>("blob", "Where large output and artifacts are kept.", lines);
  return table;
}

const Fields& PacksSection::fields() {
  static const Field lines[] = {
      field("folders", &PacksSection::folders,
            "Folders that are a pack, or that hold packs. The core pack is built in.")
          .length(0, 1000),
      field("configs", &PacksSection::configs,
            "A folder with what packs are configured with, PACK.yaml each; none when empty."),
      field("indexes", &PacksSection::indexes,
            "Indexes of packs that can be had, for `pack search` and `pack install NAME`: files "
            "and http(s) URLs in the form of StackStorm-Exchange's index.json.")
          .length(0, 100),
      field("fetch_timeout_ms", &PacksSection::fetch_timeout_ms,
            "How long the fetch of a pack from a git repository may take.")
          .unit("ms")
          .range(1000, 3'600'000),
      field("keep_releases_days", &PacksSection::keep_releases_days,
            "How long a release stays on this machine that is not in force and that no open "
            "execution is pinned to; `pack rollback` cannot bring back one that has gone.")
          .unit("days")
          .range(0, 36'500),
  };
  static const auto table = fields_of<PacksSection>("packs", "Where packs are read from.", lines);
  return table;
}

const Fields& LimitsSection::fields() {
  static const Field lines[] = {
      field("processes", &LimitsSection::processes,
            "Processes and threads of a run at the same time; 0: any number.")
          .range(0, 1'000'000),
      field("memory_bytes", &LimitsSection::memory_bytes,
            "Memory of a run, of all its processes together; 0: any.")
          .range(0, 1LL << 50)
          .unit("bytes"),
      field("open_files", &LimitsSection::open_files,
            "Open files of each process; 0: as many as the server was started with.")
          .range(0, 1LL << 30),
      field("file_bytes", &LimitsSection::file_bytes,
            "Size of each file that a run writes; 0: any.")
          .range(0, 1LL << 60)
          .unit("bytes"),
      field("cpu_s", &LimitsSection::cpu_s,
            "Processor time of each process; 0: any, within the timeout of its action.")
          .range(0, 1LL << 32)
          .unit("s"),
      field("core_bytes", &LimitsSection::core_bytes, "Size of core files; 0: none are written.")
          .range(0, 1LL << 60)
          .unit("bytes"),
  };
  static const auto table = fields_of<LimitsSection>("limits", "What one run may use.", lines);
  return table;
}

const Fields& WarmSection::fields() {
  static const Field lines[] = {
      field("processes", &WarmSection::processes,
            "At the same time; 0: each run has a process of its own.")
          .range(0, 1'000),
      field("calls", &WarmSection::calls, "Of one process, which then ends.").range(1, 1 << 30),
      field("age_s", &WarmSection::age_s, "After which a process serves no more.")
          .range(1, 1 << 30)
          .unit("s"),
      field("idle_s", &WarmSection::idle_s, "After which an idle process ends.")
          .range(1, 1 << 30)
          .unit("s"),
      field("memory_bytes", &WarmSection::memory_bytes,
            "That a process may have after a call and go on.")
          .range(1 << 20, 1LL << 50)
          .unit("bytes"),
  };
  static const auto table = fields_of<WarmSection>(
      "warm", "Processes that serve one action after another, where it says so (reuse).", lines);
  return table;
}

const Fields& WorkerSection::fields() {
  static const Field lines[] = {
      field("name", &WorkerSection::name, "Name of this worker.").length(1, 64),
      field("slots", &WorkerSection::slots, "Runs at the same time; 0: twice the cores.")
          .range(0, 4096),
      field("kill_grace_ms", &WorkerSection::kill_grace_ms, "From SIGTERM to SIGKILL.")
          .range(0, 600'000)
          .unit("ms"),
      field("output_bytes", &WorkerSection::output_bytes,
            "Stored output per stream of a run; what comes after is dropped and counted.")
          .range(64 << 10, 1LL << 40)
          .unit("bytes"),
      field("linger_ms", &WorkerSection::linger_ms,
            "How long an idle spawner waits for a server to come back.")
          .range(0, 86'400'000)
          .unit("ms"),
      field("labels", &WorkerSection::labels,
            "What this worker offers to actions that ask for it (runs_on), as gpu or os=linux.")
          .length(0, 16),
      field("limits", &WorkerSection::limits, "What one run may use."),
      field("warm", &WorkerSection::warm,
            "Processes that serve one action after another, where it says so (reuse)."),
      field("allow_sudo", &WorkerSection::allow_sudo,
            "Shell actions with 'sudo: true' run as root, if sudo lets the server's user through."),
      field("known_hosts", &WorkerSection::known_hosts,
            "File of host keys for remote-shell actions; empty: those of ssh itself."),
      field("env_allowed", &WorkerSection::env_allowed,
            "Variables that callers may set although they steer interpreters (PATH, PYTHON*).")
          .length(0, 1000),
  };
  static const auto table = fields_of<WorkerSection>("worker", "Running actions.", lines);
  return table;
}

const Fields& AgentsSection::fields() {
  static const Field lines[] = {
      field("session_ttl_ms", &AgentsSection::session_ttl_ms,
            "How long an agent's session lasts without a renewal. It renews after a third, its "
            "runs are ended after 11/15, and given to others after 4/3.")
          .range(1'000, 600'000)
          .unit("ms"),
  };
  static const auto table = fields_of<AgentsSection>("agents", "Workers on other machines.", lines);
  return table;
}

const Fields& SensorsSection::fields() {
  static const Field lines[] = {
      field("events_per_second", &SensorsSection::events_per_second,
            "How many events a sensor may send, five seconds' worth at once. One that sends more "
            "has to wait.")
          .range(1, 100'000),
      field("stop_grace_ms", &SensorsSection::stop_grace_ms,
            "Between SIGTERM and SIGKILL of a sensor that is to end. When the server stops it is "
            "1.5 s.")
          .range(0, 600'000)
          .unit("ms"),
  };
  static const auto table = fields_of<SensorsSection>("sensors", "Each sensor of a pack.", lines);
  return table;
}

const Fields& IntakeSection::fields() {
  static const Field lines[] = {
      field("max_waiting", &IntakeSection::max_waiting,
            "Requests that may wait to be written; more are answered 429.")
          .range(1, 1'000'000),
  };
  static const auto table = fields_of<IntakeSection>("intake", "Bounds of the intake.", lines);
  return table;
}

const Fields& RetentionSection::fields() {
  static const Field lines[] = {
      field("events_days", &RetentionSection::events_days, "Events and their enforcements.")
          .range(1, 36'500)
          .unit("days"),
      field("executions_days", &RetentionSection::executions_days,
            "Final executions with their output; quarantine.")
          .range(1, 36'500)
          .unit("days"),
      field("changes_days", &RetentionSection::changes_days, "The change feed.")
          .range(1, 36'500)
          .unit("days"),
      field("dedupe_days", &RetentionSection::dedupe_days,
            "How long a repeated delivery is recognised.")
          .range(1, 36'500)
          .unit("days"),
  };
  static const auto table = fields_of<RetentionSection>("retention", "What is kept.", lines);
  return table;
}

std::string_view to_string(LogStatements which) {
  switch (which) {
    case LogStatements::Off: return "off";
    case LogStatements::Slow: return "slow";
    case LogStatements::All: return "all";
  }
  return "unknown";
}

const Fields& LogSection::fields() {
  static const Field lines[] = {
      field("level", &LogSection::level, "The least that is written."),
      field("format", &LogSection::format, "json or text."),
      field("file", &LogSection::file, "Empty: stderr."),
      field("statements", &LogSection::statements,
            "Of the store: off, slow or all. What is bound to them is never written."),
      field("slow_statement_ms", &LogSection::slow_statement_ms,
            "A statement that takes as long is slow.")
          .range(0, 3'600'000)
          .unit("ms"),
  };
  static const auto table = fields_of<LogSection>("log", "Logs.", lines);
  return table;
}

const Fields& Config::fields() {
  static const Field lines[] = {
      field("server", &Config::server, "The API."),
      field("grpc", &Config::grpc, "gRPC, for workers and other servers."),
      field("store", &Config::store, "Where rows are kept."),
      field("blob", &Config::blob, "Where large output and artifacts are kept."),
      field("packs", &Config::packs, "Where packs are read from."),
      field("worker", &Config::worker, "Running actions."),
      field("agents", &Config::agents, "Workers on other machines."),
      field("sensors", &Config::sensors, "Each sensor of a pack."),
      field("intake", &Config::intake, "Bounds of the intake."),
      field("retention", &Config::retention, "What is kept."),
      field("log", &Config::log, "Logs."),
  };
  static const auto table = fields_of<Config>("config", "The configuration of a server.", lines);
  return table;
}

Result<std::vector<net::Network>> trusted_proxies(const ServerSection& server) {
  std::vector<net::Network> networks;
  for (const auto& text : server.trusted_proxies) {
    auto network = net::Network::parse(text);
    if (!network.ok()) {
      return std::move(network).error().with_context("server.trusted_proxies");
    }
    networks.push_back(*network);
  }
  return networks;
}

}  // namespace millrace::app
