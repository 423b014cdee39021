// SPDX-License-Identifier: Apache-2.0
// The SQL port. Shared SQL uses $1..$N and no casts; each adapter maps it to its engine.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/ids.h"
#include "base/result.h"

namespace millrace::sql {

// Stable codes of what a store can answer. All are ErrorKind::Unavailable but kConstraint,
// kDamaged and kStatement (Internal), kNewer (Unsupported), kExists and kUnfinished (Conflict).
inline constexpr std::string_view kFull = "STO-0001";        // no space left; nothing was written
inline constexpr std::string_view kSyncFailed = "STO-0002";  // I/O error: a writer must exit
inline constexpr std::string_view kBusy = "STO-0003";        // locked, too slow, away
inline constexpr std::string_view kConstraint = "STO-0004";  // a row conflicts or is too large
inline constexpr std::string_view kDamaged = "STO-0005";     // corrupt file: a writer must exit
inline constexpr std::string_view kNewer = "STO-0006";       // made by a newer Millrace
inline constexpr std::string_view kStale = "STO-0007";       // a row version did not hold
inline constexpr std::string_view kOwned = "STO-0008";       // another server has the store
inline constexpr std::string_view kStatement = "STO-0009";   // unknown table, bad SQL
inline constexpr std::string_view kExists = "STO-0010";      // a backup would overwrite a file
inline constexpr std::string_view kAway = "STO-0014";        // not to be reached; no row's fault
inline constexpr std::string_view kUnfinished = "STO-0013";  // a copy that is not whole

// Bytes that are stored as a blob; text is stored as text.
struct Blob {
  std::string_view bytes;
};

// What takes the parameters of a statement.
class Binder {
 public:
  virtual ~Binder() = default;
  virtual void bind_int(int index, int64_t value) = 0;  // index from 1
  virtual void bind_text(int index, std::string_view value) = 0;
  virtual void bind_blob(int index, std::string_view value) = 0;

  template <typename... Args>
  void bind(const Args&... args) {
    int index = 0;
    (bind_at(++index, args), ...);
  }
  template <typename T>
  void bind_at(int index, const T& value) {
    if constexpr (std::is_same_v<T, Blob>) {
      bind_blob(index, value.bytes);
    } else if constexpr (std::is_convertible_v<const T&, std::string_view>) {
      bind_text(index, value);
    } else if constexpr (std::is_enum_v<T>) {
      bind_int(index, static_cast<int64_t>(value));
    } else if constexpr (std::is_integral_v<T>) {
      bind_int(index, static_cast<int64_t>(value));
    } else {
      bind_int(index, value.value);  // a strong id
    }
  }
};

// A prepared statement. Bound views must live until the next `reset`, which `execute` and the
// queries of row_reader.h do by themselves. Not thread-safe: belongs to its connection's thread.
class Statement : public Binder {
 public:
  // True: a row is there; false: done.
  virtual Result<bool> step() = 0;
  virtual void reset() = 0;
  // Rows that the last finished INSERT, UPDATE or DELETE touched.
  virtual int64_t affected() const = 0;
  virtual int64_t column_int(int column) const = 0;  // column from 0
  // Valid until the next step or reset.
  virtual std::string_view column_bytes(int column) const = 0;

  // Binds, runs to the end and resets. Returns the rows touched.
  template <typename... Args>
  Result<int64_t> execute(const Args&... args) {
    bind(args...);
    auto stepped = step();
    int64_t touched = affected();
    reset();
    if (!stepped.ok()) return std::move(stepped).error();
    return touched;
  }
};

// The rows of one writing statement. An engine over a network sends them in one message; one in the
// process may run each as it is added. Bound views must live until `flush`.
class Batch : public Binder {
 public:
  template <typename... Args>
  void add(const Args&... args) {
    bind(args...);
    end_row();
  }
  // What was bound since the last row is one more.
  virtual void end_row() = 0;
  // Has run the statement for each row in the order in which they were added, and forgets them. How
  // many rows each has touched, valid until the next row; or the error of the first that failed,
  // behind which nothing was run.
  virtual Result<std::span<const int64_t>> flush() = 0;

