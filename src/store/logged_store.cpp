// SPDX-License-Identifier: Apache-2.0
#include "store/logged_store.h"

#include <chrono>
#include <unordered_map>

#include "base/hash.h"

namespace millrace::store {
namespace {

using Clock = std::chrono::steady_clock;
using Tell = std::function<void(const StatementRun&)>;

int64_t us_since(Clock::time_point begun) {
  return std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begun).count();
}

// Runs `work`, a Result, and tells of it.
template <typename Work, typename RowsOf>
auto watched(const Tell& tell, std::string_view text, Work work, RowsOf rows_of) {
  auto begun = Clock::now();
  auto result = work();
  tell({text, result.ok() ? rows_of(result) : 0, us_since(begun), !result.ok()});
  return result;
}

class LoggedStatement final : public sql::Statement {
 public:
  LoggedStatement(sql::Statement& inner, std::string text, const Tell& tell)
      : inner_(inner), text_(std::move(text)), tell_(tell) {}
  void bind_int(int index, int64_t value) override { inner_.bind_int(index, value); }
  void bind_text(int index, std::string_view value) override { inner_.bind_text(index, value); }
  void bind_blob(int index, std::string_view value) override { inner_.bind_blob(index, value); }
  Result<bool> step() override {
    auto begun = Clock::now();
    auto row = inner_.step();
    us_ += us_since(begun);
    is_run_ = true;
    if (row.ok() && *row) ++rows_;
    failed_ = !row.ok();
    return row;
  }
  void reset() override {
    if (is_run_) tell_({text_, rows_ > 0 ? rows_ : inner_.affected(), us_, failed_});
    is_run_ = failed_ = false;
    rows_ = us_ = 0;
    inner_.reset();
  }
  int64_t affected() const override { return inner_.affected(); }
  int64_t column_int(int column) const override { return inner_.column_int(column); }
  std::string_view column_bytes(int column) const override { return inner_.column_bytes(column); }

 private:
  sql::Statement& inner_;
  const std::string text_;
  const Tell& tell_;
  int64_t rows_ = 0;
  int64_t us_ = 0;
  bool is_run_ = false;
  bool failed_ = false;
};

class LoggedBatch final : public sql::Batch {
 public:
  LoggedBatch(std::unique_ptr<sql::Batch> inner, std::string text, const Tell& tell)
      : inner_(std::move(inner)), text_(std::move(text)), tell_(tell) {}
  void bind_int(int index, int64_t value) override { inner_->bind_int(index, value); }
  void bind_text(int index, std::string_view value) override { inner_->bind_text(index, value); }
  void bind_blob(int index, std::string_view value) override { inner_->bind_blob(index, value); }
  void end_row() override {
    ++rows_;
    inner_->end_row();
  }
  Result<std::span<const int64_t>> flush() override {
    return watched(
        tell_, text_, [&] { return inner_->flush(); },
        [](const auto& touched) { return static_cast<int64_t>(touched->size()); });
  }
  Result<void> put_off(Check check) override {
    int64_t rows = std::exchange(rows_, 0);
    return watched(
        tell_, text_, [&] { return inner_->put_off(std::move(check)); },
        [rows](const auto&) { return rows; });
  }

 private:
  std::unique_ptr<sql::Batch> inner_;
  const std::string text_;
  const Tell& tell_;
  int64_t rows_ = 0;
};

class LoggedConnection final : public sql::Connection {
 public:
  LoggedConnection(std::unique_ptr<sql::Connection> inner, Tell tell)
      : inner_(std::move(inner)), tell_(std::move(tell)) {}
  Result<sql::Statement*> prepare(std::string_view text) override {
    TRY(auto* inner, inner_->prepare(text));
    auto& made = statements_[inner];
    if (!made) made = std::make_unique<LoggedStatement>(*inner, std::string(text), tell_);
    return static_cast<sql::Statement*>(made.get());
  }
  Result<std::unique_ptr<sql::Batch>> batch(std::string_view text) override {
    return wrap(text, inner_->batch(text));
  }
  Result<std::unique_ptr<sql::Batch>> ahead(std::string_view text) override {
    return wrap(text, inner_->ahead(text));
  }
  Result<void> await() override {
    return script("(what was put off)", [&] { return inner_->await(); });
  }
  sql::Committed commit() override {
    auto begun = Clock::now();
    auto committed = inner_->commit();
    bool failed = !committed.rows.ok() || !committed.commit.ok();
    tell_({"COMMIT", 0, us_since(begun), failed});
    return committed;
  }
  Result<void> run(std::string_view text) override {
    return script(text, [&] { return inner_->run(text); });
  }
  Result<void> lock_numbering() override {
    return script("(the lock of the feed's numbers)", [&] { return inner_->lock_numbering(); });
  }
  void notify(const sql::Hint& hint) override { inner_->notify(hint); }
  bool in_transaction() const override { return inner_->in_transaction(); }
  int64_t log_bytes() const override { return inner_->log_bytes(); }
  Result<bool> give_back(int64_t pages) override { return inner_->give_back(pages); }
  Result<std::vector<std::string>> check_integrity() override { return inner_->check_integrity(); }

 private:
  Result<std::unique_ptr<sql::Batch>> wrap(std::string_view text,
                                           Result<std::unique_ptr<sql::Batch>> inner) const {
    if (!inner.ok() || !*inner) return inner;
    return std::unique_ptr<sql::Batch>(
        std::make_unique<LoggedBatch>(std::move(*inner), std::string(text), tell_));
  }
  template <typename Work>
  Result<void> script(std::string_view text, Work work) const {
    return watched(tell_, text, work, [](const auto&) { return int64_t{0}; });
  }

  std::unique_ptr<sql::Connection> inner_;
  const Tell tell_;
  std::unordered_map<sql::Statement*, std::unique_ptr<LoggedStatement>> statements_;
};

class LoggedStore final : public sql::Store {
 public:
  LoggedStore(std::unique_ptr<sql::Store> inner, Tell tell)
      : inner_(std::move(inner)), tell_(std::move(tell)) {}
  Result<std::unique_ptr<sql::Connection>> open_writer() override {
    return wrap(inner_->open_writer());
  }
  Result<std::unique_ptr<sql::Connection>> open_reader() override {
    return wrap(inner_->open_reader());
  }
  void cut_reads(Clock::time_point at) override { inner_->cut_reads(at); }
  Result<void> backup(const std::string& target) override { return inner_->backup(target); }
  Result<int64_t> checkpoint() override { return inner_->checkpoint(); }
  Result<bool> empty_log() override { return inner_->empty_log(); }
  Result<std::unique_ptr<sql::Listening>> listen(sql::Listener listener) override {
    return inner_->listen(std::move(listener));
  }

 private:
  Result<std::unique_ptr<sql::Connection>> wrap(
      Result<std::unique_ptr<sql::Connection>> inner) const {
    if (!inner.ok()) return inner;
    return std::unique_ptr<sql::Connection>(
        std::make_unique<LoggedConnection>(std::move(*inner), tell_));
  }
  std::unique_ptr<sql::Store> inner_;
  const Tell tell_;
};

}  // namespace

std::unique_ptr<sql::Store> logged(std::unique_ptr<sql::Store> inner,
                                   std::function<void(const StatementRun&)> tell) {
  return std::make_unique<LoggedStore>(std::move(inner), std::move(tell));
}

}  // namespace millrace::store
