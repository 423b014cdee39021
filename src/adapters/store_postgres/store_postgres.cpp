// SPDX-License-Identifier: Apache-2.0
#include "adapters/store_postgres/store_postgres.h"

#include <fmt/format.h>

#include "adapters/store_postgres/connection.h"

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

 private:
  const Options options_;
  std::shared_ptr<std::atomic<Moment>> cut_ = std::make_shared<std::atomic<Moment>>(Moment::max());
};

}  // namespace

Result<std::unique_ptr<sql::Store>> open(Options options) {
  auto store = std::make_unique<PgStore>(options);
  TRY(auto writer, store->open_writer());
  std::string name;
  for (char c : options.schema) name += c == '"' ? std::string("\"\"") : std::string(1, c);
  TRY(writer->run(fmt::format("CREATE SCHEMA IF NOT EXISTS \"{}\"", name)));
  return std::unique_ptr<sql::Store>(std::move(store));
}

}  // namespace millrace::store_postgres