  // Judges how many rows each row of the batch has touched. It outlives what it was made beside.
  using Check = std::function<Result<void>(std::span<const int64_t>)>;
  // As flush, but its outcome is not needed before the transaction ends: over a network it travels
  // with what comes next. Its error, or that of `check` (empty: none), is told here or by a later
  // call, at the latest by Connection::commit. What was bound is not needed any more.
  virtual Result<void> put_off(Check check);
};

// How a commit ends. `rows`: what was put off has failed. The other one is nobody's fault.
struct Committed {
  Result<void> rows;
  Result<void> commit;
};

// What a commit tells whoever listens. It is a hint: it may be lost, the row is the truth.
struct Hint {
  std::string_view topic;  // one word
  std::string_view payload;
};

class Connection {
 public:
  virtual ~Connection() = default;
  // Prepared once per text and kept as long as the connection.
  virtual Result<Statement*> prepare(std::string_view text) = 0;
  virtual Result<std::unique_ptr<Batch>> batch(std::string_view text);
  // What soon is read: rows of parameters with which this query is run in the same transaction.
  // Over a network they travel in one message, once they are put off, and running the query waits
  // for nothing. Null: reading it ahead would gain nothing.
  virtual Result<std::unique_ptr<Batch>> ahead(std::string_view text) {
    (void)text;
    return std::unique_ptr<Batch>();
  }
  // What was put off has been run; the error of the first that failed.
  virtual Result<void> await() { return {}; }
  // Ends a writer's transaction.
  virtual Committed commit();
  // Several statements without parameters (schema, BEGIN, COMMIT). A writer's transaction begins
  // with "BEGIN IMMEDIATE"; with "BEGIN EXCLUSIVE" no other writer is in one meanwhile.
  virtual Result<void> run(std::string_view script) = 0;
  // In a transaction: from here to its end no other writer numbers the change feed.
  virtual Result<void> lock_numbering() { return {}; }
  // In a writer's transaction: when it is committed, whoever listens to the store hears it; when it
  // is not, nobody does. Goes with COMMIT, in no message of its own. The same one twice in a
  // transaction may be heard once. At most kLongestHint bytes of UTF-8 text, both together.
  virtual void notify(const Hint& hint) { (void)hint; }
  // False once the engine has rolled the transaction back by itself (SQLITE_FULL, IOERR).
  virtual bool in_transaction() const = 0;
  // Size of the log of recent commits that Store::checkpoint() moves; 0 where the engine does it.
  virtual int64_t log_bytes() const { return 0; }
  // Gives up to `pages` free pages at the end of the main file back to the disk, in a commit of its
  // own; some are kept for what comes. False: nothing more is to be given back, or the engine does
  // it by itself. Of a writer, outside of a transaction.
  virtual Result<bool> give_back(int64_t pages) {
    (void)pages;
    return false;
  }
  // What the engine itself finds wrong with the stored bytes; empty: nothing.
  virtual Result<std::vector<std::string>> check_integrity() { return std::vector<std::string>(); }
};

inline constexpr size_t kLongestHint = 4000;

// Who listens to a store, until it is destroyed, which waits for a call that is under way.
class Listening {
 public:
  virtual ~Listening() = default;
};

// Called one at a time, on a thread of the store's or on that which commits: they hand on, and do
// not call the store.
struct Listener {
  // What any writer of the store tells, also one of this process; in commit order.
  std::function<void(const Hint&)> heard;
  // It hears from now on: for the first time, or again after its connection was lost. What was
  // committed before is for it to look up.
  std::function<void()> missed;
};

// Opens connections to one store. Thread-safe. A reader is read-only and its queries are cut off
// with kBusy when they take too long; a writer is for the committer, or before one has started.
class Store {
 public:
  virtual ~Store() = default;
  virtual Result<std::unique_ptr<Connection>> open_writer() = 0;
  virtual Result<std::unique_ptr<Connection>> open_reader() = 0;
  // From `at` on every reader's query is cut off with kBusy, those under way as well: who stops
  // waits for none. time_point::max() takes it back.
  virtual void cut_reads(std::chrono::steady_clock::time_point at) = 0;
  // Copies the running store to a new file at `target` without stopping it. The file is there
  // whole or not at all; one that exists is refused with kExists.
  virtual Result<void> backup(const std::string& target) = 0;
  // Moves the log of recent commits into the main file, as far as readers allow; waits for no
  // reader and no writer. The committer calls it. Returns up to where it was moved, in bytes of
  // Connection::log_bytes().
  virtual Result<int64_t> checkpoint() = 0;
  // As `checkpoint`, and empties the log's file, in which older versions of rows stand until they
  // are written over. False: somebody reads or writes in this moment; it waits for nobody.
  virtual Result<bool> empty_log() { return false; }
  // How one server learns of the commits of another, without asking again and again:
  //
  //   db.notify({"feed", "4711"});               in a transaction, before its COMMIT
  //   store.listen({.heard = ..., .missed = ...});
  //
  // A writer tells so by itself where Writer::Options::tells is set (store/writer.h). A store of
  // one process tells itself only. Over a network: a session of its own, made again when it is
  // lost, after pauses that grow; it is asked once a minute whether it is still there.
  virtual Result<std::unique_ptr<Listening>> listen(Listener listener) = 0;
};

}  // namespace millrace::sql
