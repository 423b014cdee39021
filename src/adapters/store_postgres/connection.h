// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "adapters/store_postgres/dialect.h"
#include "adapters/store_postgres/store_postgres.h"
#include "base/hash.h"
#include "store/sql.h"

struct pg_conn;
struct pg_result;

namespace millrace::store_postgres {

using Moment = std::chrono::steady_clock::time_point;

struct ResultFree {
  void operator()(pg_result* result) const;
};
using ResultPtr = std::unique_ptr<pg_result, ResultFree>;

// The parameters of a statement, of one row after the other, in the wire's binary form. Texts and
// blobs are views.
class Rows {
 public:
  enum class Kind : uint8_t { None, Int, Text, Blob };
  struct Value {
    Kind kind = Kind::None;
    char number[8] = {};  // big endian
    std::string_view bytes;
  };
  void put_int(int index, int64_t value);  // index from 1
  void put_bytes(int index, Kind kind, std::string_view value);
  void end_row() { ++count_; }
  size_t count() const { return count_; }
  std::span<const Value> row(size_t number) const;
  void clear();

 private:
  Value& at(int index);
  std::vector<Value> values_;
  size_t width_ = 0;
  size_t count_ = 0;
};

// One session with the server, in pipeline mode (libpq 14): what is sent waits for nothing, and one
// sync ends it. Blocks its thread, with a deadline for every wait.
class PgConnection final : public sql::Connection {
 public:
  struct Limits {
    bool is_reader = false;
    // Of a reader: what runs at this moment is cut off.
    std::shared_ptr<const std::atomic<Moment>> cut;
  };
  static Result<std::unique_ptr<PgConnection>> open(const Options& options, Limits limits);
  ~PgConnection() override;
  PgConnection(const PgConnection&) = delete;
  PgConnection& operator=(const PgConnection&) = delete;

  Result<sql::Statement*> prepare(std::string_view text) override;
  Result<std::unique_ptr<sql::Batch>> batch(std::string_view text) override;
  Result<void> run(std::string_view script) override;
  bool in_transaction() const override;

  // A text that the server has parsed, or will when it is first run: only then the kinds of its
  // parameters are known. (`$1 >> shard` would be read as a shift of 32 bits otherwise.)
  struct Prepared {
    explicit Prepared(std::string text_) : text(std::move(text_)) {}
    std::string text;
    std::string name;
    std::vector<Rows::Kind> kinds;
    int64_t session = 0;  // by which it is known; 0: by none
  };
  // Runs it for each row, in one message. Their results, or the error of the first that failed,
  // behind which none was run.
  Result<std::vector<ResultPtr>> run(Prepared& prepared, const Rows& rows);

 private:
  PgConnection(const Options& options, Limits limits);
  using Handle = std::unique_ptr<pg_conn, void (*)(pg_conn*)>;

  Result<void> connect();
  Result<void> start_session();
  Result<void> be_ready(Verb verb);
  bool is_cut() const;
  Result<void> wait(bool for_writing, Moment deadline, std::string_view doing);
  Result<void> flush(Moment deadline, std::string_view doing);
  Result<ResultPtr> next_result(Moment deadline, std::string_view doing);
  bool send(const Prepared& prepared, std::span<const Rows::Value> row);
  bool parse(Prepared& prepared, std::span<const Rows::Value> row);
  Result<std::vector<ResultPtr>> exchange(Prepared& prepared, const Rows& rows, Verb verb);
  Result<std::string> ask(const std::string& query);
  Result<void> settle(Error lost);
  Error lose(std::string_view doing, std::string_view why = {});

  const Options options_;
  const Limits limits_;
  Handle connection_{nullptr, nullptr};
  int64_t session_ = 0;  // rises with each connection
  bool in_transaction_ = false;
  bool lost_in_transaction_ = false;
  int tries_ = 0;  // to connect, since it was last connected
  Moment next_try_;
  std::string transaction_;  // the id of the one that a writer is in
  std::string backend_;      // the process that serves it
  int64_t names_ = 0;
  std::unordered_map<std::string, std::unique_ptr<class PgStatement>, StringHash, std::equal_to<>>
      statements_;
};

}  // namespace millrace::store_postgres
