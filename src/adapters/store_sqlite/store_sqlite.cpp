// SPDX-License-Identifier: Apache-2.0
#include "adapters/store_sqlite/store_sqlite.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sqlite3.h>

#include <cstdio>
#include <filesystem>
#include <mutex>

#include "adapters/store_sqlite/connection.h"
#include "base/files.h"

namespace millrace::store_sqlite {
namespace {

namespace fs = std::filesystem;

// Nobody else reads it, whatever the umask is. SQLite gives its journals the mode of the main file.
// `flags`: O_EXCL when it must be a new one.
Result<void> create_private(const std::string& file, int flags = 0) {
  Fd fd(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | flags, 0600));
  if (fd) return {};
  return Error(ErrorKind::Unavailable, sql::kBusy,
               fmt::format("cannot open the store '{}': {}", file, strerror(errno)));
}

class SqliteStore final : public sql::Store {
 public:
  SqliteStore(std::string file, Options options)
      : file_(std::move(file)), options_(std::move(options)) {}

  Result<std::unique_ptr<sql::Connection>> open_writer() override {
    TRY(auto connection, open_connection(SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE));
    // The log is reused from its start once all of it has been moved: overwriting syncs faster
    // than appending. Its file shrinks to the limit after a burst.
    // Of a new file the first pragma counts, before anything is in it: pages that retention frees
    // can be given back.
    TRY(connection->run(
        "PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
        "PRAGMA temp_store=MEMORY; PRAGMA cache_size=-32768;"
        "PRAGMA secure_delete=ON;"               // what is deleted is overwritten
        "PRAGMA journal_size_limit=67108864"));  // Committer::Options::max_log_bytes
    connection->watch_log(log_marks_);
    connection->tell(hints_);
    return std::unique_ptr<sql::Connection>(std::move(connection));
  }

  Result<std::unique_ptr<sql::Connection>> open_reader() override {
    TRY(auto connection, open_connection(SQLITE_OPEN_READONLY));
    TRY(connection->run("PRAGMA temp_store=MEMORY; PRAGMA cache_size=-8192"));
    connection->limit_queries(std::chrono::milliseconds(options_.reader_limit_ms), cut_);
    return std::unique_ptr<sql::Connection>(std::move(connection));
  }

  void cut_reads(Moment at) override { *cut_ = at; }

  Result<void> backup(const std::string& target) override {
    std::error_code ignored;
    if (fs::exists(fs::symlink_status(target, ignored))) {
      return Error(ErrorKind::Conflict, sql::kExists,
                   fmt::format("backup: '{}' exists already; name a new file", target));
    }
    std::string part = target + ".part";
    fs::remove(part, ignored);
    if (auto copied = copy_to(part); !copied.ok()) {
      fs::remove(part, ignored);
      return copied;
    }
    if (std::rename(part.c_str(), target.c_str()) != 0) {
      return Error(ErrorKind::Unavailable, sql::kBusy,
                   fmt::format("backup: cannot rename '{}' to '{}'", part, target));
    }
    return sync_folder(fs::absolute(target).parent_path());
  }

  Result<int64_t> checkpoint() override {
    std::lock_guard lock(checkpointing_);
    if (!log_marks_->is_more()) return int64_t{log_marks_->moved_to()} * kFrameBytes;
    TRY(auto log, move_log(SQLITE_CHECKPOINT_PASSIVE));
    return int64_t{log.moved} * kFrameBytes;
  }

  Result<bool> empty_log() override {
    std::lock_guard lock(checkpointing_);
    // Commits wait for the second one, which has little left to do.
    if (log_marks_->is_more()) TRY(move_log(SQLITE_CHECKPOINT_PASSIVE));
    TRY(auto log, move_log(SQLITE_CHECKPOINT_TRUNCATE));
    return log.done;
  }

  Result<std::unique_ptr<sql::Listening>> listen(sql::Listener listener) override {
    return hints_->add(std::move(listener));
  }

 private:
  Result<std::unique_ptr<SqliteConnection>> open_connection(int flags) {
    return SqliteConnection::open(file_, flags, options_.vfs);
  }

  struct Log {
    int pages = 0;
    int moved = 0;
    bool done = false;  // nobody was in the way
  };
  Result<Log> move_log(int mode) {
    if (!checkpointer_) {
      TRY(checkpointer_, open_connection(SQLITE_OPEN_READWRITE));
      // Syncs of this connection are those of the main file.
      TRY(checkpointer_->run("PRAGMA synchronous=FULL; PRAGMA journal_size_limit=67108864"));
      sqlite3_busy_timeout(checkpointer_->handle(), 0);
    }
    Log log;
    int beginning = log_marks_->beginning();
    int rc =
        sqlite3_wal_checkpoint_v2(checkpointer_->handle(), nullptr, mode, &log.pages, &log.moved);
    if (rc != SQLITE_OK && rc != SQLITE_BUSY) {
      return error_of(checkpointer_->handle(), rc, "checkpoint");
    }
    log.done = rc == SQLITE_OK;
    if (log.moved == log.pages) log_marks_->moved(log.moved, beginning);
    return log;
  }

  // One step of SQLite's backup: it reads one snapshot and blocks no writer.
  Result<void> copy_to(const std::string& file) {
    TRY(auto source, open_connection(SQLITE_OPEN_READONLY));
    TRY(create_private(file, O_EXCL | O_NOFOLLOW));
    TRY(auto copy, SqliteConnection::open(file, SQLITE_OPEN_READWRITE, ""));
    sqlite3_backup* job = sqlite3_backup_init(copy->handle(), "main", source->handle(), "main");
    if (!job) return error_of(copy->handle(), SQLITE_ERROR, "backup");
    int rc = sqlite3_backup_step(job, -1);
    sqlite3_backup_finish(job);
    if (rc != SQLITE_DONE) return error_of(copy->handle(), rc, "backup to " + file);
    // The copy is one file and can be read where nothing can be written.
    return copy->run("PRAGMA journal_mode=DELETE");
  }

  const std::string file_;
  const Options options_;
  const std::shared_ptr<std::atomic<Moment>> cut_ =
      std::make_shared<std::atomic<Moment>>(Moment::max());
  const std::shared_ptr<Hints> hints_ = std::make_shared<Hints>();
  const std::shared_ptr<LogMarks> log_marks_ = std::make_shared<LogMarks>();
  std::mutex checkpointing_;
  std::unique_ptr<SqliteConnection> checkpointer_;
};

}  // namespace

Result<std::unique_ptr<sql::Store>> open(const std::string& folder, Options options) {
  std::string file = folder + "/millrace.db";
  if (options.vfs.empty()) TRY(create_private(file));
  auto store = std::make_unique<SqliteStore>(file, std::move(options));
  TRY(auto probe, store->open_writer());  // switches the file to WAL
  return std::unique_ptr<sql::Store>(std::move(store));
}

Result<std::unique_ptr<sql::Connection>> open_file_reader(const std::string& file) {
  TRY(auto connection, SqliteConnection::open(file, SQLITE_OPEN_READONLY, ""));
  return std::unique_ptr<sql::Connection>(std::move(connection));
}

}  // namespace millrace::store_sqlite
