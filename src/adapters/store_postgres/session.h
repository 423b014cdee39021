// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "adapters/store_postgres/rows.h"
#include "adapters/store_postgres/store_postgres.h"
#include "store/sql.h"

struct pg_conn;
struct pg_result;

namespace millrace::store_postgres {

using Moment = std::chrono::steady_clock::time_point;

struct ResultFree {
  void operator()(pg_result* result) const;
};
using ResultPtr = std::unique_ptr<pg_result, ResultFree>;

// What one message brought: the results up to the first error, behind which nothing was run.
struct Replies {
  std::vector<ResultPtr> results;
  bool failed = false;
  std::string sqlstate;  // of the error, and what the server says of it
  std::string said;
};

// One connection to the server, until it is lost; in libpq's pipeline mode: what is added waits for
// nothing, and one exchange brings all answers. Blocks its thread, with a deadline for every wait.
class Session {
 public:
  struct Kind {
    bool is_reader = false;
    bool reads_much = false;
    // Of a reader: what runs at this moment is cut off.
    std::shared_ptr<const std::atomic<Moment>> cut;
  };
  // Errors: kAway, kStatement (a server or a database that does not suit).
  static Result<std::unique_ptr<Session>> open(const Options& options, const Kind& kind);
  // After it could not be opened: no server answers, or it will be writable later.
  static bool may_come(const Options& options, const Error& why);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Nothing can be done with it any more.
  bool is_lost() const { return lost_ != Lost::No; }
  bool is_reader() const { return kind_.is_reader; }
  bool was_too_slow() const { return lost_ == Lost::TooSlow; }
  bool in_transaction() const { return in_transaction_; }
  // Gives it up; whatever it was in is rolled back by the server.
  Error lose(std::string_view doing, std::string_view why = {});

  // A script without parameters, beside the pipeline: the first value of its last rows. Errors:
  // those of the script, kAway when the session was lost.
  Result<std::string> ask(const std::string& script, Moment deadline);

  // Waits until the server tells something by itself, `wake` can be read or it is time; adds the
  // payloads of the notifications that have come. Errors: kAway.
  Result<void> hear(int wake, Moment until, std::vector<std::string>& heard);

  // A message: what is added and then exchanged. False: the session is lost.
  bool add_parse(const std::string& name, const std::string& text,
                 std::span<const Rows::Kind> kinds);
  bool add_run(const std::string& name, std::span<const Rows::Value> row);
  // Sends what was added so far, as far as the server takes it.
  Result<void> flush(Moment deadline, std::string_view doing);
  // Errors: kAway, when the session was lost: what was added may have been run.
  Result<Replies> exchange(Moment deadline, std::string_view doing);
  // Sends it and ends the transaction that it ends; the next exchange drops what it brings.
  Result<void> send_off(Moment deadline);

 private:
  enum class Lost : uint8_t { No, Yes, TooSlow };
  Session(pg_conn* raw, Kind kind);
  Result<void> equip(const Options& options);
  bool is_cut() const;
  Result<void> wait(bool for_writing, Moment deadline, std::string_view doing);
  Result<ResultPtr> next_result(Moment deadline, std::string_view doing);
  void note_transaction();

  std::unique_ptr<pg_conn, void (*)(pg_conn*)> raw_;
  const Kind kind_;
  Lost lost_ = Lost::No;
  bool in_transaction_ = false;
  int sent_off_ = 0;  // messages whose answers nobody waits for
};

// Before the next of several tries: somewhere in the upper half of a time that doubles with each,
// up to 2 s. Servers that lost one database do not come back at the same moment.
std::chrono::milliseconds pause_before(int tries);

// Types by their OIDs (pg_type.dat): these never change.
inline constexpr unsigned kBoolOid = 16;
inline constexpr unsigned kByteaOid = 17;
inline constexpr unsigned kInt8Oid = 20;
inline constexpr unsigned kInt2Oid = 21;
inline constexpr unsigned kInt4Oid = 23;
inline constexpr unsigned kTextOid = 25;
inline constexpr unsigned kByteaArrayOid = 1001;
inline constexpr unsigned kTextArrayOid = 1009;
inline constexpr unsigned kInt8ArrayOid = 1016;

inline constexpr std::string_view kCutOff = "cut off, the server is stopping";

}  // namespace millrace::store_postgres
