// SPDX-License-Identifier: Apache-2.0
#include "adapters/store_postgres/store_postgres.h"

#include <fmt/format.h>
#include <libpq-fe.h>

#include <ranges>
#include <semaphore>
#include <thread>

#include "adapters/store_postgres/connection.h"
#include "adapters/store_postgres/dialect.h"
#include "adapters/store_postgres/ear.h"
#include "base/log.h"
#include "base/time.h"
#include "store/row_reader.h"

namespace millrace::store_postgres {
namespace {

// How many readers there may be at the same time. Thread-safe.
class Places {
 public:
  explicit Places(size_t count) : free_(static_cast<ptrdiff_t>(count)) {}
  // Given back with what it returns; null: none became free in time.
  static std::shared_ptr<void> take(const std::shared_ptr<Places>& of, int64_t within_ms) {
    if (!of->free_.try_acquire_for(std::chrono::milliseconds(within_ms))) return nullptr;
    return {of.get(), [of](void*) { of->free_.release(); }};
  }

 private:
  std::counting_semaphore<> free_;
};

class PgStore final : public sql::Store {
 public:
  explicit PgStore(Options options)
      : options_(std::move(options)), places_(std::make_shared<Places>(options_.pool_max)) {}

  Result<std::unique_ptr<sql::Connection>> open_writer() override {
    TRY(auto connection, PgConnection::open(options_, {}));
    return std::unique_ptr<sql::Connection>(std::move(connection));
  }
  Result<std::unique_ptr<sql::Connection>> open_reader() override {
    auto place = Places::take(places_, options_.pool_wait_ms);
    if (!place) {
      return error_of(sql::kBusy, "connect",
                      fmt::format("all {} connections of store.pool_max are in use for {} ms",
                                  options_.pool_max, options_.pool_wait_ms));
    }
    TRY(auto connection,
        PgConnection::open(options_,
                           {.is_reader = true, .reads_much = options_.reads_much, .cut = cut_}));
    connection->keep(std::move(place));
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
  const std::shared_ptr<Places> places_;
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
  TRY(int64_t older, store::query_int(writer, fmt::format("SELECT count(*) {}", kOlderKeys)));
  if (older > 0) {
    TRY(writer.run(fmt::format("SELECT pg_advisory_xact_lock({});{}",
                               lock_number(options.schema, "writers"), keys_last_script())));
  }
  TRY(writer.run(row_security_script(options.row_security)));
  if (options.row_security) {
    TRY(int64_t bypasses, store::query_int(writer,
                                           "SELECT count(*) FROM pg_roles WHERE rolname = "
                                           "current_user AND (rolsuper OR rolbypassrls)"));
    if (bypasses > 0) {
      log_warn("store.row_security_bypassed",
               {{"do", "connect as a role that is neither superuser nor BYPASSRLS"}});
    }
  }
  // Of connections that ended long ago.
  constexpr int64_t kWeekMs = 7LL * 24 * 3600 * 1000;
  TRY(auto* sweep, writer.prepare("DELETE FROM commit_mark WHERE at < $1"));
  TRY(sweep->execute(unix_ms() - kWeekMs));
  return {};
}

// A database may come up after its clients. One that is there and refuses us will do so again;
// twice, since it may have come up between the connection that failed and the question whether it
// is there.
Result<std::unique_ptr<sql::Connection>> open_when_there(PgStore& store, const Options& options) {
  using std::chrono::seconds;
  auto now = [] { return std::chrono::steady_clock::now(); };
  auto until = now() + std::chrono::milliseconds(options.start_wait_ms);
  auto tell_at = now();
  bool was_there = false;
  for (int tries = 0;; std::this_thread::sleep_for(pause_before(tries++))) {
    auto writer = store.open_writer();
    bool has_failed =
        !writer.ok() && writer.error().code() == sql::kAway && options.start_wait_ms > 0;
    if (!has_failed) return writer;
    bool is_there = !Session::may_come(options, writer.error());
    if (is_there && std::exchange(was_there, is_there)) return writer;
    was_there = is_there;
    if (now() >= until) {
      return std::move(writer).error().with_context(fmt::format(
          "waited {} ms for the database (store.start_wait_ms)", options.start_wait_ms));
    }
    if (is_there || now() < tell_at) continue;
    log_warn("store.waiting", {{"at_most_s", std::chrono::ceil<seconds>(until - now()).count()},
                               {"error", writer.error().message()}});
    tell_at = now() + seconds(10);
  }
}

}  // namespace

Result<std::unique_ptr<sql::Store>> open(Options options) {
  TRY(auto look, look_at(options.url));
  options.needs_tls = look.is_remote;
  auto store = std::make_unique<PgStore>(options);
  TRY(auto writer, open_when_there(*store, options));
  TRY(prepare_schema(*writer, options));
  return std::unique_ptr<sql::Store>(std::move(store));
}

Result<std::unique_ptr<sql::Connection>> open_reader(Options options) {
  TRY(auto look, look_at(options.url));
  options.reads_much = true;
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
