// SPDX-License-Identifier: Apache-2.0
#include "adapters/store_postgres/store_postgres.h"

#include <fmt/format.h>
#include <libpq-fe.h>

#include <ranges>

#include "adapters/store_postgres/connection.h"
#include "adapters/store_postgres/ear.h"
#include "base/time.h"
#include "store/row_reader.h"

namespace millrace::store_postgres {
namespace {

class PgStore final : public sql::Store {
 public:
  explicit PgStore(Options options) : options_(std::move(options)) {}

  Result<std::unique_ptr<sql::Connection>> open_writer() override {
    TRY(auto connection, PgConnection::open(options_, {}));
    return std::unique_ptr<sql::Connection>(std::move(connection));
  }
  Result<std::unique_ptr<sql::Connection>> open_reader() override {
    TRY(auto connection, PgConnection::open(options_, {.is_reader = true, .cut = cut_}));
    return std::unique_ptr<sql::Connection>(std::move(connection));
  }
  void cut_reads(Moment at) override { cut_->store(at, std::memory_order_relaxed); }
  Result<void> backup(const std::string& target) override {
    return Error(ErrorKind::Unsupported, sql::kStatement,
                 fmt::format("cannot copy a PostgreSQL store to '{}': copy it by pg_dump or "
                             "pg_basebackup",
                             target));
  }
  // The server looks after its log by itself.
  Result<int64_t> checkpoint() override { return int64_t{0}; }
  Result<std::unique_ptr<sql::Listening>> listen(sql::Listener listener) override {
    return Ear::open(options_, std::move(listener));
  }

 private:
  const Options options_;
  std::shared_ptr<std::atomic<Moment>> cut_ = std::make_shared<std::atomic<Moment>>(Moment::max());
};

bool is_local(std::string_view host) {
  return host.empty() || host.starts_with('/') || host.starts_with('@') || host == "localhost" ||
         host.starts_with("127.") || host == "::1";
}

// The schema and the adapter's own table. A role that owns only its schema needs no more rights.
Result<void> prepare_schema(sql::Connection& writer, const Options& options) {
  TRY(int64_t there,
      store::query_int(writer, "SELECT count(*) FROM pg_namespace WHERE nspname = $1",
                       options.schema));
  if (there == 0) {
    std::string name;
    for (char c : options.schema) name += c == '"' ? std::string("\"\"") : std::string(1, c);
    TRY(writer.run(fmt::format("CREATE SCHEMA IF NOT EXISTS \"{}\"", name)));
  }
  TRY(int64_t marked, store::query_int(writer,
                                       "SELECT count(*) FROM pg_tables WHERE schemaname = $1 AND "
                                       "tablename = 'commit_mark'",
                                       options.schema));
  if (marked == 0) {
    TRY(
        writer.run(fmt::format("SELECT pg_advisory_xact_lock({}); CREATE TABLE IF NOT EXISTS "
                               "commit_mark (writer BIGINT PRIMARY KEY, mark BIGINT NOT NULL, "
                               "at BIGINT NOT NULL) WITH (fillfactor = 50)",
                               lock_number(options.schema, "writers"))));
  }
  // Of connections that ended long ago.
  constexpr int64_t kWeekMs = 7LL * 24 * 3600 * 1000;
  TRY(auto* sweep, writer.prepare("DELETE FROM commit_mark WHERE at < $1"));
  TRY(sweep->execute(unix_ms() - kWeekMs));
  return {};
}

}  // namespace

Result<std::unique_ptr<sql::Store>> open(Options options) {
  TRY(auto look, look_at(options.url));
  options.needs_tls = look.is_remote;
  auto store = std::make_unique<PgStore>(options);
  TRY(auto writer, store->open_writer());
  TRY(prepare_schema(*writer, options));
  return std::unique_ptr<sql::Store>(std::move(store));
}

Result<std::unique_ptr<sql::Connection>> open_reader(Options options) {
  TRY(auto look, look_at(options.url));
  options.needs_tls = look.is_remote;
  return PgStore(std::move(options)).open_reader();
}

Result<UrlLook> look_at(const std::string& url) {
  auto wrong = [](std::string_view why) {
    return Error(ErrorKind::Invalid, "STO-0012",
                 fmt::format("expected postgres://USER@HOST:PORT/DATABASE: {}", why));
  };
  if (!url.starts_with("postgres://") && !url.starts_with("postgresql://")) {
    size_t scheme = url.find("://");
    return wrong(scheme == url.npos || scheme > 20
                     ? "found no scheme"
                     : fmt::format("found the scheme '{}'", url.substr(0, scheme)));
  }
  char* said = nullptr;
  std::unique_ptr<PQconninfoOption, void (*)(PQconninfoOption*)> parts(
      PQconninfoParse(url.c_str(), &said), PQconninfoFree);
  PQfreemem(said);  // repeats the URL
  if (!parts) return wrong("found something else behind the scheme");
  UrlLook look;
  for (auto* part = parts.get(); part->keyword; ++part) {
    std::string_view keyword = part->keyword;
    std::string_view value = part->val ? part->val : "";
    if (keyword == "password" || keyword == "sslpassword") look.has_password |= !value.empty();
    if (keyword == "host" || keyword == "hostaddr") {
      for (auto host : std::views::split(value, ',')) {
        look.is_remote |= !is_local(std::string_view(host.begin(), host.end()));
      }
    }
    if (keyword == "sslmode") look.checks_host = value == "verify-full";
  }
  return look;
}

}  // namespace millrace::store_postgres
